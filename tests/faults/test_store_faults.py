"""What is left when the process, the disk or another program gets in SQLite's way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.contract import Record
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SeededRandomness
from unbroken.store.contract import Call, CallRefused, Store, StoreRefused, StoreUnavailable, Transaction
from unbroken.store.migrate import Migration, load, packaged
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

# ruff: noqa: ASYNC221, ASYNC240 - a test may stop its own loop

pytestmark = pytest.mark.anyio

CHILD = Path(__file__).with_name("store_child.py")
MIGRATIONS = [
    *load(Path(__file__).parents[1] / "contract" / "migrations"),
    *(m for m in packaged() if m.name.startswith("log")),
]
ADD = "INSERT INTO things (name, number) VALUES ($1, $2)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unbroken.db"


async def opened(path: Path, **how: Any) -> SqliteStore:
    return await SqliteStore.open(path, migrations=how.pop("migrations", MIGRATIONS), **how)


async def made(path: Path) -> None:
    """A database with one row in it."""
    store = await opened(path)
    await store.write(add("a"))
    await store.close()


def add(name: str, number: int = 0) -> Call[int]:
    return lambda tx: tx.run(ADD, name, number)


async def names(store: Store) -> list[str]:
    return [name for (name,) in await store.read(lambda tx: tx.all("SELECT name FROM things ORDER BY name"))]


def child(role: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, CHILD, role, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


# The process


async def test_a_process_that_is_killed_has_stored_all_that_it_acknowledged(path: Path) -> None:
    """Killed at some point under concurrent writes and appends, again and again, on one and the same file."""
    chance = SeededRandomness(1)
    pairs: set[int] = set()
    records: set[int] = set()
    for _ in range(10):
        acknowledged = run_until_killed(path, int(chance.fraction() * 600))
        pairs |= {int(words[1]) for words in acknowledged if words[0] == b"pair"}
        records |= {int(words[1]) for words in acknowledged if words[0] == b"record"}
        await check(path, pairs, records)

    assert len(pairs) > 500
    assert len(records) > 500


def run_until_killed(path: Path, after: int) -> list[list[bytes]]:
    """What a writing child acknowledged, having been killed at or soon after acknowledgement number `after`."""
    process = child("writer", path)
    assert process.stdout is not None
    assert process.stdin is not None
    with process, process.stdout as stdout:
        lines = [stdout.readline() for _ in range(after + 1)]
        process.kill()
        lines += stdout.readlines()
        process.stdin.close()
    assert lines[0], "the child did not start"
    return [line.split() for line in lines if line.endswith(b"\n")]


async def check(path: Path, pairs: set[int], records: set[int]) -> None:
    store = await opened(path)
    try:
        lefts = await store.read_long(lambda tx: tx.all("SELECT number FROM things WHERE name LIKE 'left %'"))
        rights = await store.read_long(lambda tx: tx.all("SELECT number FROM things WHERE name LIKE 'right %'"))
        log = EmbeddedLog(store)
        kept = [one async for one in everything(log)]
        assert {number for (number,) in lefts} == {number for (number,) in rights}, "half a call was stored"
        assert pairs <= {number for (number,) in lefts}
        assert records <= {record.received_at for record in kept}
        assert await store.read_long(lambda tx: tx.one("PRAGMA integrity_check")) == ("ok",)
    finally:
        await store.close()


async def everything(log: EmbeddedLog) -> Any:
    for partition in await log.behind():
        for _, record in await log.read(partition, 1_000_000):
            yield record


async def test_what_is_acknowledged_was_synced(path: Path) -> None:
    # a killed process proves nothing about a power cut: that SQLite syncs before COMMIT returns is this setting
    store = await opened(path)

    assert await store.write(lambda tx: tx.one("PRAGMA synchronous")) == (2,)
    assert await store.write(lambda tx: tx.one("PRAGMA journal_mode")) == ("wal",)
    await store.close()


async def test_a_program_that_forgets_to_close_the_store_still_ends(path: Path) -> None:
    with child("forgets", path) as process:
        output, _ = await asyncio.to_thread(process.communicate, timeout=30)

    assert (output, process.returncode) == (b"written\n", 0)
    store = await opened(path)
    assert await names(store) == ["a"]
    await store.close()


async def test_nothing_is_left_open_after_closing(path: Path) -> None:
    before = open_files(path), set(threading.enumerate())
    store = await opened(path)
    await store.write(add("a"))
    await names(store)
    await asyncio.gather(*[store.read_long(lambda tx: tx.one("SELECT 1")) for _ in range(8)])
    assert open_files(path) > before[0]
    await store.close()

    assert open_files(path) == before[0] == 0
    assert {thread.name for thread in set(threading.enumerate()) - before[1]} <= {"asyncio_0"}  # the loop's own
    assert [file.name for file in path.parent.iterdir()] == ["unbroken.db"]


async def test_an_opening_that_is_cancelled_leaves_nothing_open(path: Path) -> None:
    await made(path)
    opening = asyncio.create_task(opened(path))
    await asyncio.sleep(0)  # its thread was started
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    for thread in threading.enumerate():
        if thread.name == "unbroken-writer":
            await asyncio.to_thread(thread.join, 30)

    assert open_files(path) == 0


def open_files(path: Path) -> int:
    targets = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(str(target).startswith(str(path)) for target in targets)


async def test_breaking_off_a_long_read_does_not_hold_up_closing(path: Path) -> None:
    store = await opened(path)
    begun = threading.Event()

    async def endless(tx: Transaction) -> Any:
        begun.set()
        return await tx.one("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")

    reading = asyncio.create_task(store.read_long(endless))
    await asyncio.to_thread(begun.wait)
    await asyncio.wait_for(store.close(), 30)

    with pytest.raises(StoreUnavailable, match="closing"):
        await reading


# Groups


class Gate:
    """A call that holds up the writer: what is asked meanwhile becomes one group."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    async def __call__(self, tx: Transaction) -> None:
        self.entered.set()
        assert self.opened.wait(30)
        await tx.one("SELECT 1")


