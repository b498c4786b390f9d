"""Where the fold of a timeline goes on from: from where it stands, a checkpoint, the floor, or the first item.

What was kept on the way only spares work. What cannot be read of it, be it another version's or damaged, is as if it
were not there: everything is folded again from the payloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from unbroken.domain.timeline.fold import start
from unbroken.domain.timeline.freeze import thaw
from unbroken.store import timelines

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.domain.ids import UserId
    from unbroken.domain.timeline.state import State
    from unbroken.store.contract import Transaction
    from unbroken.store.due_timelines import Due
    from unbroken.store.retention import Floor
    from unbroken.store.timelines import Head

T = TypeVar("T")

NOTHING_YET: Final = -1
"""The time of the last item, where there was none."""


async def start_from(tx: Transaction, due: Due, head: Head | None, floor: Floor | None) -> tuple[int, State]:
    """The last state that knows nothing of `due.from_ms` or later, and up to when it knows every item.

    Where somebody was silent up to a floor, that is up to the floor, not to the last item: of two copies, the one that
    counted may have been let go of, and what is left of the other is no new item (`retention.py`).
    """
    if head is not None and head.at_ms < due.from_ms:
        at_ms, frozen = head.at_ms if floor is None else max(head.at_ms, floor.at_ms), head.state
    else:
        checkpoint = await timelines.checkpoint_before(tx, due.user_id, due.from_ms)
        if checkpoint is None or (floor is not None and checkpoint[0] < floor.at_ms):
            return begin(due.user_id, floor)
        at_ms, frozen = checkpoint
    state = readable(thaw, frozen)
    return begin(due.user_id, floor) if state is None else (at_ms, state)


def begin(user_id: UserId, floor: Floor | None) -> tuple[int, State]:
    """As far back as it goes.

    Raises:
        Exception: the floor cannot be read; the payloads before it are gone, so nothing takes its place.
    """
    return (NOTHING_YET, start(user_id)) if floor is None else (floor.at_ms, thaw(floor.state))


def readable(thawing: Callable[[bytes], T], frozen: bytes) -> T | None:
    """What was frozen, or None where it cannot be read."""
    try:
        return thawing(frozen)
    except Exception:  # noqa: BLE001 - damaged bytes fail in any way
        return None
