"""Gone is gone: canaries in every field of a person with three installs, and none left in any file afterwards."""

from __future__ import annotations

import base64
import json
import re
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import httpx
import pytest

from unbroken.clock import SystemClock
from unbroken.randomness import SystemRandomness
from unbroken.store.scan import scan
from unbroken.testing.process import PlatformProcess, ProcessFailed

HOUR = 3_600_000
EMAIL, ALIAS, RELEASED = "kanarie.mail@example.com", "kanarie.alias@example.com", "kanarie.released@example.com"


def new_uuid():
    return SystemRandomness().uuid(SystemClock().now_ms())


class World:
    """One platform, one app, and plain calls."""

    def __init__(self, platform):
        self.platform = platform
        self.app = platform.command("app", "create", "Canaries")
        scopes = [w for s in ("user.read", "user.link", "user.delete", "user.manage") for w in ("--scope", s)]
        key = platform.command("key", "create", "--app", self.app["app_id"], "--name", "all", *scopes)
        self.http = httpx.Client(base_url=platform.base_url, timeout=30, trust_env=False)
        self.key = {"Authorization": f"Bearer {key['api_key']}"}
        self.now = SystemClock().now_ms()

    def call(self, method, path, body=None, token=None, **headers):
        auth = self.key if token is None else {"Authorization": f"Bearer {token}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, json=body, headers=auth | named)

    def ok(self, *args, **named):
        reply = self.call(*args, **named)
        assert reply.is_success, reply.text
        return reply.json() if reply.content else None

    def register(self, code=None):
        basic = base64.b64encode(f"{self.app['app_id']}:{self.app['app_secret']}".encode()).decode()
        device = {"platform": "android", "screen_inches": 6.1, "model": "KANARIEmodel", "os_version": "KANARIEos"}
        body = {
            "device": device,
            "sdk": {"name": "KANARIEsdk", "version": "KANARIEversion"},
            "app_version": "KANARIEapp",
        }
        headers = {} if code else {"Authorization": f"Basic {basic}"}
        body |= {"authentication_code": code} if code else {}
        headers |= {"Idempotency-Key": new_uuid()}
        made = self.http.post("/sdk/installs", json=body, headers=headers)
        assert made.status_code == 201, made.text
        told = made.json()
        return SimpleNamespace(
            id=told["install_id"],
            user=told["user_id"],
            token=told["user_token"]["token"],
            credential=told["install_credential"],
        )

    def upload(self, install, at, **extra):
        data = {"note": "KANARIEdata", "deep": {"er": ["KANARIEdeep"]}}
        items = [
            {"kind": "location", "t": at, "lat": 51.0123456, "lon": 3.7654321, "acc": 8},
            {"kind": "custom", "t": at + 1, "name": "KANARIEname", "data": data},
            {"kind": "location", "t": "KANARIEinvalid"},
        ]
        body = {"sent_at": SystemClock().now_ms(), "payloads": [{"payload_id": new_uuid(), "items": items}]}
        return self.call("POST", "/sdk/payloads", body | extra, token=install.token)

    def settled(self):
        """Wait until nothing waits in the log and no timeline is due."""
        with closing(sqlite3.connect(self.platform.data / "unbroken.db")) as database:
            statement = "SELECT (SELECT count(*) FROM log_records) + (SELECT count(*) FROM due)"
            while database.execute(statement).fetchone()[0]:
                pass

    def found(self, *names):
        """In which files of the platform any of these stands, as bytes, hex or text; its output is one of them."""
        ids = [name for name in names if re.fullmatch("[0-9a-f]{24}", name)]
        needles = [bytes.fromhex(id_) for id_ in ids] + [name.encode() for name in names]
        needles += [id_.upper().encode() for id_ in ids] + [b"KANARIE", b"kanarie"]
        where = scan(self.platform.data, needles)
        output = self.platform.output()
        return where | ({"output": 1} if any(needle.decode("latin-1") in output for needle in needles) else {})


@pytest.fixture
def world(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False) as platform:
        opened = World(platform)
        with opened.http:
            yield opened


def somebody(world):
    """A person with three installs, an alias, a mistake that was undone, and canaries wherever something is kept."""
    first, second = world.register(), world.register()
    key = {"Idempotency_Key": "KANARIE-link-key"}
    linked = world.ok("POST", f"/v2/users/{first.id}/link", {"external_id": RELEASED}, **key)
    world.call("POST", f"/v2/users/{'0' * 24}/link", {"external_id": RELEASED}, Idempotency_Key="KANARIE-refused-key")
    rename = {"external_id": ALIAS, "release_old": True, "reason": "KANARIEreason"}
    world.ok("PUT", f"/v3/users/{linked['id']}/external_id", rename)
    world.ok("PUT", f"/v3/users/{linked['id']}/external_id", {"external_id": EMAIL})
    mistaken = world.register()
    wrong = world.ok("POST", f"/v2/users/{mistaken.id}/link", {"external_id": EMAIL})
    undo_key = {"Idempotency_Key": "KANARIE-undo-key"}
    world.ok("POST", f"/v3/links/{wrong['link_id']}/undo", {"reason": "KANARIEreason"}, **undo_key)
    world.ok("POST", f"/v2/users/{second.id}/link", {"external_id": ALIAS})
    mint_key = {"Idempotency_Key": "KANARIE-mint-key"}
    code = world.ok("POST", "/users/auth-code", {"external_id": EMAIL}, **mint_key)["authentication_code"]
    third = world.register(code)
    world.ok("POST", "/users/auth-code", {"external_id": EMAIL})  # a code that nobody redeems
    for number, install in enumerate((first, second, third)):
        assert world.upload(install, world.now - HOUR - number).status_code == 202
    world.ok("PUT", "/sdk/metadata", {"KANARIEkey": "KANARIEvalue"}, token=third.token)
    world.ok("POST", "/sdk/tokens", token=first.credential)
    world.ok("PUT", f"/v3/installs/{first.id}/state", {"state": "disabled", "reason": "KANARIEreason"})
    world.settled()
    return linked["id"], (first, second, third), mistaken


def test_no_canary_is_left_in_any_file(world):
    user_id, installs, mistaken = somebody(world)
    users = {user_id, *(install.user for install in installs)}
    assert world.found(EMAIL)
    export = world.call("GET", f"/v3/users/{user_id}/export")
    assert "KANARIE" in export.text
    told = world.ok("DELETE", f"/users/{user_id}?dry_run=true")
    assert world.call("GET", f"/v2/users/{user_id}").status_code == 200
    receipt = world.ok("DELETE", f"/users/{user_id}")
    assert receipt["deleted"] == told["deleted"]
    assert receipt["deleted"]["installs"] == 3
    # the mistaken one lives on, and its own device facts with it
    world.ok("DELETE", f"/users/{world.ok('GET', '/sdk/install', token=mistaken.token)['user_id']}")
    assert world.found(*users, *(install.id for install in installs), EMAIL, ALIAS, RELEASED) == {}
    assert world.call("GET", f"/v3/users/{user_id}/export").status_code == 404
    world.platform.stop()
    assert world.found(*users, *(install.id for install in installs), mistaken.id) == {}


def test_late_calls_are_told_and_the_account_comes_back_as_somebody_new(world):
    user_id, installs, _ = somebody(world)
    before = world.call("DELETE", f"/users/{user_id}").text
    for install in installs:
        assert world.upload(install, world.now).status_code == 410
        assert world.call("GET", "/sdk/install", token=install.token).status_code == 410
        assert world.call("POST", "/sdk/tokens", token=install.credential).status_code == 410
    for user in {user_id, *(install.user for install in installs)}:
        assert world.call("DELETE", f"/users/{user}").text == before
        assert world.call("GET", f"/v2/users/{user}").status_code == 404
        assert world.call("GET", f"/v3/users/{user}/ledger").status_code == 404
    link = world.call("POST", f"/v2/users/{installs[0].id}/link", {"external_id": EMAIL})
    assert (link.status_code, link.json()["errorCode"]) == (403, "INSTALL_DELETED")
    again = world.register()
    assert world.ok("POST", f"/v2/users/{again.id}/link", {"external_id": EMAIL})["id"] == again.user


def test_the_command_line_erases_beside_the_server_searches_and_proves_it(world, tmp_path):
    user_id, installs, mistaken = somebody(world)
    would = world.platform.command("erase", "--user", user_id, "--dry-run")
    assert would["dry_run"]
    receipt = world.platform.command("erase", "--user", user_id)
    assert receipt["deleted"] == would["deleted"]
    assert world.platform.command("erase", "--user", user_id) == receipt
    assert world.upload(installs[2], world.now).status_code == 410
    assert world.found(EMAIL, ALIAS, user_id).keys() <= {"unbroken.db", "unbroken.db-wal"}  # the mistaken one's model
    file, key = tmp_path / "receipt.json", tmp_path / "key.pem"
    file.write_text(json.dumps(receipt, indent=4))
    key.write_text(world.platform.command("receipt", "public-key")["public_key"])
    assert world.platform.command("receipt", "verify", str(file))["genuine"]
    assert world.platform.command("receipt", "verify", str(file), "--public-key", str(key))["genuine"]
    file.write_text(json.dumps(receipt | {"erased_at": "2026-01-01T00:00:00.000+00:00"}))
    with pytest.raises(ProcessFailed, match="not genuine"):
        world.platform.command("receipt", "verify", str(file))
    world.platform.command("erase", "--install", mistaken.id)
    assert world.call("GET", "/sdk/install", token=mistaken.token).status_code == 410
    assert world.found(EMAIL, ALIAS, user_id) == {}


@pytest.mark.counts_requests("a stretch of time that is erased again has a receipt and a fact more, of what came since")
def test_a_stretch_of_time_is_erased_over_http(world):
    user_id, _, _ = somebody(world)
    window = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    items = world.http.delete(f"/v3/users/{user_id}/items", params=window, headers=world.key)
    assert items.json()["deleted"]["items"] == 6
    assert world.ok("GET", f"/v3/users/{user_id}/items")["items"] == []
    assert erased(world, user_id) == 1


def test_an_install_is_erased_over_http(world):
    user_id, (first, second, third), _ = somebody(world)
    done = world.ok("DELETE", f"/v3/installs/{second.id}")
    assert world.ok("DELETE", f"/v3/installs/{second.id}") == done
    assert world.upload(second, world.now).status_code == 410
    assert world.upload(third, world.now).status_code == 202
    assert erased(world, user_id) == 1
    assert world.http.delete(f"/v3/users/{user_id}/items", headers=world.key).status_code == 400
    assert world.call("DELETE", f"/v3/installs/{'0' * 24}").status_code == 404
    assert world.call("GET", f"/v2/users/{user_id}").status_code == 200
    assert world.ok("DELETE", f"/users/{user_id}")["erased"] == "user"
    assert first.id != third.id


def erased(world, user_id):
    """How often the ledger of somebody says that a part was erased."""
    return [fact["kind"] for fact in world.ok("GET", f"/v3/users/{user_id}/ledger")["facts"]].count("erased")
