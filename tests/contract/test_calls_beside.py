"""Calls that say what they hold (`Transaction.hold`): side by side or not, nobody can tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.store.contract import UniqueViolation
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from unbroken.store.contract import Store, Transaction

pytestmark = pytest.mark.anyio

NAMES = [f"t{number:02}" for number in range(40)]
NUMBER = "SELECT number FROM things WHERE name = $1"
SET = "UPDATE things SET number = $2 WHERE name = $1"
ADD = "INSERT INTO things (name, number) VALUES ($1, $2)"


async def together(store: Store, gate: Any, calls: Iterable[Callable[[Transaction], Awaitable[Any]]]) -> list[Any]:
    """The answers of calls that wait together until they are run."""
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    waiting = [asyncio.create_task(store.write(call)) for call in calls]
    await asyncio.sleep(0)  # all have taken their place
    gate.opened.set()
    await standing
    return await asyncio.gather(*waiting, return_exceptions=True)


async def fill(store: Store) -> None:
    await store.write(lambda tx: tx.many(ADD, [(name, number) for number, name in enumerate(NAMES)]))


async def things(store: Store) -> dict[str, int]:
    return dict(await store.read(lambda tx: tx.all("SELECT name, number FROM things")))


async def test_each_call_reads_its_own_rows(store: Store, gate: Any) -> None:
    await fill(store)

    def reads(name: str) -> Callable[[Transaction], Awaitable[Any]]:
        async def call(tx: Transaction) -> Any:
            await tx.hold(name.encode(), beside=True)
            return (
                await tx.one(NUMBER, name),
                await tx.one(NUMBER, f"no {name}"),
                await tx.all("SELECT name FROM things WHERE name >= $1 ORDER BY name DESC LIMIT $2", name, 3),
                await tx.all("SELECT name FROM things WHERE name > $1 AND name < $1", name),
                await tx.one("SELECT count(*) FROM things"),
            )

        return call

    answers = await together(store, gate, map(reads, NAMES))
    assert store.groups_again == 0

    for number, (name, answer) in enumerate(zip(NAMES, answers, strict=True)):
        last = [(one,) for one in reversed(NAMES)][:3]
        last = last[: 40 - number]
        assert answer == ((number,), None, last, [], (40,)), name


async def test_each_call_is_told_how_many_rows_it_changed_and_reads_what_it_wrote(store: Store, gate: Any) -> None:
    await fill(store)

    def writes(name: str) -> Callable[[Transaction], Awaitable[Any]]:
        async def call(tx: Transaction) -> Any:
            await tx.hold(name.encode(), beside=True)
            counts = [
                await tx.run(SET, name, 100 + int(name[1:])),
                await tx.run(SET, f"no {name}", 1),
                await tx.run(ADD, f"new {name}", 7),
                await tx.run(f"{ADD} ON CONFLICT (name) DO NOTHING", name, 8),
                await tx.run(f"{ADD} ON CONFLICT (name) DO UPDATE SET number = excluded.number", f"new {name}", 9),
                await tx.run("DELETE FROM things WHERE name = $1 OR name = $2", f"gone {name}", f"no {name}"),
            ]
            await tx.many(ADD, [(f"{name} {place}", place) for place in range(int(name[1:]) % 3)])
            row = await tx.one("UPDATE things SET number = number + $2 WHERE name = $1 RETURNING number", name, 1)
            note = await tx.one("INSERT INTO notes (thing) VALUES ($1) RETURNING note_no, thing", name)
            return counts, row, note, await tx.one(NUMBER, f"new {name}")

        return call

    answers = await together(store, gate, map(writes, NAMES))

    for number, (counts, row, note, new) in enumerate(answers):
        assert (counts, row, new) == ([1, 0, 1, 0, 1, 0], (101 + number,), (9,))
        assert note[1] == NAMES[number]
    assert len({note[0] for _, _, note, _ in answers}) == 40
    notes = dict(await store.read(lambda tx: tx.all("SELECT note_no, thing FROM notes")))
    assert notes == {note[0]: note[1] for _, _, note, _ in answers}
    assert len(await things(store)) == 40 + 40 + sum(number % 3 for number in range(40))


async def test_calls_that_hold_the_same_take_effect_one_after_the_other(store: Store) -> None:
    await store.write(lambda tx: tx.run(ADD, "counter", 0))

    async def increment(tx: Transaction) -> int:
        await tx.hold(b"counter", beside=True)
        row = await tx.one(NUMBER, "counter")
        assert row is not None
        await tx.run(SET, "counter", row[0] + 1)
        return int(row[0]) + 1

    answers = await asyncio.gather(*[store.write(increment) for _ in range(100)])

    assert sorted(answers) == list(range(1, 101))


@pytest.mark.parametrize("writes_first", [False, True])
async def test_what_several_calls_hold_in_any_order_goes_from_one_to_the_other(
    store: Store, gate: Any, writes_first: bool
) -> None:
    await fill(store)

    def moves(number: int) -> Callable[[Transaction], Awaitable[Any]]:
        giver, taker = NAMES[number * 7 % 40], NAMES[(number * 7 + 1 + number % 39) % 40]

        async def call(tx: Transaction) -> Any:
            await tx.hold(giver.encode(), beside=True)
            if writes_first:
                await tx.run(ADD, f"order {number}", number)
            gives = await tx.one(NUMBER, giver)
            await tx.hold(taker.encode())
            takes = await tx.one(NUMBER, taker)
            assert gives is not None
            assert takes is not None
            await tx.run(SET, giver, gives[0] - 3)
            await tx.run(SET, taker, takes[0] + 3)
            return giver, taker

        return call

    answers = await together(store, gate, [moves(number) for number in range(60)])

    wanted = {name: number for number, name in enumerate(NAMES)}
    for giver, taker in answers:
        wanted[giver] -= 3
        wanted[taker] += 3
    found = await things(store)
    assert {name: found[name] for name in NAMES} == wanted
    assert len(found) == 40 + 60 * writes_first


@pytest.mark.parametrize("wrote", [False, True])
async def test_a_call_that_raises_takes_no_other_with_it(store: Store, gate: Any, wrote: bool) -> None:
    def adds(number: int) -> Callable[[Transaction], Awaitable[Any]]:
        async def call(tx: Transaction) -> None:
            await tx.hold(b"%d" % number, beside=True)
            if wrote or number % 3:
                await tx.run(ADD, f"a{number}", number)
            if number % 3 == 0:
                raise LookupError(number)

        return call

    answers = await together(store, gate, map(adds, range(30)))

    assert [isinstance(answer, LookupError) for answer in answers] == [number % 3 == 0 for number in range(30)]
    assert await things(store) == {f"a{number}": number for number in range(30) if number % 3}
    assert (store.groups_again > 0) == (wrote and not isinstance(store, SqliteStore))


async def test_a_constraint_concerns_only_the_call_that_contradicts_it(store: Store, gate: Any) -> None:
    await store.write(lambda tx: tx.run(ADD, "a4", 0))

    def adds(number: int) -> Callable[[Transaction], Awaitable[Any]]:
        async def call(tx: Transaction) -> None:
            await tx.hold(b"%d" % number, beside=True)
            await tx.run(ADD, f"a{number}", number)

        return call

    answers = await together(store, gate, map(adds, range(10)))

    assert [type(answer) for answer in answers] == [
        UniqueViolation if number == 4 else type(None) for number in range(10)
    ]
    assert len(await things(store)) == 10


async def test_calls_of_both_kinds_see_each_other(store: Store, gate: Any) -> None:
    await fill(store)

    def raises(number: int) -> Callable[[Transaction], Awaitable[Any]]:
        name = NAMES[number]

        async def one(tx: Transaction) -> None:
            if number % 2:
                await tx.hold(name.encode(), beside=True)
            row = await tx.one(NUMBER, name)
            assert row is not None
            await tx.run(SET, name, row[0] + 1)

        return one

    await together(store, gate, [raises(number) for number in range(20)] + [raises(number) for number in range(20)])

    found = await things(store)
    assert [found[name] for name in NAMES[:20]] == [number + 2 for number in range(20)]


async def test_calls_that_do_not_hold_and_fail_late_leave_those_beside_as_they_are(store: Store, gate: Any) -> None:
    await fill(store)

    def adds(number: int) -> Callable[[Transaction], Awaitable[Any]]:
        async def call(tx: Transaction) -> None:
            if number % 3:
                await tx.hold(b"%d" % number, beside=True)
            await tx.run(ADD, f"a{number}", number)
            if number % 9 == 0:
                raise LookupError(number)
            if number % 9 == 3:
                await tx.run(ADD, NAMES[0], 1)

        return call

    answers = await together(store, gate, map(adds, range(27)))

    kinds = {0: LookupError, 3: UniqueViolation}
    assert [type(answer) for answer in answers] == [kinds.get(number % 9, type(None)) for number in range(27)]
    assert {name for name in await things(store) if name[0] == "a"} == {
        f"a{number}" for number in range(27) if number % 9 not in kinds
    }


async def test_a_call_that_asks_on_its_way_out_harms_nobody(store: Store, gate: Any) -> None:
    await fill(store)

    async def asks(tx: Transaction) -> Any:
        try:
            return await tx.one(NUMBER, NAMES[1])
        finally:
            await tx.one(NUMBER, NAMES[2])

    async def holds(tx: Transaction) -> Any:
        await tx.hold(b"same", beside=True)
        return await tx.one(NUMBER, NAMES[3])

    assert await together(store, gate, [asks, holds, asks, holds, holds]) == [(1,), (3,), (1,), (3,), (3,)]
