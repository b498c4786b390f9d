"""The comparison of tables compares the same work on all of them."""

from __future__ import annotations

import asyncio

from bench.partitions import KINDS, Size, Tables, measure, page

SMALL = Size(installs=20, days=4, rounds=1, times=8)


def test_every_kind_of_table_does_all_of_it(schemas):
    told = asyncio.run(measure(schemas.create(), SMALL))
    assert {frozenset(of) for of in told.values()} == {frozenset(KINDS)}
    assert page(told).count("\n") == len(told) + 1


def test_every_kind_of_table_holds_the_same(schemas):
    async def contents(kind: str) -> list[object]:
        made = await Tables.make(schemas.create(), kind, SMALL)
        try:
            return [
                await made.connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in ("payloads", "events")
            ]
        finally:
            await made.connection.close()

    whole, *others = [asyncio.run(contents(kind)) for kind in KINDS]
    assert all(len(rows) > 0 for rows in whole)
    assert others == [whole, whole]
