"""Every limit of the contract over HTTP: what is at it is taken, what is one over it is refused, and nothing fails."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import closing

import httpx
import pytest

from unbroken import wire
from unbroken.server.connection import HEAD_MAX_BYTES, HEADERS_MAX
from unbroken.testing.process import PlatformProcess
from unbroken.wire.leak import TOKENS_MAX

PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
PLACE = {"kind": "location", "t": 1, "lat": 51, "lon": 3}


class World:
    """An app with a linked phone, and every limit as a call with a size."""

    def __init__(self, platform):
        app = platform.command("app", "create", "Shop")
        scopes = ("user.read", "user.link")
        issued = platform.command(
            "key", "create", "--app", app["app_id"], "--name", "limits", *(f"--scope={s}" for s in scopes)
        )
        self.client = httpx.Client(base_url=platform.base_url, timeout=30)
        self.basic = "Basic " + b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()
        self.phone, self.user_id = self.register()
        self.key = {"Authorization": f"Bearer {issued['api_key']}"}
        self._ids = 0

    def register(self):
        said = self.client.post("/sdk/installs", json=PHONE, headers={"Authorization": self.basic}).json()
        return {"Authorization": f"Bearer {said['user_token']['token']}"}, said["user_id"]

    def upload(self, *payloads):
        sent = [{"payload_id": self._id(), "items": items} for items in payloads]
        return self.client.post("/sdk/payloads", json={"sent_at": 1, "payloads": sent}, headers=self.phone)

    def _id(self):
        self._ids += 1
        return f"0193f7a2-5c1e-7b3a-9d24-{self._ids:012x}"

    def metadata(self, said):
        """Of a new phone, as fields are merged."""
        phone, _ = self.register()
        return self.client.put("/sdk/metadata", json=said, headers=phone)

    def payloads(self, size):
        return self.upload(*[[PLACE]] * size).status_code

    def items(self, size):
        return self.upload([PLACE] * size).status_code

    def custom_data(self, size):
        """Refused alone: the upload is taken, and says of the item that it is none."""
        data = {"x": "y" * (size - len('{"x":""}'))}
        (result,) = self.upload([{"kind": "custom", "t": 1, "name": "n", "data": data}]).json()["results"]
        return 400 if result.get("invalid") else 202

    def metadata_keys(self, size):
        return self.metadata({str(number): "" for number in range(size)}).status_code

    def metadata_key(self, size):
        return self.metadata({"k" * size: "x"}).status_code

    def metadata_value(self, size):
        return self.metadata({"0": "x" * size}).status_code

    def depth(self, size):
        """Two layers are the upload's own, and two the payload's."""
        inner = size - len("{[{[{{")
        data: object = 0
        for _ in range(inner):
            data = [data]
        return self.upload([{"kind": "custom", "t": 1, "name": "n", "data": {"x": data}}]).status_code

    def page(self, size):
        return self.client.get(f"/v3/users/{self.user_id}/items?limit={size}", headers=self.key).status_code

    def leaked_tokens(self, size):
        return self.client.post("/security/leaked-tokens", json={"tokens": ["x"] * size}).status_code

    def headers(self, size):
        lines = [f"Host: x\r\nAuthorization: {self.phone['Authorization']}\r\n"]
        return self._raw(lines[0] + "".join(f"X-{number}: 1\r\n" for number in range(size - 2)))

    def head(self, size):
        start = f"Host: x\r\nAuthorization: {self.phone['Authorization']}\r\nX-Long: "
        return self._raw(start + "a" * (size - len(f"GET /sdk/install HTTP/1.1\r\n{start}\r\n\r\n")) + "\r\n")

    def _raw(self, lines):
        with socket.create_connection((self.client.base_url.host, self.client.base_url.port), 30) as caller:
            caller.sendall(f"GET /sdk/install HTTP/1.1\r\n{lines}\r\n".encode())
            return int(caller.recv(64).split()[1])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with PlatformProcess(tmp_path_factory.mktemp("limits") / "data", lab=False) as platform:
        found = World(platform)
        with closing(found.client):
            yield found


LIMITS = {
    "payloads": (wire.PAYLOADS_MAX, 202, 413),
    "items": (wire.ITEMS_MAX, 202, 413),
    "custom_data": (wire.CUSTOM_DATA_MAX_BYTES, 202, 400),
    "metadata_keys": (wire.METADATA_KEYS_MAX, 200, 400),
    "metadata_key": (wire.METADATA_MAX_CHARACTERS, 200, 400),
    "metadata_value": (wire.METADATA_MAX_CHARACTERS, 200, 400),
    "depth": (wire.DEPTH_MAX, 202, 413),
    "page": (wire.PAGE_MAX, 200, 400),
    "leaked_tokens": (TOKENS_MAX, 202, 400),
    "headers": (HEADERS_MAX, 200, 413),
    "head": (HEAD_MAX_BYTES, 200, 413),
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_is_at_a_limit_is_taken_and_what_is_one_over_it_is_refused(world, name):
    limit, taken, refused = LIMITS[name]
    told = [getattr(world, name)(size) for size in (limit - 1, limit, limit + 1)]
    assert told == [taken, taken, refused]
