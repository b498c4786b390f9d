"""Dead letters: uploads that could not be processed, set aside where they can be seen, tried again or given up.

Each kept its place in the order of all uploads, so one that is kept late stands where it would have stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import NotFound
from unbroken.domain.ids import InstallId
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.take import keep_uploads, upload_of
from unbroken.log.contract import Record
from unbroken.store import dead_letters
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.dead_letters import DeadLetter, Listed

_AT_ONCE: Final = 500


@dataclass(slots=True)
class TriedAgain:
    """What came of trying dead letters again.

    Args:
        kept: how many are uploads like any other now.
        failed: how many failed again, and stay.
    """

    kept: int = 0
    failed: int = 0


async def letters(context: Context) -> AsyncIterator[Listed]:
    """All of them without their bodies, by install and position."""
    after: tuple[bytes, int] = (b"", -1)
    while page := await context.store.read_long(lambda tx: dead_letters.after(tx, *after, _AT_ONCE)):  # noqa: B023
        for letter in page:
            yield letter
        after = (page[-1].install_id, page[-1].position)


async def replay(context: Context) -> TriedAgain:
    """Try all of them again, each in a transaction of its own, as a new release may know what to do with them.

    Raises:
        StoreUnavailable: those that were tried before stay as they are.
    """
    tried = TriedAgain()
    async for letter in letters(context):
        if await _replay(context, letter):
            tried.kept += 1
        else:
            tried.failed += 1
    return tried


async def _replay(context: Context, listed: Listed) -> bool:
    async def keep(tx: Transaction) -> None:
        letter = await dead_letters.one(tx, listed.install_id, listed.position)
        if letter is not None and await dead_letters.drop(tx, letter.install_id, letter.position):
            record = Record(letter.install_id, letter.received_at, letter.body)
            await keep_uploads(tx, [(record, upload_of(letter.position, record))])

    try:
        await context.store.write(keep)
    except StoreUnavailable:
        raise
    except Exception:  # noqa: BLE001 - damaged data fails in any way
        return False
    return True


async def one(context: Context, install_id: bytes, position: int) -> DeadLetter:
    """One of them.

    Raises:
        NotFound: there is none.
    """
    letter = await context.store.read(lambda tx: dead_letters.one(tx, install_id, position))
    if letter is None:
        raise _none()
    return letter


def _none() -> NotFound:
    return NotFound("There is no such dead letter.", hint="List them: unbroken dead-letter list")


async def drop(context: Context, install_id: bytes, position: int) -> None:
    """Give one up for ever.

    Raises:
        NotFound: there is none.
    """

    async def give_up(tx: Transaction) -> None:
        if not await dead_letters.drop(tx, install_id, position):
            raise _none()
        event = Event(What.DEAD_LETTER_DROPPED, OPERATOR, install_id=InstallId(install_id), more={"upload": position})
        audit.note(context, tx, event)

    await context.store.write(give_up)
