"""The kit in Django, under WSGI or ASGI.

    urlpatterns = [path("linking/", include(link_urls(platform, current_account)))]

As `LinkEndpoint`, but that the platform is a `Platform`, which blocks, and `authenticate` a plain function. What
Django's middleware found is in `request.scope`: `user` and `session`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.urls import re_path
from django.views.decorators.csrf import csrf_exempt

from unbroken.backend import linking
from unbroken.backend.blocking import answer_at_once, blocking_endpoint
from unbroken.backend.request import request_of_environ

if TYPE_CHECKING:
    from typing import Unpack

    from django.http import HttpRequest
    from django.urls import URLPattern

    from unbroken.backend.blocking import Authenticate
    from unbroken.backend.client import Platform
    from unbroken.backend.endpoint import Settings

_FROM_MIDDLEWARE = ("user", "session")


def link_urls(platform: Platform, authenticate: Authenticate, **settings: Unpack[Settings]) -> list[URLPattern]:
    """URL patterns to be included under the prefix of your choice, which ends with a slash.

    The view takes no CSRF token: apps have none, and a page of another site cannot send JSON with somebody's cookie.

    Args:
        platform: whose API key has the scope `user.link`.
        authenticate: who is signed in: the account's external id, or None.
        settings: see `unbroken.backend.endpoint.Settings`.

    Raises:
        InvalidConfig: a setting is not usable.
    """
    endpoint = blocking_endpoint(platform, authenticate, settings)

    def linking_view(request: HttpRequest, path: str) -> HttpResponse:
        found = {name: getattr(request, name) for name in _FROM_MIDDLEWARE if hasattr(request, name)}
        asked = request_of_environ(request.META, request.method or "", f"/{path}", found)
        answer = answer_at_once(endpoint, asked, request.read)
        headers, body = linking.encode(answer)
        return HttpResponse(body, status=answer.status, headers=dict(headers))

    return [re_path(r"^(?P<path>.*)\Z", csrf_exempt(linking_view))]
