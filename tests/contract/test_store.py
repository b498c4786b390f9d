"""What `unbroken.store.contract` promises, on every engine."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.store.contract import (
    CallRefused,
    ConstraintViolation,
    Store,
    StoreUnavailable,
    Transaction,
    UniqueViolation,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio

ADD = "INSERT INTO things (name, number) VALUES ($1, $2)"
NUMBER = "SELECT number FROM things WHERE name = $1"
NAMES = "SELECT name FROM things ORDER BY name"


def add(name: str, number: int = 0) -> Callable[[Transaction], Awaitable[int]]:
    return lambda tx: tx.run(ADD, name, number)


async def names(store: Store) -> list[str]:
    return [name for (name,) in await store.read(lambda tx: tx.all(NAMES))]


async def increment(tx: Transaction) -> int:
    row = await tx.one("SELECT number FROM things WHERE name = $1 FOR UPDATE", "counter")
    assert row is not None
    await tx.run("UPDATE things SET number = $2 WHERE name = $1", "counter", row[0] + 1)
    return int(row[0]) + 1


# Writing


async def test_what_a_write_did_is_there_when_it_returns(store: Store) -> None:
    assert await store.write(add("a", 7)) == 1

    assert await store.read(lambda tx: tx.one(NUMBER, "a")) == (7,)


async def test_it_is_there_after_closing_and_opening_again(store: Store, reopen: Any) -> None:
    await store.write(add("a"))
    await store.close()

    assert await names(await reopen()) == ["a"]


async def test_a_call_that_raises_leaves_nothing_and_raises_the_same(store: Store) -> None:
    async def call(tx: Transaction) -> None:
        await tx.run(ADD, "a", 1)
        raise LookupError("the caller's own")

    with pytest.raises(LookupError, match="the caller's own"):
        await store.write(call)

    assert await names(store) == []


async def test_a_call_that_raises_takes_no_other_with_it(store: Store) -> None:
    async def broken(tx: Transaction) -> None:
        await tx.run(ADD, "broken", 1)
        raise LookupError

    calls = [store.write(broken if i % 3 == 0 else add(f"a{i}")) for i in range(30)]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert [isinstance(answer, LookupError) for answer in answers] == [i % 3 == 0 for i in range(30)]
    assert await names(store) == sorted(f"a{i}" for i in range(30) if i % 3)


async def test_calls_take_effect_one_after_the_other(store: Store) -> None:
    await store.write(add("counter", 0))

    answers = await asyncio.gather(*[store.write(increment) for _ in range(200)])

    assert sorted(answers) == list(range(1, 201))
    assert await store.read(lambda tx: tx.one(NUMBER, "counter")) == (200,)


async def test_two_stores_on_one_database_wait_for_each_other(store: Store, reopen: Any) -> None:
    other = await reopen()
    await store.write(add("counter", 0))

    answers = await asyncio.gather(*[(store, other)[i % 2].write(increment) for i in range(100)])

    assert sorted(answers) == list(range(1, 101))


async def test_a_waiter_that_is_cancelled_before_its_turn_takes_its_call_with_it(store: Store, gate: Any) -> None:
    standing = asyncio.create_task(store.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    cancelled = asyncio.create_task(store.write(add("cancelled")))
    kept = asyncio.create_task(store.write(add("kept")))
    await asyncio.sleep(0)  # both have taken their place
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    gate.opened.set()
    await standing
    await kept

    assert await names(store) == ["kept"]


async def test_the_effect_of_a_call_stands_if_its_waiter_is_cancelled_during_its_turn(store: Store, gate: Any) -> None:
    async def call(tx: Transaction) -> None:
        await gate(tx)
        await tx.run(ADD, "a", 1)

    waiting = asyncio.create_task(store.write(call))
    await asyncio.to_thread(gate.entered.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.opened.set()
    await store.write(add("b"))

    assert await names(store) == ["a", "b"]


# Statements


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("whole", 0),
        ("whole", 2**63 - 1),
        ("whole", -(2**63)),
        ("broken", 0.1),
        ("broken", -1.5e300),
        ("words", ""),
        ("words", "Zoë 👩‍👩‍👧 'quoted' $1 ?"),
        ("raw", b""),
        ("raw", bytes(range(256))),
        ("whole", None),
        ("words", None),
        ("raw", None),
    ],
)
async def test_a_value_comes_back_as_it_went(store: Store, column: str, value: Any) -> None:
    await store.write(lambda tx: tx.run(f"INSERT INTO kinds (kind_no, {column}) VALUES (1, $1)", value))

    row = await store.read(lambda tx: tx.one(f"SELECT {column} FROM kinds"))

    assert row == (value,)
    assert row is not None
    assert type(row[0]) is type(value)


async def test_a_boolean_keeps_its_truth(store: Store) -> None:
    await store.write(
        lambda tx: tx.many("INSERT INTO kinds (kind_no, truth) VALUES ($1, $2)", [(1, True), (2, False), (3, None)])
    )

    rows = await store.read(lambda tx: tx.all("SELECT truth FROM kinds ORDER BY kind_no"))

    assert [None if truth is None else bool(truth) for (truth,) in rows] == [True, False, None]
    assert await store.read(lambda tx: tx.one("SELECT kind_no FROM kinds WHERE truth = TRUE")) == (1,)


async def test_parameters_may_stand_in_any_order_and_more_than_once(store: Store) -> None:
    await store.write(add("a", 5))

    row = await store.read(
        lambda tx: tx.one("SELECT name, number FROM things WHERE number < $2 AND name = $1 AND name <> $3", "a", 6, "b")
    )
    twice = await store.read(lambda tx: tx.one("SELECT name FROM things WHERE name = $1 OR name = $1", "a"))

    assert (row, twice) == (("a", 5), ("a",))


async def test_many_runs_once_for_each_row_in_their_order(store: Store) -> None:
    async def call(tx: Transaction) -> None:
        await tx.many(ADD, [(f"a{i}", i) for i in range(3)])
        await tx.many("UPDATE things SET number = number * 10 + $2 WHERE name = $1", [("a1", 5), ("a1", 6)])
        await tx.many(ADD, [])

    await store.write(call)

    assert await store.read(lambda tx: tx.all("SELECT * FROM things ORDER BY name")) == [
        ("a0", 0),
        ("a1", 156),
        ("a2", 2),
    ]


async def test_each_answers_for_each_of_its_rows_in_their_order(store: Store) -> None:
    raised = "UPDATE things SET number = number * 10 + $2 WHERE name = $1 RETURNING number"
    kept = f"{ADD} ON CONFLICT (name) DO NOTHING RETURNING name"

    async def call(tx: Transaction) -> list[Any]:
        await tx.many(ADD, [(f"a{i}", i) for i in range(3)])
        return [
            await tx.each("SELECT number FROM things WHERE name >= $1 ORDER BY name", [("a1",), ("a9",), ("a2",)]),
            await tx.each(raised, [("a1", 5), ("nobody", 1), ("a1", 6)]),
            await tx.each(kept, [("a1", 0), ("b", 0), ("b", 0)]),
            await tx.each(NUMBER, []),
        ]

    assert await store.write(call) == [
        [[(1,), (2,)], [], [(2,)]],
        [[(15,)], [], [(156,)]],
        [[], [("b",)], []],
        [],
    ]
    assert await store.read(lambda tx: tx.each(NUMBER, [("a0",), ("a1",)])) == [[(0,)], [(156,)]]


async def test_run_tells_how_many_rows_it_changed(store: Store) -> None:
    await store.write(lambda tx: tx.many(ADD, [("a", 1), ("b", 2), ("c", 3)]))

    assert await store.write(lambda tx: tx.run("UPDATE things SET number = 0 WHERE number > $1", 1)) == 2
    assert await store.write(lambda tx: tx.run("DELETE FROM things WHERE name = $1", "nobody")) == 0
    assert await store.write(lambda tx: tx.run(f"{ADD} ON CONFLICT (name) DO NOTHING", "a", 9)) == 0
    assert await store.write(lambda tx: tx.run("\n  DELETE FROM things WHERE name = $1", "a")) == 1
    through_with = "WITH gone AS (SELECT $1 AS name) DELETE FROM things WHERE name IN (SELECT name FROM gone)"
    assert await store.write(lambda tx: tx.run(through_with, "b")) == 1


async def test_one_is_none_where_there_is_no_row(store: Store) -> None:
    assert await store.read(lambda tx: tx.one(NUMBER, "nobody")) is None
    assert await store.read(lambda tx: tx.all(NUMBER, "nobody")) == []


async def test_returning_answers_what_was_written(store: Store) -> None:
    async def call(tx: Transaction) -> tuple[Any, Any, Any]:
        first = await tx.one("INSERT INTO notes (thing) VALUES (NULL) RETURNING note_no")
        second = await tx.all("INSERT INTO notes (thing) VALUES (NULL), (NULL) RETURNING note_no")
        replaced = await tx.one(
            f"{ADD} ON CONFLICT (name) DO UPDATE SET number = excluded.number RETURNING number", "a", 4
        )
        return first, second, replaced

    first, second, replaced = await store.write(call)

    assert first is not None
    assert [number for (number,) in second] == [first[0] + 1, first[0] + 2]
    assert replaced == (4,)


async def test_a_number_that_was_given_out_is_never_given_out_again(store: Store) -> None:
    insert = "INSERT INTO notes (thing) VALUES (NULL) RETURNING note_no"
    first = await store.write(lambda tx: tx.one(insert))
    await store.write(lambda tx: tx.run("DELETE FROM notes"))
    second = await store.write(lambda tx: tx.one(insert))

    assert first is not None
    assert second is not None
    assert second[0] > first[0]


# Failing statements


async def test_a_key_that_is_taken_is_a_unique_violation_and_names_the_table(store: Store) -> None:
    await store.write(add("a", 1))

    with pytest.raises(UniqueViolation) as caught:
        await store.write(add("a", 2))

    assert caught.value.table == "things"
    assert await store.read(lambda tx: tx.one(NUMBER, "a")) == (1,)


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("INSERT INTO things (name, number) VALUES ('a', $1)", 1_000_000),
        ("INSERT INTO things (name, number) VALUES ('a', $1)", None),
        ("INSERT INTO notes (thing) VALUES ($1)", "nobody"),
    ],
)
async def test_another_constraint_is_no_unique_violation(store: Store, statement: str, value: Any) -> None:
    with pytest.raises(ConstraintViolation) as caught:
        await store.write(lambda tx: tx.run(statement, value))

    assert not isinstance(caught.value, UniqueViolation)


async def test_a_call_that_catches_the_error_of_its_statement_is_lost_all_the_same(store: Store) -> None:
    await store.write(add("taken"))

    async def call(tx: Transaction) -> str:
        await tx.run(ADD, "a", 1)
        try:
            await tx.run(ADD, "taken", 1)
        except UniqueViolation:
            return "carried on"
        return "not reached"

    with pytest.raises(UniqueViolation):
        await store.write(call)

    assert await names(store) == ["taken"]


async def test_nothing_follows_a_statement_that_failed(store: Store) -> None:
    await store.write(add("taken"))
    met: list[Exception] = []

    async def call(tx: Transaction) -> None:
        for name in ("taken", "a"):
            try:
                await tx.run(ADD, name, 1)
            except UniqueViolation as error:
                met.append(error)

    with pytest.raises(UniqueViolation):
        await store.write(call)

    assert len(met) == 2
    assert await names(store) == ["taken"]


@pytest.mark.parametrize(
    "statement", ["SELEKT 1", "SELECT nothing FROM nowhere", "INSERT INTO things (name) VALUES ($1"]
)
async def test_a_mistake_in_a_statement_is_not_taken_for_trouble(store: Store, statement: str) -> None:
    async def call(tx: Transaction) -> None:
        await tx.run(ADD, "a", 1)
        await tx.run(statement, *["x"] * statement.count("$"))

    with pytest.raises(Exception) as caught:
        await store.write(call)

    assert not isinstance(caught.value, StoreUnavailable)
    assert await names(store) == []


async def test_values_that_do_not_fit_the_parameters_are_refused(store: Store) -> None:
    for values in [(), ("a",), ("a", 1, 2)]:
        with pytest.raises(ValueError, match="takes 2 values"):
            await store.write(lambda tx, values=values: tx.run(ADD, *values))

    assert await names(store) == []


# Calls that break the rules


async def suspending(tx: Transaction) -> None:
    if (await tx.one("SELECT 1")) == (1,):
        await asyncio.sleep(0)


async def test_a_write_that_suspends_is_refused_and_leaves_nothing(store: Store) -> None:
    async def call(tx: Transaction) -> None:
        await tx.run(ADD, "a", 1)
        await suspending(tx)

    refused, kept = await asyncio.gather(store.write(call), store.write(add("b")), return_exceptions=True)

    assert isinstance(refused, CallRefused)
    assert kept == 1
    assert await names(store) == ["b"]


async def test_a_read_that_suspends_is_refused(store: Store) -> None:
    with pytest.raises(CallRefused):
        await store.read(suspending)
    with pytest.raises(CallRefused):
        await store.read_long(suspending)

    assert await names(store) == []


async def test_a_write_within_a_read_is_refused_and_does_not_happen(store: Store) -> None:
    async def call(_: Transaction) -> None:
        await store.write(add("a"))

    with pytest.raises(CallRefused):
        await store.read(call)
    await store.write(add("b"))

    assert "b" in await names(store)


async def test_a_transaction_cannot_be_used_after_its_end(store: Store) -> None:
    kept: list[Transaction] = []

    async def call(tx: Transaction) -> None:
        kept.append(tx)

    await store.write(call)
    await store.read(call)

    for tx in kept:
        with pytest.raises(CallRefused):
            await tx.run(ADD, "a", 1)
    assert await names(store) == []


@pytest.mark.parametrize("how", ["read", "read_long"])
async def test_a_read_may_not_write(store: Store, how: str) -> None:
    with pytest.raises(CallRefused):
        await getattr(store, how)(add("a"))

    assert await names(store) == []


# Waking


async def test_what_a_call_leaves_to_do_is_found_by_whoever_waits_for_it(store: Store, reopen: Any) -> None:
    other = await reopen()

    async def leave_work(tx: Transaction) -> None:
        await tx.run(ADD, "work", 0)
        tx.wake()

    async def find_work() -> list[str]:
        while not (found := await names(other)):
            await other.woken()
        return found

    finding = asyncio.create_task(find_work())
    await asyncio.sleep(0)
    await store.write(leave_work)

    assert await asyncio.wait_for(finding, 30) == ["work"]


# Reading


@pytest.mark.parametrize("how", ["read", "read_long"])
async def test_a_read_is_one_snapshot(store: Store, opener: Any, how: str) -> None:
    await store.write(add("a"))

    async def from_elsewhere() -> None:
        other = await opener()
        await other.write(add("b"))
        await other.close()

    async def call(tx: Transaction) -> list[Any]:
        before = await tx.all(NAMES)
        elsewhere = threading.Thread(target=lambda: asyncio.run(from_elsewhere()))
        elsewhere.start()
        elsewhere.join()
        return [before, await tx.all(NAMES)]

    assert await getattr(store, how)(call) == [[("a",)], [("a",)]]
    assert await names(store) == ["a", "b"]


async def test_a_read_sees_nothing_of_a_write_that_is_not_durable_yet(store: Store, gate: Any) -> None:
    async def call(tx: Transaction) -> None:
        await tx.run(ADD, "a", 1)
        await gate(tx)

    writing = asyncio.create_task(store.write(call))
    await asyncio.to_thread(gate.entered.wait)
    during = await names(store)
    gate.opened.set()
    await writing

    assert during == []
    assert await names(store) == ["a"]


async def test_a_read_raises_what_its_call_raises_and_the_next_one_works(store: Store) -> None:
    async def call(tx: Transaction) -> None:
        await tx.all(NAMES)
        raise LookupError

    for read in (store.read, store.read_long):
        with pytest.raises(LookupError):
            await read(call)
        assert await read(lambda tx: tx.all(NAMES)) == []


async def test_a_long_read_leaves_the_event_loop_free(store: Store) -> None:
    begun, go_on = threading.Event(), threading.Event()

    async def call(tx: Transaction) -> list[Any]:
        begun.set()
        assert go_on.wait(30)
        return await tx.all(NAMES)

    long = asyncio.create_task(store.read_long(call))
    await asyncio.to_thread(begun.wait)
    await store.write(add("a"))
    assert not long.done()
    go_on.set()

    assert await long in ([], [("a",)])


async def test_more_long_reads_than_threads_are_all_answered(store: Store) -> None:
    await store.write(add("a"))

    answers = await asyncio.gather(*[store.read_long(lambda tx: tx.all(NAMES)) for _ in range(50)])

    assert answers == [[("a",)]] * 50


# What stands in the tables


async def test_the_catalogue_names_every_table_with_its_columns(store: Store) -> None:
    tables = await store.catalogue()

    assert tables["things"] == ["name", "number"]
    assert {"notes", "kinds", "installs", "schema_migrations", "log_records"} <= tables.keys()


@pytest.mark.parametrize(
    ("column", "value", "needle", "is_whole", "count"),
    [
        ("words", "Zoë's", "oë".encode(), False, 1),
        ("words", "Zoë's", "oë".encode(), True, 0),
        ("words", "Zoë's", "Zoë's".encode(), True, 1),
        ("raw", b"\x00\xffab", b"\xffa", False, 1),
        ("raw", b"\x00\xffab", b"\x00\xffab", True, 1),
        ("raw", b"\\x6162", b"ab", False, 0),
        ("whole", 12345, b"234", False, 1),
        ("whole", None, b"None", False, 0),
    ],
)
async def test_rows_are_counted_by_the_bytes_of_a_column(
    store: Store, column: str, value: Any, needle: bytes, count: int, *, is_whole: bool
) -> None:
    await store.write(lambda tx: tx.run(f"INSERT INTO kinds (kind_no, {column}) VALUES (1, $1)", value))
    await store.write(lambda tx: tx.run("INSERT INTO kinds (kind_no) VALUES (2)"))

    assert await store.count_rows("kinds", column, needle, is_whole=is_whole) == count


# Closing


async def test_closing_finishes_the_calls_that_wait(store: Store, reopen: Any) -> None:
    waiting = [asyncio.create_task(store.write(add(f"a{i}"))) for i in range(20)]
    await asyncio.sleep(0)  # all have taken their place
    await store.close()

    assert await asyncio.gather(*waiting) == [1] * 20
    assert len(await names(await reopen())) == 20


async def test_closing_twice_is_harmless(store: Store) -> None:
    await asyncio.gather(store.close(), store.close())
    await store.close()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()

    for refused in (store.write, store.read, store.read_long):
        with pytest.raises(StoreUnavailable, match="closed"):
            await refused(lambda tx: tx.all(NAMES))
