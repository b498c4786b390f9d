"""Pepper and external-id key are replaced under load, on real servers; whoever does it is killed, and it goes on.

Eight callers ask for people by their external ids, link known and new ones, several at once to the same, and redeem
codes, on every server in turn. No answer may be an error, and one external id is one user from beginning to end.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from random import Random  # noqa: TID251 - seeded
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from tests.engines import POSTGRES, SQLITE, Engine
from tests.model.api import PHONE, Api, App, Connection, create_app

from unbroken.clock import SystemClock
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN = 160
CALLERS = 8
WAIT_S = 120.0
COLUMNS = (
    ("facts", "sealed_id"), ("installs", "sealed_id"), ("users", "sealed_id"), ("carriers", "sealed_id"),
    ("auth_codes", "sealed_id"), ("installs", "credential_key"), ("spent_credentials", "spent_key"),
    ("idempotency", "reply"),
)  # fmt: skip


class Register:
    """Which user an external id is, as the first answer said it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.users: dict[str, str] = {}
        self.wrong: list[str] = []
        self.calls = 0
        self.over = threading.Event()

    def told(self, external_id: str, status: int, user_id: Any) -> None:
        with self._lock:
            self.calls += 1
            if status not in {200, 201} or self.users.setdefault(external_id, user_id) != user_id:
                self.wrong.append(f"{external_id}: {status} {user_id}, it was {self.users.get(external_id)}")


class Caller(threading.Thread):
    """A customer's backend and his phones."""

    def __init__(self, number: int, urls: list[str], app: App, register: Register) -> None:
        super().__init__(daemon=True)
        self.random = Random(number)
        self.apis = [Api(Connection(url), lab=False) for url in urls]
        self.app, self.register, self.turn = app, register, 0

    def run(self) -> None:
        try:
            while not self.register.over.is_set():
                self.turn += 1
                api = self.random.choice(self.apis)
                known = f"person-{self.random.randrange(KNOWN)}"
                self.find(api, known)
                self.link(api, known)
                self.link(api, f"new-{self.turn}")  # the same for all callers, at about the same time
                self.find(api, f"new-{self.turn}")
                self.redeem(api, self.random.choice([known, f"new-{self.turn}", f"by code-{self.turn}"]))
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            self.register.wrong.append(repr(error))
        finally:
            for api in self.apis:
                api.connection.close()

    def find(self, api: Api, external_id: str) -> None:
        reply = api.find(self.app.bearer, external_id)
        self.register.told(external_id, reply.status, reply.json.get("id"))

    def link(self, api: Api, external_id: str) -> None:
        install_id = api.register(self.app.basic, PHONE).json["install_id"]
        reply = api.link(self.app.bearer, install_id, external_id, key=f"{self.name}.{self.turn}.{external_id}")
        self.register.told(external_id, reply.status, reply.json.get("id"))

    def redeem(self, api: Api, external_id: str) -> None:
        minted = api.mint(self.app.bearer, external_id)
        assert minted.status == 200, minted
        reply = api.register(None, PHONE, code=minted.json["authentication_code"])
        self.register.told(external_id, reply.status, reply.json.get("user_id"))


