"""A fake of Google's servers on loopback: access tokens, the decode call, and the list of revoked keys."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import parse_qs

from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from unbroken.testing.attestation.android import KeyRoots
    from unbroken.testing.attestation.play import Play

TOKEN_PATH: Final = "/token"  # noqa: S105 - a path
STATUS_PATH: Final = "/attestation/status"
_DECODE_SUFFIX: Final = ":decodeIntegrityToken"


class GoogleServer:
    """Serves until it is closed. An outage is `statuses[path] = 503`, for the paths of the class's table.

    Args:
        play: who knows what is in a token.
        roots: whose list of revoked keys it is.
    """

    def __init__(self, play: Play, roots: KeyRoots) -> None:
        self._play = play
        self._roots = roots
        self._access = f"ya29.{SystemRandomness().secret(16).hex()}"
        self.statuses: dict[str, int] = {}
        """By path (`/token`, `/attestation/status`, or `/v1/<package>:decodeIntegrityToken`): what to fail with."""
        self.statements: list[str] = []
        """The signed statements that access tokens were asked for with."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the reply to a request."""
        if path in self.statuses:
            return self.statuses[path], b"{}"
        if path == STATUS_PATH:
            return 200, self._roots.status_list()
        if path == TOKEN_PATH:
            return self._access_token(body)
        if path.endswith(_DECODE_SUFFIX):
            return self._decoded(authorization, body)
        return 404, b"{}"

    def _access_token(self, body: bytes) -> tuple[int, bytes]:
        self.statements += parse_qs(body.decode()).get("assertion", [])
        return 200, _json({"access_token": self._access, "expires_in": 3599, "token_type": "Bearer"})

    def _decoded(self, authorization: str, body: bytes) -> tuple[int, bytes]:
        if authorization != f"Bearer {self._access}":
            return 401, b"{}"
        payload = self._play.decode(json.loads(body)["integrity_token"])
        return (400, b"{}") if payload is None else (200, _json({"tokenPayloadExternal": payload}))


def _handler(google: GoogleServer) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            status, reply = google.answer(self.path, self.headers.get("Authorization", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = _answer  # noqa: N815 - the names that http.server looks for

        def log_message(self, *words: Any) -> None:
            """Nothing is written to the terminal of a test."""

    return Handler


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()
