"""The kit in Flask.

    app.register_blueprint(link_blueprint(platform, current_account), url_prefix="/linking")

As `LinkEndpoint`, but that the platform is a `Platform`, which blocks, and `authenticate` a plain function. It runs in
the context of the request, so `flask.session` and what rests on it can be asked.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, TYPE_CHECKING, Final

from flask import Blueprint, Response, request

from unbroken.backend import linking
from unbroken.backend.blocking import answer_at_once, blocking_endpoint
from unbroken.backend.request import request_of_environ

if TYPE_CHECKING:
    from typing import Unpack

    from unbroken.backend.blocking import Authenticate
    from unbroken.backend.client import Platform
    from unbroken.backend.endpoint import Settings

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_BODY: Final = frozenset({"wsgi.input", "werkzeug.request"})


def link_blueprint(
    platform: Platform,
    authenticate: Authenticate,
    *,
    name: str = "unbroken_linking",
    **settings: Unpack[Settings],
) -> Blueprint:
    """A blueprint to be registered under the prefix of your choice.

    Args:
        platform: whose API key has the scope `user.link`.
        authenticate: who is signed in: the account's external id, or None.
        name: of the blueprint.
        settings: see `unbroken.backend.endpoint.Settings`.

    Raises:
        InvalidConfig: a setting is not usable.
    """
    endpoint = blocking_endpoint(platform, authenticate, settings)
    blueprint = Blueprint(name, __name__)

    def linking_view(path: str) -> Response:
        environ = {key: value for key, value in request.environ.items() if key not in _BODY}
        answer = answer_at_once(
            endpoint, request_of_environ(environ, request.method, f"/{path}", environ), _Body().read
        )
        headers, body = linking.encode(answer)
        return Response(body, status=answer.status, headers=dict(headers))

    blueprint.add_url_rule(
        "/<path:path>",
        view_func=linking_view,
        methods=_METHODS,
        provide_automatic_options=False,
        merge_slashes=False,
    )
    return blueprint


class _Body:
    """The body of the request. Where the host has read it before, its stream is at the end, and Flask has kept it."""

    def __init__(self) -> None:
        self._source: IO[bytes] = request.stream
        self._is_begun = False

    def read(self, size_bytes: int) -> bytes:
        """So much of it."""
        part = self._source.read(size_bytes)
        if not (part or self._is_begun):
            self._source = BytesIO(request.get_data())
            part = self._source.read(size_bytes)
        self._is_begun = True
        return part
