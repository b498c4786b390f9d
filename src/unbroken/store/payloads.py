"""Payloads as rows: one an upload, its body compressed as it came, found by install and by the time it reaches to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import InstallId, UserId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload.

    Args:
        seq: its position in the payload log.
        offset_ms: how far the device's clock was behind (`domain.payload.clock_offset_ms`).
        first_t: the earliest capture time in it by the device's clock; `last_t` the latest.
        reach_ms: the latest corrected capture time of it, or of a copy of one of its items in another upload: a
            window that holds that copy must read this upload too.
        body: zstd-compressed JSON, as it came.
    """

    seq: int
    received_at: int
    offset_ms: int
    first_t: int
    last_t: int
    reach_ms: int
    body: bytes


_COLUMNS: Final = "seq, received_at, offset_ms, first_t, last_t, reach_ms, body"
_ADD: Final = (
    f"INSERT INTO payloads (install_id, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT (install_id, seq) DO NOTHING"
)
_ONE: Final = f"SELECT {_COLUMNS} FROM payloads WHERE install_id = $1 AND seq = $2"
_OF_INSTALL: Final = f"SELECT {_COLUMNS} FROM payloads WHERE install_id = $1 AND received_at <= $2 ORDER BY seq"
_OF_USER: Final = (
    "SELECT p.install_id, p.seq, p.received_at, p.offset_ms, p.first_t, p.last_t, p.reach_ms, p.body"
    " FROM installs i JOIN payloads p ON p.install_id = i.install_id AND p.reach_ms >= $2"
    " WHERE i.user_id = $1 ORDER BY p.seq"
)
_MIN_OFFSET: Final = (
    "SELECT min(p.offset_ms) FROM installs i JOIN payloads p ON p.install_id = i.install_id WHERE i.user_id = $1"
)
_OF_USER_BETWEEN: Final = (
    "SELECT p.install_id, p.seq, p.received_at, p.offset_ms, p.first_t, p.last_t, p.reach_ms, p.body"
    " FROM installs i JOIN payloads p ON p.install_id = i.install_id AND p.reach_ms >= $2 AND p.first_t <= $3"
    " WHERE i.user_id = $1 ORDER BY p.seq"
)
_RIVALS: Final = (
    "SELECT seq, offset_ms, first_t, last_t FROM payloads"
    " WHERE install_id = $1 AND last_t >= $2 AND first_t <= $3 AND offset_ms <> $4"
)
_EXTEND: Final = "UPDATE payloads SET reach_ms = $3 WHERE install_id = $1 AND seq = $2 AND reach_ms < $3"


Kept = tuple[InstallId, Upload]
"""An upload of an install."""


async def add(tx: Transaction, uploads: Sequence[Kept]) -> None:
    """Keep uploads, each to be read by every window up to its reach."""
    await tx.many(
        _ADD,
        [
            (install_id, u.seq, u.received_at, u.offset_ms, u.first_t, u.last_t, u.reach_ms, u.body)
            for install_id, u in uploads
        ],
    )


async def one(tx: Transaction, install_id: InstallId, seq: int) -> Upload | None:
    """One upload, if it is there."""
    row = await tx.one(_ONE, install_id, seq)
    return Upload(*row) if row else None


async def of_user(tx: Transaction, user_id: UserId, from_ms: int) -> list[Kept]:
    """The uploads of a user's installs that may hold items captured at `from_ms` or later."""
    return [(InstallId(row[0]), Upload(*row[1:])) for row in await tx.all(_OF_USER, user_id, from_ms)]


async def of_user_between(tx: Transaction, user_id: UserId, from_ms: int, to_ms: int) -> list[Kept]:
    """The uploads that may hold items captured in `[from_ms, to_ms]`, or copies of such items."""
    offset = await tx.one(_MIN_OFFSET, user_id)
    latest_t = to_ms - (offset[0] if offset is not None and offset[0] is not None else 0)
    rows = await tx.all(_OF_USER_BETWEEN, user_id, from_ms, latest_t)
    return [(InstallId(row[0]), Upload(*row[1:])) for row in rows]


async def of_install(tx: Transaction, install_id: InstallId, received_by: int) -> list[Kept]:
    """The uploads of an install that were received by an instant."""
    return [(install_id, Upload(*row)) for row in await tx.all(_OF_INSTALL, install_id, received_by)]


@dataclass(frozen=True, slots=True)
class Rival:
    """An earlier upload under another clock offset that may hold copies."""

    seq: int
    offset_ms: int
    first_t: int
    last_t: int


async def rivals(tx: Transaction, uploads: Sequence[Kept]) -> list[list[Rival]]:
    """Of each of some uploads."""
    asked = [(install_id, one.first_t, one.last_t, one.offset_ms) for install_id, one in uploads]
    return [[Rival(*row) for row in rows] for rows in await tx.each(_RIVALS, asked)]


async def extend(tx: Transaction, reaches: Sequence[tuple[InstallId, int, int]]) -> None:
    """Let uploads be read by every window up to an instant: (install, seq, reach_ms)."""
    await tx.many(_EXTEND, reaches)