async def together(store: Store, *calls: Call[Any]) -> list[Any]:
    """The answers of calls that were surely in one group."""
    gate = Gate()
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    tasks = [asyncio.create_task(store.write(call)) for call in calls]
    await asyncio.sleep(0)  # all have taken their place
    gate.opened.set()
    await standing
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_group_that_sqlite_took_back_is_run_again_call_by_call(path: Path) -> None:
    await made(path)
    store = await opened(path)
    runs: list[str] = []

    def counted(name: str, statement: str = ADD) -> Call[int]:
        async def call(tx: Transaction) -> int:
            runs.append(name)
            return await tx.run(statement, name, 1)

        return call

    # OR ROLLBACK ends the whole transaction, as SQLite itself does on a full disk
    answers = await together(
        store, counted("b"), counted("a", ADD.replace("INSERT", "INSERT OR ROLLBACK")), counted("c")
    )

    assert (answers[0], answers[2]) == (1, 1)
    assert isinstance(answers[1], Exception)
    assert await names(store) == ["a", "b", "c"]
    assert runs == ["b", "a", "b", "a", "c"]
    await store.close()


async def test_if_the_commit_fails_every_caller_gets_the_error_and_nothing_stays(path: Path) -> None:
    store = await opened(path)
    await store.write(
        lambda tx: tx.run("CREATE TABLE late (thing TEXT REFERENCES things (name) DEFERRABLE INITIALLY DEFERRED)")
    )

    answers = await together(store, add("a"), lambda tx: tx.run("INSERT INTO late VALUES ('nobody')"), add("b"))

    assert all(isinstance(answer, Exception) for answer in answers)
    assert len({id(answer) for answer in answers}) == 3
    assert await names(store) == []
    assert await store.write(add("c")) == 1
    await store.close()


@pytest.mark.parametrize("statement", ["COMMIT", " rollback to call", "END", "SAVEPOINT mine", "begin"])
async def test_a_call_may_not_begin_or_end_a_transaction(path: Path, statement: str) -> None:
    store = await opened(path)

    answers = await together(store, add("a"), lambda tx: tx.run(statement), add("b"))

    assert isinstance(answers[1], CallRefused)
    assert (answers[0], answers[2]) == (1, 1)
    with pytest.raises(CallRefused):
        await store.write(lambda tx: tx.run(statement))
    await store.close()


async def test_appends_whose_flush_is_cancelled_are_told_that_they_may_not_be_stored(path: Path) -> None:
    store = await opened(path)
    log = EmbeddedLog(store)
    gate = Gate()
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)

    async def append(number: int) -> None:
        await log.append(Record(b"install-0001", number, b"body"), first_of_install=False)

    in_flight = asyncio.create_task(append(1))
    await asyncio.sleep(0)  # it has begun to flush
    await asyncio.sleep(0)  # its write has taken its place
    waiting = asyncio.create_task(append(2))
    await asyncio.sleep(0)
    assert log._flushing is not None
    log._flushing.cancel()
    answers = await asyncio.gather(in_flight, waiting, return_exceptions=True)
    gate.opened.set()
    await standing

    assert {type(answer) for answer in answers} == {StoreUnavailable}
    await append(3)
    assert [record.received_at for _, record in await log.read(log.partition_of(b"install-0001"), 9)] == [3]
    await store.close()


async def test_a_larger_crowd_than_a_group_holds_is_answered(path: Path) -> None:
    store = await opened(path)

    assert await together(store, *[add(f"a{i}") for i in range(1000)]) == [1] * 1000
    await store.close()


