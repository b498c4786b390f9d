"""Dead letters: uploads that could not be processed, with their places in the order of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from unbroken.domain.ids import UserId
    from unbroken.store.contract import Transaction

_ADD: Final = """
    INSERT INTO dead_letters (install_id, position, received_at, body, trouble, failed_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (install_id, position) DO UPDATE SET trouble = excluded.trouble, failed_at = excluded.failed_at"""
_AFTER: Final = """
    SELECT install_id, position, received_at, length(body), trouble, failed_at FROM dead_letters
    WHERE (install_id, position) > ($1, $2) ORDER BY install_id, position LIMIT $3"""
_OF_INSTALL: Final = """
    SELECT install_id, position, received_at, body, trouble, failed_at FROM dead_letters
    WHERE install_id = $1 AND position > $2 ORDER BY position LIMIT $3"""
_ONE: Final = """
    SELECT install_id, position, received_at, body, trouble, failed_at FROM dead_letters
    WHERE install_id = $1 AND position = $2 FOR UPDATE"""
_COUNT: Final = "SELECT count(*) FROM dead_letters"
_OF_USER: Final = """
    SELECT 1 FROM installs i JOIN dead_letters d ON d.install_id = i.install_id WHERE i.user_id = $1 LIMIT 1"""
_DROP: Final = "DELETE FROM dead_letters WHERE install_id = $1 AND position = $2"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An upload that could not be processed.

    Args:
        position: its place in the payload log.
        received_at: the server's clock at receipt, epoch milliseconds.
        body: as it came.
        trouble: the kind of the error, without its words: they may say something of the person.
        failed_at: when it failed last, epoch milliseconds.
    """

    install_id: bytes
    position: int
    received_at: int
    body: bytes
    trouble: str
    failed_at: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter without its body, of which there may be more than fits into memory; instants as there."""

    install_id: bytes
    position: int
    received_at: int
    size_bytes: int
    trouble: str
    failed_at: int


async def add(tx: Transaction, letter: DeadLetter) -> None:
    """Keep one, or say of one that is kept why it failed now."""
    await tx.run(
        _ADD, letter.install_id, letter.position, letter.received_at, letter.body, letter.trouble, letter.failed_at
    )


async def after(tx: Transaction, install_id: bytes, position: int, limit: int) -> list[Listed]:
    """Some of them, by install and position."""
    return [Listed(bytes(row[0]), *row[1:]) for row in await tx.all(_AFTER, install_id, position, limit)]


async def of_install(tx: Transaction, install_id: bytes, after: int, limit: int) -> list[DeadLetter]:
    """Some of an install's, by position, from behind `after`."""
    rows = await tx.all(_OF_INSTALL, install_id, after, limit)
    return [DeadLetter(bytes(row[0]), *row[1:]) for row in rows]


async def one(tx: Transaction, install_id: bytes, position: int) -> DeadLetter | None:
    """One of them, which stays as it is until the transaction ends."""
    row = await tx.one(_ONE, install_id, position)
    return None if row is None else DeadLetter(bytes(row[0]), *row[1:])


async def count(tx: Transaction) -> int:
    """How many there are."""
    row = await tx.one(_COUNT)
    assert row is not None
    return int(row[0])


async def is_any_of(tx: Transaction, user_id: UserId) -> bool:
    """Whether there is one of an install of a user."""
    return await tx.one(_OF_USER, user_id) is not None


async def drop(tx: Transaction, install_id: bytes, position: int) -> bool:
    """Delete one; whether it was there."""
    return await tx.run(_DROP, install_id, position) == 1
