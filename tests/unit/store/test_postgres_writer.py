"""How a group of calls is run, tried again and given up, on a connection that fails as it is told to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from unbroken.store.contract import StoreUnavailable, UniqueViolation
from unbroken.store.postgres import writer
from unbroken.store.postgres.commit import MARKED
from unbroken.store.postgres.connection import Limits
from unbroken.store.postgres.writer import PASSED_MAX, TRIES, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.store.contract import Transaction

# ruff: noqa: ASYNC109 - as asyncpg has it


class Connection:
    """Remembers what it was told; `fails` says which error a statement meets, if any."""

    def __init__(self, fails: Callable[[str], Exception | None]) -> None:
        self.told: list[str] = []
        self._fails = fails
        self._is_closed = False
        self._is_in_transaction = False

    async def execute(self, statement: str, *values: Any, timeout: float | None = None) -> str:
        await asyncio.sleep(0)
        word = statement.split(maxsplit=1)[0]
        self.told.append(f"{word} {values[0]}" if values else " ".join(statement.split()[:2]).rstrip(";"))
        if statement == MARKED:
            self.told[-1], word = "MARKED COMMIT", "COMMIT"
        error = self._fails(self.told[-1])
        if error is not None:
            self._is_closed |= isinstance(error, OSError)
            raise error
        self._is_in_transaction = word not in {"COMMIT", "ROLLBACK"} or statement.startswith("ROLLBACK TO")
        return "INSERT 0 1" if values else word

    def add_log_listener(self, listener: Any) -> None:
        pass

    def remove_log_listener(self, listener: Any) -> None:
        pass

    def get_settings(self) -> Any:
        return SimpleNamespace(default_transaction_read_only="off", in_hot_standby="off")

    def is_closed(self) -> bool:
        return self._is_closed

    def is_in_transaction(self) -> bool:
        return self._is_in_transaction

    def terminate(self) -> None:
        self._is_closed = True

    async def close(self, timeout: float) -> None:
        self._is_closed = True


class Server:
    """Gives out connections to one list of statements."""

    def __init__(self, fails: Callable[[str], Exception | None] = lambda _: None, *, connections: int = 10) -> None:
        self.connections: list[Connection] = []
        self._fails = fails
        self._left = connections

    async def connect(self) -> Connection:
        if self._left == 0:
            raise StoreUnavailable("away")
        self._left -= 1
        self.connections.append(Connection(self._fails))
        return self.connections[-1]

    @property
    def told(self) -> list[str]:
        return [statement for connection in self.connections for statement in connection.told]


def add(name: str) -> Any:
    return lambda tx: tx.run("INSERT INTO things (name) VALUES ($1)", name)


def write_together(server: Server, *calls: Any) -> list[Any]:
    async def main() -> list[Any]:
        writing = Writer(server.connect, ring=lambda: None)
        answers = await asyncio.gather(*map(writing.write, calls), return_exceptions=True)
        await writing.stop()
        return answers

    return asyncio.run(main())


def once(error: Exception, at: str) -> Callable[[str], Exception | None]:
    left = [error]
    return lambda statement: left.pop() if statement == at and left else None


def always(error: Callable[[], Exception], at: str) -> Callable[[str], Exception | None]:
    return lambda statement: error() if statement == at else None


def test_calls_that_wait_together_are_one_transaction_without_savepoints():
    server = Server()

    assert write_together(server, add("a"), add("b")) == [1, 1]
    assert server.told == ["BEGIN ISOLATION", "INSERT a", "INSERT b", "COMMIT"]


def test_a_call_that_raises_before_it_wrote_costs_the_others_nothing():
    async def refused(tx: Transaction) -> None:
        raise LookupError

    server = Server()
    answers = write_together(server, add("a"), refused, add("b"))

    assert [type(answer) for answer in answers] == [int, LookupError, int]
    assert server.told == ["BEGIN ISOLATION", "INSERT a", "INSERT b", "COMMIT"]


def test_one_that_raises_after_it_wrote_makes_the_group_run_again_with_savepoints():
    async def refused(tx: Transaction) -> None:
        await add("r")(tx)
        raise LookupError

    server = Server()
    answers = write_together(server, add("a"), refused)

    assert [type(answer) for answer in answers] == [int, LookupError]
    assert server.told == [
        "BEGIN ISOLATION", "INSERT a", "INSERT r", "ROLLBACK",
        "BEGIN ISOLATION", "SAVEPOINT call", "INSERT a", "RELEASE call",
        "SAVEPOINT call", "INSERT r", "ROLLBACK TO", "RELEASE call", "COMMIT",
    ]  # fmt: skip


def test_work_that_can_wait_has_a_group_of_its_own_after_those_that_somebody_waits_for():
    async def main() -> None:
        writing = Writer(server.connect, ring=lambda: None)
        behind = [writing.write(add(name), behind=True) for name in "xy"]
        await asyncio.gather(*behind, *[writing.write(add(name)) for name in "ab"])
        await writing.stop()

    server = Server()
    asyncio.run(main())

    assert [told for told in server.told if told.startswith("INSERT")] == [f"INSERT {name}" for name in "abxy"]
    assert server.told.count("COMMIT") == 2


def test_work_that_can_wait_waits_also_after_many_groups_that_it_did_not_wait_for():
    async def main() -> None:
        writing = Writer(server.connect, ring=lambda: None)
        for name in "abcdefgh":
            await writing.write(add(name))
        await asyncio.gather(writing.write(add("x"), behind=True), writing.write(add("y")))
        await writing.stop()

    server = Server()
    asyncio.run(main())

    assert server.told.index("INSERT y") < server.told.index("INSERT x")


def test_work_that_can_wait_gets_its_turn_while_callers_come_without_end():
    async def caller(writing: Writer, done: asyncio.Event) -> None:
        while not done.is_set():
            await writing.write(add("a"))

    async def main() -> None:
        writing, done = Writer(server.connect, ring=lambda: None), asyncio.Event()
        callers = [asyncio.create_task(caller(writing, done)) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await writing.write(add("x"), behind=True)
        done.set()
        await asyncio.gather(*callers)
        await writing.stop()

    server = Server()
    asyncio.run(main())

    assert server.told[: server.told.index("INSERT x")].count("COMMIT") <= PASSED_MAX + 1


def test_one_alone_that_fails_is_rolled_back_and_told_by_the_contract():
    server = Server(always(lambda: asyncpg.UniqueViolationError("taken"), "INSERT a"))

    (answer,) = write_together(server, add("a"))

    assert isinstance(answer, UniqueViolation)
    assert server.told == ["BEGIN ISOLATION", "INSERT a", "ROLLBACK"]


def test_the_victim_of_a_deadlock_is_run_again():
    server = Server(once(asyncpg.DeadlockDetectedError("deadlock"), "INSERT b"))

    assert write_together(server, add("a"), add("b")) == [1, 1]
    assert server.told.count("BEGIN ISOLATION") == 2


def test_a_call_that_always_deadlocks_is_lost_alone_after_some_tries():
    server = Server(always(lambda: asyncpg.DeadlockDetectedError("deadlock"), "INSERT b"))

    answers = write_together(server, add("a"), add("b"))

    assert [type(answer) for answer in answers] == [int, StoreUnavailable]
    assert server.told.count("INSERT b") == 2 * TRIES


def test_a_call_that_waited_for_a_lock_is_not_tried_again_and_again():
    server = Server(always(lambda: asyncpg.LockNotAvailableError("locked"), "INSERT b"))

    answers = write_together(server, add("a"), add("b"))

    assert [type(answer) for answer in answers] == [int, StoreUnavailable]
    assert server.told.count("INSERT b") == 2


def test_a_connection_that_is_lost_before_the_commit_is_made_anew():
    server = Server(once(ConnectionResetError(), "INSERT b"))

    assert write_together(server, add("a"), add("b")) == [1, 1]
    assert len(server.connections) == 2


def test_a_connection_that_is_lost_at_the_commit_is_told_to_all_and_nothing_is_run_again():
    server = Server(once(ConnectionResetError(), "COMMIT"))

    answers = write_together(server, add("a"), add("b"))

    assert all(isinstance(answer, StoreUnavailable) and "not known" in str(answer) for answer in answers)
    assert answers[0] is not answers[1]
    assert server.told.count("INSERT a") == 1


def test_a_commit_waits_for_standbys_also_where_nothing_was_surely_written():
    server = Server()

    async def reads(tx: Transaction) -> str:
        await tx.run("SELECT name FROM things")
        return "told"

    assert write_together(server, reads) == ["told"]
    assert server.told == ["BEGIN ISOLATION", "SELECT name", "MARKED COMMIT"]


def test_a_call_that_waits_too_long_for_its_turn_is_told_so_and_not_run():
    async def main() -> list[str]:
        server, free = Server(), asyncio.Event()

        async def connect() -> Connection:
            await free.wait()
            return await server.connect()

        writing = Writer(connect, ring=lambda: None, limits=Limits(turn_s=0.05))
        with pytest.raises(StoreUnavailable, match="not stored"):
            await writing.write(add("late"))
        asyncio.get_running_loop().call_soon(free.set)
        assert await writing.write(add("b")) == 1
        await writing.stop()
        return server.told

    assert asyncio.run(main()) == ["BEGIN ISOLATION", "ROLLBACK", "BEGIN ISOLATION", "INSERT b", "COMMIT"]


def test_who_comes_on_top_of_too_many_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "WAITING_MAX", 3)

    answers = write_together(Server(), *(add(f"a{i}") for i in range(5)))

    assert [type(answer) for answer in answers] == [int, int, int, StoreUnavailable, StoreUnavailable]


def test_work_that_can_wait_is_bounded_too_and_leaves_the_others_their_places(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "WAITING_MAX", 2)

    async def main() -> list[object]:
        writing = Writer(Server().connect, ring=lambda: None)
        calls = [writing.write(add(f"b{i}"), behind=True) for i in range(3)] + [writing.write(add("a"))]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await writing.stop()
        return answers

    assert [type(answer) for answer in asyncio.run(main())] == [int, int, StoreUnavailable, int]


def test_a_server_that_goes_away_while_calls_are_run_alone_is_not_waited_for_by_each():
    server = Server(always(ConnectionResetError, "INSERT a"), connections=2 * TRIES)

    answers = write_together(server, add("a"), *(add(f"b{i}") for i in range(50)))

    assert {type(answer) for answer in answers} == {StoreUnavailable}
    assert len(server.connections) == 2 * TRIES