# The disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB, all for the test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", folder):
        pytest.skip("CANNOT MOUNT A FILE SYSTEM HERE: a disk that is really full or read-only is not tested. Be root.")
    yield folder
    subprocess.run(["umount", folder], check=True)


def mount(*words: str | Path) -> bool:
    return subprocess.run(["mount", *words], capture_output=True, check=False).returncode == 0


async def test_on_a_full_disk_what_is_acknowledged_is_stored_and_nothing_else(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 2_000_000)
    store = await opened(disk / "unbroken.db")

    acknowledged, errors = await write_until_it_fails(store)

    assert acknowledged
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert all("disk" in str(error) for error in errors)
    assert await names(store) == sorted(acknowledged)
    with pytest.raises(StoreUnavailable):
        await EmbeddedLog(store).append(Record(b"install-0001", 1, b"x" * 3_000_000), first_of_install=False)
    ballast.unlink()
    assert await store.write(add("z")) == 1
    await EmbeddedLog(store).append(Record(b"install-0001", 1, b"x" * 100_000), first_of_install=False)
    await store.close()

    again = await opened(disk / "unbroken.db")
    assert await names(again) == [*sorted(acknowledged), "z"]
    assert await again.read(lambda tx: tx.one("PRAGMA integrity_check")) == ("ok",)
    await again.close()


async def test_on_a_file_that_may_not_grow_the_same_holds(path: Path) -> None:
    # needs no mount, so it is tested everywhere
    store = await opened(path)
    pages = await store.write(lambda tx: tx.one("PRAGMA page_count"))
    assert pages is not None
    await store.write(lambda tx: tx.one(f"PRAGMA max_page_count = {pages[0] + 100}"))

    acknowledged, errors = await write_until_it_fails(store)

    assert acknowledged
    assert {type(error) for error in errors} == {StoreUnavailable}
    assert await names(store) == sorted(acknowledged)
    await store.write(lambda tx: tx.one("PRAGMA max_page_count = 1000000"))
    assert await store.write(add("z")) == 1
    await store.close()


async def write_until_it_fails(store: Store) -> tuple[list[str], list[Exception]]:
    """Writes of several sizes from many tasks; what was acknowledged, and what the others met."""
    acknowledged: list[str] = []
    errors: list[Exception] = []

    async def client(number: int) -> None:
        for i in range(10_000):
            name = f"{number} {i} " + "x" * (number * 400)
            try:
                await store.write(add(name))
            except StoreUnavailable as error:
                errors.append(error)
                return
            acknowledged.append(name)

    await asyncio.gather(*[client(number) for number in range(16)])
    return acknowledged, errors


async def test_a_store_on_a_read_only_disk_is_refused(disk: Path) -> None:
    await made(disk / "unbroken.db")
    assert mount("-o", "remount,ro", disk)

    for name in ("unbroken.db", "new.db", "new folder/new.db"):
        with pytest.raises(StoreRefused, match="writable"):
            await opened(disk / name)


async def test_a_file_that_cannot_be_written_is_refused(path: Path) -> None:
    await made(path)
    path.chmod(0o444)
    if os.geteuid() == 0:
        # permissions do not bind root; an immutable file does, or a read-only mount, tested above
        attributes = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)
        if attributes.returncode != 0:
            pytest.skip("CANNOT MAKE A FILE IMMUTABLE HERE: that root meets a read-only file is not tested.")
    try:
        with pytest.raises(StoreRefused, match="writable"):
            await opened(path)
    finally:
        if os.geteuid() == 0:
            subprocess.run(["chattr", "-i", path], check=True)


async def test_the_file_is_its_owners_only(path: Path) -> None:
    store = await opened(path.parent / "deep" / "down" / "unbroken.db")
    await store.write(add("a"))

    folder = path.parent / "deep" / "down"
    assert folder.stat().st_mode & 0o077 == 0
    assert {file.name: file.stat().st_mode & 0o077 for file in folder.iterdir()} == {
        "unbroken.db": 0,
        "unbroken.db-wal": 0,
        "unbroken.db-shm": 0,
    }
    await store.close()


async def test_what_was_deleted_is_not_left_in_the_file(path: Path) -> None:
    store = await opened(path)
    await store.write(lambda tx: tx.many(ADD, [(f"secret {i} " + "x" * 3000, 1) for i in range(50)]))
    await store.write(lambda tx: tx.run("DELETE FROM things"))
    await store.close()

    assert b"secret" not in path.read_bytes()


# Other programs


