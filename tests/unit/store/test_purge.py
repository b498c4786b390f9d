"""Purging: what was deleted is in no file of the store any more, also where SQLite has left stale copies of keys."""

from __future__ import annotations

import asyncio
from random import Random  # noqa: TID251 - seeded, so that the pages are split in the same places

import pytest

from unbroken.store.contract import StoreUnavailable
from unbroken.store.scan import count_in, scan
from unbroken.store.sqlite import SqliteStore, store


def keys(count: int) -> list[bytes]:
    chance = Random(1)
    return [chance.randbytes(12) for _ in range(count)]


async def fill_and_delete(opened: SqliteStore, gone: list[bytes], kept: list[bytes]) -> None:
    async def add(tx):
        await tx.run("CREATE TABLE captures (install_id BYTEA, seq BIGINT, body BYTEA, PRIMARY KEY (install_id, seq))")
        rows = [(one, number, b"x" * 100) for number in range(4) for one in [*gone, *kept]]
        await tx.many("INSERT INTO captures VALUES ($1, $2, $3)", rows)

    await opened.write(add)
    statement = "DELETE FROM captures WHERE install_id = $1"
    await opened.write(lambda tx: tx.many(statement, [(one,) for one in gone]))


def test_no_stale_copy_of_a_key_is_left_in_any_file(tmp_path):
    gone, kept = keys(3000)[:1500], keys(3000)[1500:]

    async def story():
        opened = await SqliteStore.open(tmp_path / "test.db", migrations=[])
        await fill_and_delete(opened, gone, kept)
        before = scan(tmp_path, gone)
        is_done = await opened.purge(rewrite_up_to_bytes=None)
        after, rest = scan(tmp_path, gone), scan(tmp_path, kept[:10])
        await opened.close()
        return before, is_done, after, rest

    before, is_done, after, rest = asyncio.run(story())
    assert before, "nothing was left to purge: this test shows nothing any more"
    assert is_done
    assert after == {}
    assert rest


def test_a_file_that_is_too_large_is_not_written_anew(tmp_path):
    gone, kept = keys(3000)[:1500], keys(3000)[1500:]

    async def story():
        opened = await SqliteStore.open(tmp_path / "test.db", migrations=[])
        await fill_and_delete(opened, gone, kept)
        put_off = await opened.purge(rewrite_up_to_bytes=100_000)
        log_bytes = (tmp_path / "test.db-wal").stat().st_size
        made_up_for = await opened.purge(rewrite_up_to_bytes=None)
        await opened.close()
        return put_off, log_bytes, made_up_for

    assert asyncio.run(story()) == (False, 0, True)
    assert scan(tmp_path, gone) == {}


def test_a_read_that_goes_on_puts_the_purge_off_and_holds_up_no_write(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_LOG_TRIES", 3)

    async def story():
        opened = await SqliteStore.open(tmp_path / "test.db", migrations=[])
        await opened.write(lambda tx: tx.run("CREATE TABLE things (name TEXT)"))
        begun, over = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()

        async def read(tx):
            await tx.one("SELECT count(*) FROM things")
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(over.wait(), loop).result()

        reading = asyncio.create_task(opened.read_long(read))
        await begun.wait()
        await opened.write(lambda tx: tx.run("INSERT INTO things VALUES ('a')"))
        with pytest.raises(StoreUnavailable, match="long read"):
            await opened.purge(rewrite_up_to_bytes=None)
        over.set()
        await reading
        assert await opened.purge(rewrite_up_to_bytes=None)
        await opened.close()

    asyncio.run(story())


def test_a_hit_across_two_blocks_is_found_and_none_is_counted_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("unbroken.store.scan._BLOCK_BYTES", 7)
    (tmp_path / "file").write_bytes(b"....canary..canarycanary...")
    assert count_in(tmp_path / "file", [b"canary", b"no"]) == 3
