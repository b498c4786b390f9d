"""The platform's HTTP contract as plain calls on one kept-alive socket; nothing of the platform's own code is used.

A general client costs 0.3 ms a call, a history of the model some hundred calls, and there are ten thousand histories.
"""

from __future__ import annotations

import base64
import hashlib
import json
import select
import socket
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What the platform said."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def code(self) -> str | None:
        """The `errorCode` of an error, None of a success."""
        return str(self.json.get("errorCode")) if self.status >= 400 and self.body else None

    def __str__(self) -> str:
        return f"{self.status} {self.body[:600].decode(errors='replace')}"


class Connection:
    """One HTTP/1.1 connection to a loopback server, opened when it is first needed and again after it broke.

    `timeout_s` may be changed between two calls.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.timeout_s = TIMEOUT_S
        self._address = (str(parts.hostname), int(parts.port or 80))
        self._host = parts.netloc
        self._socket: socket.socket | None = None
        self._buffer = b""

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """Send one request and wait for its reply.

        Raises:
            ConnectionError: the connection ended before the whole reply was there. It is not tried again here.
        """
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        elif method in {"POST", "PUT"}:
            lines.append("Content-Length: 0")
        try:
            self._open().settimeout(self.timeout_s)
            self._open().sendall("\r\n".join([*lines, "", ""]).encode() + (body or b""))
            return self._reply(method)
        except OSError as lost:
            self.close()
            raise ConnectionError(str(lost)) from lost

    def can_open(self) -> bool:
        """Whether it is open, or can be opened: somebody listens. Nothing is sent."""
        try:
            if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
                self.close()  # nothing was asked, so what came is its end
            self._open()
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def _open(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, TIMEOUT_S)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _reply(self, method: str) -> Reply:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = [line.partition(":") for line in lines]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        status = int(first.split(" ", 2)[1])
        body = b"" if method == "HEAD" or status in {204, 304} else self._body(headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(status, headers, body)

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self._exactly(int(headers.get("content-length", "0")))
        chunks = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            chunks.append(self._exactly(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(chunks)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        head, _, self._buffer = self._buffer.partition(mark)
        return head

    def _exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _more(self) -> None:
        data = self._open().recv(1 << 18)
        if not data:
            raise ConnectionError("The server closed the connection.")
        self._buffer += data


@dataclass(frozen=True, slots=True)
class App:
    """One tenant and the credentials that its customer holds."""

    app_id: str
    app_secret: str
    api_key: str
    policies: dict[str, str] = field(default_factory=dict)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.app_id}:{self.app_secret}".encode()).decode()

    @property
    def bearer(self) -> str:
        return f"Bearer {self.api_key}"


def create_app(platform: Any, name: str, **policies: str) -> App:
    """Make an app and a key with every scope, through the command line as an operator does."""
    made = platform.command("app", "create", name)
    if policies:
        platform.command("app", "policy", made["app_id"], *[f"{key}={value}" for key, value in policies.items()])
    scopes = [word for scope in ("read", "link", "delete", "manage") for word in ("--scope", f"user.{scope}")]
    key = platform.command("key", "create", "--app", made["app_id"], "--name", name, *scopes)
    return App(made["app_id"], made["app_secret"], key["api_key"], policies)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def random_uuid(*words: object) -> str:
    """A UUID of version 4 that is the same for the same words, so that a failure can be played again."""
    return str(uuid.UUID(bytes=hashlib.sha256(repr(words).encode()).digest()[:16], version=4))


def iso(at_ms: int) -> str:
    """An instant as http-api.md writes it."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).isoformat(timespec="milliseconds")