async def test_a_write_waits_for_another_process_and_reads_do_not(path: Path) -> None:
    store = await opened(path)
    with child("holder", path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        writing = asyncio.create_task(store.write(add("a")))
        assert await names(store) == []
        await asyncio.to_thread(holder.communicate, timeout=30)

        assert await asyncio.wait_for(writing, 30) == 1
    await store.close()


async def test_a_write_that_waited_too_long_says_that_another_process_is_in_the_way(path: Path) -> None:
    store = await opened(path, busy_timeout_s=0.05)
    with child("holder", path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        answers = await asyncio.gather(store.write(add("a")), store.write(add("b")), return_exceptions=True)
        await asyncio.to_thread(holder.communicate, timeout=30)

    assert {type(answer) for answer in answers} == {StoreUnavailable}
    assert all("Another process" in str(answer) for answer in answers)
    assert await store.write(add("c")) == 1
    assert await names(store) == ["c"]
    await store.close()


async def test_a_database_that_stays_locked_cannot_be_opened(path: Path) -> None:
    await made(path)
    with child("holder", path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreRefused, match="Another process"):
            await opened(path, busy_timeout_s=0.05)
        opening = asyncio.create_task(opened(path))
        await asyncio.to_thread(holder.communicate, timeout=30)

        store = await asyncio.wait_for(opening, 30)
    await store.close()


async def test_many_who_open_a_new_database_at_once_all_get_it(path: Path) -> None:
    stores = await asyncio.gather(*[opened(path) for _ in range(8)])
    for i, store in enumerate(stores):
        await store.write(add(f"a{i}"))

    assert await names(stores[0]) == [f"a{i}" for i in range(8)]
    for store in stores:
        await store.close()


# The file


async def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_bytes(b"no database at all " * 1000)

    with pytest.raises(StoreRefused, match="restore a backup"):
        await opened(path)

    assert path.read_bytes() == b"no database at all " * 1000


async def test_a_file_that_was_cut_off_is_refused(path: Path) -> None:
    await made(path)
    os.truncate(path, path.stat().st_size // 2)

    with pytest.raises(StoreRefused, match="restore a backup"):
        await opened(path)


async def test_a_file_that_is_damaged_inside_says_so_where_it_is_read(path: Path) -> None:
    store = await opened(path)
    await store.write(lambda tx: tx.many(ADD, [(f"{i:05}" + "x" * 500, i) for i in range(500)]))
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\xff" * 8192 + whole[len(whole) // 2 + 8192 :])
    store = await opened(path)

    with pytest.raises(StoreUnavailable, match="restore a backup"):
        await store.read(lambda tx: tx.all("SELECT name, number FROM things NOT INDEXED"))

    await store.close()


async def test_a_directory_is_no_database(path: Path) -> None:
    with pytest.raises(StoreRefused, match="is a directory"):
        await opened(path.parent)


async def test_a_file_is_no_directory(path: Path) -> None:
    path.write_text("a file")

    for below in (path / "unbroken.db", path / "folder" / "unbroken.db"):
        with pytest.raises(StoreRefused, match="not a directory"):
            await opened(below)


async def test_a_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
        connection.commit()

    with pytest.raises(StoreRefused, match="another program"):
        await opened(path)

    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


# Migrations

FIRST = Migration(1, "first", "CREATE TABLE first (a BIGINT);")
SECOND = Migration(2, "second", "CREATE TABLE second (a BIGINT); INSERT INTO second VALUES (2);")


async def test_a_database_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    await (await opened(path, migrations=[FIRST, SECOND])).close()

    with pytest.raises(StoreRefused, match="newer version"):
        await opened(path, migrations=[FIRST])

    store = await opened(path, migrations=[FIRST, SECOND])
    assert await store.read(lambda tx: tx.all("SELECT a FROM second")) == [(2,)]
    await store.close()


async def test_a_migration_that_was_changed_afterwards_is_refused(path: Path) -> None:
    await (await opened(path, migrations=[FIRST])).close()

    with pytest.raises(StoreRefused, match="0001_first"):
        await opened(path, migrations=[Migration(1, "first", FIRST.text.replace("BIGINT", "TEXT"))])


async def test_a_database_of_an_older_version_is_brought_up_to_date_once(path: Path) -> None:
    await (await opened(path, migrations=[FIRST])).close()
    for _ in range(3):
        store = await opened(path, migrations=[FIRST, SECOND])
        assert await store.read(lambda tx: tx.all("SELECT a FROM second")) == [(2,)]
        await store.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    broken = Migration(2, "second", "CREATE TABLE second (a BIGINT);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(StoreRefused, match="nowhere"):
        await opened(path, migrations=[FIRST, broken])

    store = await opened(path, migrations=[FIRST, SECOND])
    assert await store.read(lambda tx: tx.all("SELECT version, name FROM schema_migrations ORDER BY version")) == [
        (1, "first"),
        (2, "second"),
    ]
    await store.close()


async def test_the_migrations_of_this_version_make_a_store(path: Path) -> None:
    store = await SqliteStore.open(path)

    assert await EmbeddedLog(store).behind() == []
    await store.close()
