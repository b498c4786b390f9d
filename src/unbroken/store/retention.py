"""What is let go of when its time is over, as rows: which payloads are due, how far an install's are gone, and floors.

A floor is where a user's fold goes on whose earlier payloads are gone (`flow/retention.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, InstallId, UserId

if TYPE_CHECKING:
    from unbroken.store.contract import Transaction

_FLOOR: Final = "SELECT at_ms, state, last_fix FROM floors WHERE user_id = $1"
_SET_FLOOR: Final = (
    "INSERT INTO floors (user_id, at_ms, state, last_fix) VALUES ($1, $2, $3, $4)"
    " ON CONFLICT (user_id) DO UPDATE SET at_ms = excluded.at_ms, state = excluded.state, last_fix = excluded.last_fix"
)
_KEPT_FROM: Final = "SELECT kept_from FROM installs WHERE install_id = $1"
_IN_FLOOR: Final = (
    "SELECT f.at_ms FROM installs i JOIN floors f ON f.user_id = i.user_id WHERE i.install_id = $1 AND EXISTS"
    " (SELECT 1 FROM payloads p WHERE p.install_id = $1 AND p.first_t <= f.at_ms"
    " - (SELECT min(q.offset_ms) FROM payloads q WHERE q.install_id = $1))"
)
_RAISE_KEPT_FROM: Final = "UPDATE installs SET kept_from = $2 WHERE install_id = $1 AND kept_from < $2"
_LATEST_KEPT_FROM: Final = "SELECT max(kept_from) FROM installs WHERE app_id = $1"
_INSTALLS: Final = (
    "SELECT i.install_id, i.user_id,"
    " (SELECT p.received_at FROM payloads p WHERE p.install_id = i.install_id AND p.received_at <= $4"
    " ORDER BY p.seq LIMIT 1)"
    " FROM installs i WHERE i.app_id = $1 AND i.install_id > $2 ORDER BY i.install_id LIMIT $3"
)
_COUNT: Final = (
    "SELECT count(*), coalesce(sum(length(body)), 0), min(received_at) FROM payloads"
    " WHERE install_id = $1 AND received_at < $2"
)
_DELETE: Final = (
    "DELETE FROM payloads WHERE install_id = $1 AND seq IN"
    " (SELECT seq FROM payloads WHERE install_id = $1 AND received_at <"
    " (SELECT kept_from FROM installs WHERE install_id = $1) ORDER BY seq LIMIT $2)"
)


@dataclass(frozen=True, slots=True)
class Floor:
    """The frozen state after every item captured up to `at_ms`, and the last fix of them, as `Head.last_fix`."""

    at_ms: int
    state: bytes
    last_fix: str | None


@dataclass(frozen=True, slots=True)
class Held:
    """An install, whose it is, and when the first of its kept uploads was received; None without any.

    One whose receipt lies ahead was stamped by a clock that was: it must not hide those behind it.
    """

    install_id: InstallId
    user_id: UserId
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class Due:
    """How much of an install's payloads is due."""

    payloads: int
    size_bytes: int
    oldest_ms: int | None


async def floor(tx: Transaction, user_id: UserId) -> Floor | None:
    """Where the user's fold begins, if not with the first item."""
    row = await tx.one(_FLOOR, user_id)
    return Floor(*row) if row else None


async def set_floor(tx: Transaction, user_id: UserId, new: Floor) -> None:
    """Replace it."""
    await tx.run(_SET_FLOOR, user_id, new.at_ms, new.state, new.last_fix)


async def kept_from(tx: Transaction, install_id: InstallId) -> int:
    """The receipt before which the install's payloads are gone; 0 where none is."""
    row = await tx.one(_KEPT_FROM, install_id)
    return int(row[0]) if row else 0


async def floor_over(tx: Transaction, install_id: InstallId) -> int | None:
    """The floor of an install's user, where kept payloads of the install reach below it: its state may know them."""
    row = await tx.one(_IN_FLOOR, install_id)
    return int(row[0]) if row else None


async def raise_kept_from(tx: Transaction, install_id: InstallId, at_ms: int) -> None:
    """The install's payloads received before an instant may be deleted from now on; it never goes back."""
    await tx.run(_RAISE_KEPT_FROM, install_id, at_ms)


async def latest_kept_from(tx: Transaction, app_id: AppId) -> int:
    """The latest of an app's installs; 0 where nothing was ever deleted."""
    row = await tx.one(_LATEST_KEPT_FROM, app_id)
    return int(row[0] or 0) if row else 0


async def installs(tx: Transaction, app_id: AppId, after: bytes, limit: int, now_ms: int) -> list[Held]:
    """Some installs of an app, in order of their ids."""
    rows = await tx.all(_INSTALLS, app_id, after, limit, now_ms)
    return [Held(InstallId(row[0]), UserId(row[1]), row[2]) for row in rows]


async def count(tx: Transaction, install_id: InstallId, before_ms: int) -> Due:
    """The payloads of an install that were received before an instant."""
    row = await tx.one(_COUNT, install_id, before_ms)
    assert row is not None
    return Due(int(row[0]), int(row[1]), row[2])


async def delete(tx: Transaction, install_id: InstallId, limit: int) -> int:
    """Delete some payloads received before the install's `kept_from`; returns how many."""
    return await tx.run(_DELETE, install_id, limit)
