"""A platform in memory that speaks the Device API as http-api.md says it, for tests of the SDK alone.

It counts what it creates, so that a test can say "nothing was doubled", and it can be edited like any object.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

APP_ID = "a" * 24
APP_SECRET = "the app's secret"
FAR = "2099-01-01T00:00:00.000+00:00"


@dataclass
class Install:
    install_id: str
    user_id: str
    key: str
    credential: str
    token: str
    linked: bool = False
    state: str = "active"
    state_reason: str | None = None
    spent: dict[str, str | None] = field(default_factory=dict)
    restored_from: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class FakePlatform:
    def __init__(self) -> None:
        self.installs: dict[str, Install] = {}
        self.by_key: dict[str, Install] = {}
        self.payloads: dict[str, list[dict[str, Any]]] = {}
        self.uploads: list[dict[str, Any]] = []
        self.linking = "on"
        self.codes: set[str] = set()
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.answers: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        self.token_expires_at = FAR
        self._count = itertools.count(1)

    def answer_next(self, status: int, code: str = "INTERNAL", **headers: str) -> None:
        """The next request gets this error, whatever it is."""
        body = {"message": code, "errorCode": code, "ref": "ref-1"}
        self.answers.append((status, body, {k.replace("_", "-"): v for k, v in headers.items()}))

    def link(self, install_id: str) -> bool:
        self.installs[install_id].linked = True
        return True

    def only_install(self) -> Install:
        (install,) = self.installs.values()
        return install

    def paths(self) -> list[str]:
        return [f"{method} {path}" for method, path, _ in self.requests]

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
        headers = {name.lower(): value for name, value in headers.items()}
        self.requests.append((method, path, headers))
        if self.answers:
            status, reply, more = self.answers.pop(0)
            return status, json.dumps(reply).encode(), more
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        status, answer = self._route(method, path, headers, json.loads(body) if body else {})
        return status, b"" if status == 204 else json.dumps(answer).encode(), {"X-Request-Id": "ref-0"}

    def _route(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:  # noqa: C901, PLR0911 - one line a call
        if (method, path) == ("POST", "/sdk/installs"):
            return self._register(headers, body)
        credential = headers.get("authorization", "").removeprefix("Bearer ")
        if (method, path) == ("POST", "/sdk/tokens"):
            return self._renew(credential, headers["idempotency-key"])
        if (method, path) == ("DELETE", "/sdk/install"):
            install = self._of_credential(credential)
            if install is None:
                return self._problem(409, "INSTALL_CLONED")
            install.state = "deleted"
            return 204, None
        install = next((i for i in self.installs.values() if i.token == credential), None)
        if install is None:
            return self._problem(401, "UNAUTHENTICATED")
        if install.state == "deleted":
            return self._problem(410, "INSTALL_DELETED")
        if path == "/sdk/link":
            if body["authentication_code"] not in self.codes:
                return self._problem(401, "AUTH_CODE_UNKNOWN")
            install.linked = True
        if path == "/sdk/payloads":
            return self._upload(install, body)
        if path == "/sdk/metadata":
            install.metadata |= body
            return 200, install.metadata
        return 200, self._own(install)

    def _register(self, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        code = body.get("authentication_code")
        basic = "Basic " + base64.b64encode(f"{APP_ID}:{APP_SECRET}".encode()).decode()
        if code is None and headers.get("authorization") != basic:
            return self._problem(401, "UNAUTHENTICATED")
        if code is not None and (code not in self.codes or "authorization" in headers):
            return self._problem(401, "AUTH_CODE_UNKNOWN")
        key = headers["idempotency-key"]
        install = self.by_key.get(key)
        n = next(self._count)
        if install is None:
            install = Install(f"{n:024x}", f"{n + 0x1000:024x}", key, f"unb_inst_{n}", f"unb_user_{n}")
            install.linked = code is not None
            install.restored_from = body.get("restored_from")
            self.installs[install.install_id] = self.by_key[key] = install
        else:
            install.spent[install.credential] = None
            install.credential, install.token = f"unb_inst_{n}", f"unb_user_{n}"
        return 201, {**self._own(install), "install_credential": install.credential, "user_token": self._token(install)}

    def _renew(self, credential: str, key: str) -> tuple[int, Any]:
        install = self._of_credential(credential)
        if install is None:
            install = next((i for i in self.installs.values() if i.spent.get(credential) == key), None)
        if install is None:
            return self._problem(409, "INSTALL_CLONED")
        if install.state == "deleted":
            return self._problem(410, "INSTALL_DELETED")
        n = next(self._count)
        install.spent |= {credential: key, install.credential: key}
        install.credential, install.token = f"unb_inst_{n}", f"unb_user_{n}"
        return 200, {"install_credential": install.credential, "user_token": self._token(install)}

    def _upload(self, install: Install, body: dict[str, Any]) -> tuple[int, Any]:
        self.uploads.append(body)
        for payload in body["payloads"]:
            self.payloads[payload["payload_id"]] = payload["items"]
        results = [{"payload_id": p["payload_id"], "outcome": "stored", "invalid": []} for p in body["payloads"]]
        return 202, {"results": results, "state": install.state, "state_reason": install.state_reason}

    def _of_credential(self, credential: str) -> Install | None:
        return next((i for i in self.installs.values() if i.credential == credential), None)

    def _own(self, install: Install) -> dict[str, Any]:
        own = {
            "install_id": install.install_id,
            "user_id": install.user_id,
            "state": install.state,
            "state_reason": install.state_reason,
            "linked": install.linked,
            "config": {"linking": self.linking},
        }
        return own if install.linked or self.linking == "off" else {**own, "link_ticket": f"t-{install.install_id}"}

    def _token(self, install: Install) -> dict[str, str]:
        return {"token": install.token, "expires_at": self.token_expires_at}

    def _problem(self, status: int, code: str) -> tuple[int, Any]:
        return status, {"message": code, "errorCode": code, "ref": "ref-2"}
