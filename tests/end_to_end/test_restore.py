"""A backup is taken while phones register, link and upload, and restored into a new directory.

The copy serves, breaks no law, and holds everything that was acknowledged before the backup began.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Self

import pytest
from tests.deploy.programs import DEPLOY, program
from tests.faults.test_server_killed import Acknowledged, Client, Round, compare
from tests.model.api import Api, App, Connection, create_app

from unbroken.testing.process import PlatformProcess, spawn, stop_process

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 8
WAIT_S = 60.0
MARK = "acknowledged before the backup was complete"


def by_copying_pages(data: Path, copy: Path) -> None:
    """`.backup`: SQLite's own, page by page."""
    with closing(sqlite3.connect(data)) as running, closing(sqlite3.connect(copy)) as target:
        running.backup(target)


def by_writing_anew(data: Path, copy: Path) -> None:
    """`VACUUM INTO`: compact, and without anything that was deleted."""
    with closing(sqlite3.connect(data)) as running:
        running.execute("VACUUM INTO ?", (str(copy),))


class Load:
    """Phones and their server, at work until it is over."""

    def __init__(self, platform: PlatformProcess, app: App) -> None:
        self.round = Round(platform.base_url, app, 0)
        self.clients = [Client(self.round, number, []) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.round.over.set()
        for client in self.clients:
            client.join(WAIT_S)
            assert not client.wrong, client.wrong

    def acknowledged(self) -> Acknowledged:
        """Of the installs with which a client is done; what follows can be done to the one that it works with."""
        done = Acknowledged()
        for client in self.clients:
            installs = list(client.mine.installs.items())[:-1]
            done.installs |= dict(installs)
            done.links |= {id_: client.mine.links[id_] for id_, _ in installs if id_ in client.mine.links}
            done.items |= {id_: list(client.mine.items[id_]) for id_, _ in installs if id_ in client.mine.items}
        return done


def restored(platform: PlatformProcess, database: Path, directory: Path) -> PlatformProcess:
    """As the how-to says: the copy and the two small files, in a new directory."""
    data = directory / "restored"
    data.mkdir(mode=0o700)
    shutil.copy(database, data / "unbroken.db")
    for name in ("keys.json", "mode.json"):
        shutil.copy(platform.data / name, data / name)
    return PlatformProcess(data, lab=False)


def assert_whole(copy: PlatformProcess, app: App, promised: Acknowledged) -> None:
    assert copy.command("verify")["findings"] == []
    with copy:
        compare(copy, app, promised)
    assert copy.command("verify")["findings"] == []


@pytest.mark.parametrize("take", [by_copying_pages, by_writing_anew])
def test_a_backup_taken_under_load_holds_all_that_was_acknowledged_before_it(tmp_path, take):
    with PlatformProcess(tmp_path / "data", lab=False) as platform:
        app = create_app(platform, "backed up", link_burst="1000000")
        with Load(platform, app) as load:
            load.round.await_count(300)
            promised = load.acknowledged()
            take(platform.data / "unbroken.db", tmp_path / "copy.db")
            load.round.await_count(load.round.await_count(0) + 50)  # the platform went on serving
    assert promised.links
    assert promised.items
    assert_whole(restored(platform, tmp_path / "copy.db", tmp_path), app, promised)


def test_litestream_has_copied_all_that_was_acknowledged_before_its_last_sync(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False) as platform:
        app = create_app(platform, "backed up", link_burst="1000000")
        with Litestream(platform, tmp_path) as litestream, Load(platform, app) as load:
            load.round.await_count(300)
            promised = load.acknowledged()
            platform.command("app", "create", MARK)
            copy = litestream.restored_with(MARK)
    assert promised.links
    assert_whole(restored(platform, copy, tmp_path), app, promised)


def test_what_litestream_holds_up_is_purged_while_it_pauses(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False) as platform:
        app = create_app(platform, "backed up", link_burst="1000000")
        with Litestream(platform, tmp_path) as litestream:
            with Load(platform, app) as load:
                load.round.await_count(100)
                promised = load.acknowledged()
            litestream.restored_with("backed up")
            erase(platform, app, next(iter(promised.links.values()))[1])
            assert stale(platform), "Litestream does not hold up a purge any more: say so in docs/how-to/back-up.md"
        platform.command("purge")
        assert not stale(platform)
        platform.command("app", "create", MARK)
        with litestream:
            copy = litestream.restored_with(MARK)
    assert restored(platform, copy, tmp_path).command("verify")["findings"] == []


class Litestream:
    """Litestream beside a platform, as deploy/litestream.yml configures it."""

    def __init__(self, platform: PlatformProcess, directory: Path) -> None:
        self._database = platform.data / "unbroken.db"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._directory / "litestream.log").open("ab") as output:
            words = [program("litestream"), "replicate", "-config", str(DEPLOY / "litestream.yml")]
            self._process = spawn(words, self._environment(), output)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        stop_process(self._process)

    def restored_with(self, name: str) -> Path:
        """Restore until an app of that name is in the copy."""
        deadline = time.monotonic() + WAIT_S
        while True:
            copy = self._directory / "copy.db"
            copy.unlink(missing_ok=True)
            done = self._restore(copy)
            if done.returncode == 0 and name in apps_in(copy):
                return copy
            assert time.monotonic() < deadline, done.stderr + (self._directory / "litestream.log").read_text()

    def _restore(self, copy: Path) -> subprocess.CompletedProcess[str]:
        words = ["restore", "-config", str(DEPLOY / "litestream.yml"), "-o", str(copy), str(self._database)]
        return subprocess.run(
            [program("litestream"), *words], env=self._environment(), capture_output=True, text=True, check=False
        )

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "UNBROKEN_DATA": str(self._database.parent),
            "LITESTREAM_META": str(self._directory / "litestream"),
            "LITESTREAM_REPLICA_URL": (self._directory / "replica").as_uri(),
        }


def apps_in(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM apps")}


def erase(platform: PlatformProcess, app: App, user_id: str) -> None:
    """By HTTP: the command also searches, finds the stale copies, and fails."""
    with closing(Connection(platform.base_url)) as connection:
        reply = Api(connection, lab=False).erase(app.bearer, user_id)
    assert reply.status == 200, reply


def stale(platform: PlatformProcess) -> bool:
    checks = platform.command("doctor")["checks"]
    return any(check["check"] == "erasures" for check in checks)