def from_iso(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def day(at_ms: int) -> str:
    return iso(at_ms)[:10]


PHONE = {"platform": "android", "screen_inches": 6.1}
TABLET = {"platform": "android", "screen_inches": 10.4}


class Api:
    """The calls of http-api.md.

    Args:
        connection: where to.
        lab: whether the platform runs in lab mode; `now_ms` of the calls is told to it then.
    """

    def __init__(self, connection: Connection, *, lab: bool = True) -> None:
        self.connection = connection
        self.now_ms = 0
        self._lab = lab

    def send(
        self, method: str, path: str, auth: str | None, body: Any = None, *, key: str | None = None, **query: Any
    ) -> Reply:
        """One call as JSON; `body` may be bytes to send what no JSON library would write."""
        headers = {"Lab-Time": str(self.now_ms)} if self._lab else {}
        if auth is not None:
            headers["Authorization"] = auth
        if key is not None:
            headers["Idempotency-Key"] = key
        asked = {name.rstrip("_"): value for name, value in query.items() if value is not None}
        target = path + ("?" + urlencode(asked) if asked else "")
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return self.connection.call(method, target, raw, headers)

    def settle(self) -> None:
        reply = self.send("POST", "/lab/settle", None)
        assert reply.status == 204, reply

    # Device API

    def register(
        self,
        auth: str | None,
        device: dict[str, Any],
        *,
        key: str | None = None,
        code: str | None = None,
        restored_from: str | None = None,
    ) -> Reply:
        body: dict[str, Any] = {"device": device, "sdk": {"name": "model", "version": "1"}}
        if code is not None:
            body["authentication_code"] = code
        if restored_from is not None:
            body["restored_from"] = restored_from
        return self.send("POST", "/sdk/installs", auth, body, key=key)

    def own_state(self, token: str) -> Reply:
        return self.send("GET", "/sdk/install", bearer(token))

    def redeem(self, token: str, code: str, *, key: str | None = None) -> Reply:
        return self.send("POST", "/sdk/link", bearer(token), {"authentication_code": code}, key=key)

    def tokens(self, credential: str, *, key: str | None = None) -> Reply:
        return self.send("POST", "/sdk/tokens", bearer(credential), key=key)

    def upload(self, token: str, sent_at: int, payloads: list[tuple[str, list[dict[str, Any]]]]) -> Reply:
        body = {"sent_at": sent_at, "payloads": [{"payload_id": name, "items": items} for name, items in payloads]}
        return self.send("POST", "/sdk/payloads", bearer(token), body)

    def metadata(self, token: str, values: dict[str, str]) -> Reply:
        return self.send("PUT", "/sdk/metadata", bearer(token), values)

    def reset(self, credential: str) -> Reply:
        return self.send("DELETE", "/sdk/install", bearer(credential))

    # Backend API

    def link(
        self, auth: str | None, install_id: str, external_id: Any, *, key: str | None = None,
        ticket: str | None = None, dry_run: bool = False,
    ) -> Reply:  # fmt: skip
        body = {"external_id": external_id} | ({"link_ticket": ticket} if ticket is not None else {})
        path = f"/v2/users/{quote(install_id, safe='')}/link"
        return self.send("POST", path, auth, body, key=key, dry_run="true" if dry_run else None)

    def undo(self, auth: str | None, link_id: str, *, key: str | None = None) -> Reply:
        return self.send("POST", f"/v3/links/{link_id}/undo", auth, key=key)

    def mint(self, auth: str | None, external_id: Any, *, key: str | None = None) -> Reply:
        return self.send("POST", "/users/auth-code", auth, {"external_id": external_id}, key=key)

    def erase(self, auth: str, user_id: str, *, dry_run: bool = False) -> Reply:
        return self.send("DELETE", f"/users/{user_id}", auth, dry_run="true" if dry_run else None)

    def profile(self, auth: str, user_id: str) -> Reply:
        return self.send("GET", f"/v2/users/{user_id}", auth)

    def find(self, auth: str, external_id: str) -> Reply:
        return self.send("GET", "/v3/users", auth, external_id=external_id)

    def events(self, auth: str, user_id: str, from_ms: int, to_ms: int, *, types: str | None = "all") -> Reply:
        """The timeline; days are widened by one on both sides, as they are days of the user's own zone."""
        path = f"/v2/users/{user_id}/events"
        return self.send("GET", path, auth, from_=day(from_ms - DAY_MS), to=day(to_ms + DAY_MS), types=types)

    def explain(self, auth: str, install_id: str, at_ms: int | None = None) -> Reply:
        at = None if at_ms is None else iso(at_ms)
        return self.send("GET", f"/v3/installs/{install_id}/explain", auth, at=at)

    def installs(self, auth: str, user_id: str) -> Reply:
        return self.send("GET", f"/v3/users/{user_id}/installs", auth)

    def whole_list(self, auth: str, path: str, plural: str, **query: Any) -> list[dict[str, Any]]:
        """Every page of one of our lists."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            reply = self.send("GET", path, auth, cursor=cursor, **query)
            assert reply.status == 200, reply
            found += reply.json[plural]
            cursor = reply.json.get("next_cursor")
            if cursor is None:
                return found

    def ledger(self, auth: str, user_id: str) -> list[dict[str, Any]]:
        return self.whole_list(auth, f"/v3/users/{user_id}/ledger", "facts", limit=1000)

    def items(self, auth: str, user_id: str, from_ms: int, to_ms: int, limit: int = 1000) -> list[dict[str, Any]]:
        path = f"/v3/users/{user_id}/items"
        return self.whole_list(auth, path, "items", from_=iso(from_ms), to=iso(to_ms), limit=limit)
