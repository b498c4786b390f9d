"""Statements that run while everybody waits find their rows by an index, however much of others there is."""

from __future__ import annotations

import asyncio

import pytest

from unbroken.log import embedded
from unbroken.store import auth_codes, erasure
from unbroken.store.sqlite import SqliteStore

ERASING = [
    statement for group in (erasure._OF_INSTALL, erasure._OF_USER, erasure._OF_EXTERNAL_ID) for _, statement in group
]


async def plan(path, statement: str) -> list[str]:
    store = await SqliteStore.open(path)
    try:
        count = max(int(number) for number in range(1, 10) if f"${number}" in statement)
        rows = await store.read(lambda tx: tx.all(f"EXPLAIN QUERY PLAN {statement}", *[None] * count))
        return [row[3] for row in rows]
    finally:
        await store.close()


@pytest.mark.parametrize("statement", [auth_codes._VOID_MINTED, embedded._TAKE, *ERASING])
def test_no_table_is_searched_from_end_to_end(tmp_path, statement):
    steps = asyncio.run(plan(tmp_path / "unbroken.db", statement))
    assert steps
    assert [step for step in steps if not step.startswith("SEARCH")] == []


def test_a_scan_would_be_noticed(tmp_path):
    steps = asyncio.run(plan(tmp_path / "unbroken.db", "DELETE FROM auth_codes WHERE actor = $1"))
    assert [step.split()[0] for step in steps] == ["SCAN"]