@pytest.mark.parametrize("name", [SQLITE, POSTGRES])
def test_nobody_is_missed_or_made_twice_while_the_key_is_replaced_and_whoever_does_it_is_killed(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = Engine(name, request).place()
    platforms = [PlatformProcess(tmp_path / "one", lab=False, settings=settings).start()]
    try:
        if name == POSTGRES:
            (tmp_path / "two").mkdir(mode=0o700)
            carry_keys(tmp_path)
            shutil.copy(tmp_path / "one" / "mode.json", tmp_path / "two")
            platforms.append(PlatformProcess(tmp_path / "two", lab=False, settings=settings).start())
        app = create_app(platforms[0], "rotated", link_burst="1000000")
        register = Register()
        rotate(platforms, app, register, tmp_path)
        assert register.wrong == []
        assert register.calls > 200
        assert set(under(platforms[0].data, settings)) == {"s2."}
        for platform in platforms:  # which have nothing but the new key now
            platform.stop()
            platform.start()
        with closing(Connection(platforms[-1].base_url)) as connection:
            for external_id, user_id in register.users.items():
                found = Api(connection, lab=False).find(app.bearer, external_id)
                assert (found.status, found.json.get("id")) == (200, user_id), external_id
        assert platforms[0].command("verify")["findings"] == []
    finally:
        for platform in platforms:
            platform.stop()


def rotate(platforms: list[PlatformProcess], app: App, register: Register, tmp_path: Path) -> None:
    with closing(Connection(platforms[0].base_url)) as connection:
        api = Api(connection, lab=False)
        for number in range(KNOWN):
            install_id = api.register(app.basic, PHONE).json["install_id"]
            reply = api.link(app.bearer, install_id, f"person-{number}")
            register.told(f"person-{number}", reply.status, reply.json.get("id"))
    callers = [Caller(number, [one.base_url for one in platforms], app, register) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    change_pepper(platforms, tmp_path)
    words = ["rotate", "external-ids"]
    if len(platforms) > 1:
        assert platforms[0].command(*words)["copy_keys"] is True
        carry_keys(tmp_path)
        words.append("--copied")
    kill_on_the_way(platforms[0], words)
    done = platforms[0].command(*words)
    assert done["key"] == 2
    assert done["resealed"] > KNOWN
    assert platforms[0].command(*words[:2], "--finish")["dropped_keys"] == [1]
    if len(platforms) > 1:
        carry_keys(tmp_path)
    register.over.set()
    for caller in callers:
        caller.join(WAIT_S)
        assert not caller.is_alive()


def change_pepper(platforms: list[PlatformProcess], tmp_path: Path) -> None:
    """In the same load: callers show secrets from before, and are given new ones."""
    words = ["rotate", "pepper"]
    if len(platforms) > 1:
        assert platforms[0].command(*words)["copy_keys"] is True
        carry_keys(tmp_path)
        words.append("--copied")
    changed = platforms[0].command(*words)
    assert (changed["pepper"], changed["copy_keys"]) == (2, len(platforms) > 1)
    if len(platforms) > 1:
        carry_keys(tmp_path)
    assert changed["left"]["install credentials"] >= KNOWN
    finished = platforms[0].command("rotate", "pepper", "--finish")
    assert finished["dropped_peppers"] == []  # phones that were not renewed since need the first one
    if len(platforms) > 1:
        carry_keys(tmp_path)


def test_a_server_keeps_what_it_gives_out_under_the_new_pepper_once_no_copy_is_asked_for_any_more(tmp_path, schemas):
    """Else it is unknown everywhere as soon as the earlier pepper is let go of."""
    settings = {"database_url": schemas.create()}
    with PlatformProcess(tmp_path / "one", lab=False, settings=settings) as one:
        app = create_app(one, "rotated")
        (tmp_path / "two").mkdir(mode=0o700)
        shutil.copy(tmp_path / "one" / "mode.json", tmp_path / "two")
        carry_keys(tmp_path)
        with PlatformProcess(tmp_path / "two", lab=False, settings=settings) as two:
            for more in ([], ["--copied"]):
                if one.command("rotate", "pepper", *more)["copy_keys"]:
                    carry_keys(tmp_path)
            with closing(Connection(two.base_url)) as connection:
                phone = Api(connection, lab=False).register(app.basic, PHONE).json
                one.command("rotate", "pepper", "--finish", "--force")
                carry_keys(tmp_path)
                assert Api(connection, lab=False).tokens(phone["install_credential"]).status == 200


def carry_keys(tmp_path: Path) -> None:
    shutil.copy(tmp_path / "one" / "keys.json", tmp_path / "two" / "keys.json")


def kill_on_the_way(platform: PlatformProcess, words: list[str]) -> None:
    """SIGKILL when some ids are under the new key, and before all are."""
    rotating = subprocess.Popen(
        [sys.executable, "-m", "unbroken", *words], env=platform._environment(), stdout=subprocess.DEVNULL
    )
    until = SystemClock().now_ms() + int(WAIT_S * 1000)
    try:
        while "s2." not in under(platform.data, platform._settings):
            assert rotating.poll() is None
            assert SystemClock().now_ms() < until
    finally:
        rotating.send_signal(signal.SIGKILL)
        rotating.wait()
    assert set(under(platform.data, platform._settings)) == {"s1.", "s2."}


def under(data: Path, settings: dict[str, str]) -> Iterator[str]:
    """How what is sealed begins, each cell."""
    for table, column in COLUMNS:
        statement = f"SELECT DISTINCT substr({column}, 1, 3) FROM {table} WHERE {column} IS NOT NULL"
        for value in asked(data, settings, statement):
            yield value.decode() if isinstance(value, bytes) else value


def asked(data: Path, settings: dict[str, str], statement: str) -> list[Any]:
    if "database_url" not in settings:
        with closing(sqlite3.connect(data / "unbroken.db", timeout=60)) as file:
            return [value for (value,) in file.execute(statement)]

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(settings["database_url"])
        try:
            return [row[0] for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    return asyncio.run(ask())
