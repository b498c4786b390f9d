"""Take: from the payload log to kept uploads, in one transaction with the log's cursor; the first half of `process`.

A record that cannot be kept must not keep those behind it waiting: it becomes a dead letter, in the same transaction
(`dead_letters.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import InstallId
from unbroken.domain.payload import clock_offset_ms
from unbroken.flow.items import corrected
from unbroken.flow.uploads import times_of
from unbroken.log.contract import LeaseLost, Record
from unbroken.store import dead_letters, due_timelines, payloads, tombstones
from unbroken.store.contract import StoreUnavailable
from unbroken.store.dead_letters import DeadLetter
from unbroken.store.payloads import Kept, Rival, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unbroken.flow.context import Context
    from unbroken.flow.crew import Crew
    from unbroken.store.contract import Transaction

LEASE_MS: Final = 8_000
_RENEWED_EARLY_MS: Final = 4_000
_FOR_EVER_MS: Final = 2**62
_RECORDS_AT_ONCE: Final = 32

Opened = tuple[int, Record, Upload | str]
"""A record of the log, with its position, as a row of payloads, or the kind of trouble that it makes."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a partition: each record as an upload, or why it is none."""

    partition: int
    epoch: int
    records: Sequence[Opened]


class Taker:
    """Takes what the log holds of the partitions that are its own in the crew.

    It leases them whoever had them: by the crew's word that one is alive no more, or will find out in a moment that
    they are not its own. The former holder's epoch is past, and whatever it still tries to commit is refused.

    Args:
        holder: the name of one run of one worker.
        tell: called with every dead letter once it is set aside.
    """

    def __init__(self, context: Context, crew: Crew, holder: str, *, tell: Callable[[DeadLetter], None]) -> None:
        self._context = context
        self._crew = crew
        self._holder = holder
        self._tell = tell
        self._epochs: dict[int, int] = {}
        self._leased_until = 0
        self._last = -1

    async def step(self, at_once: int) -> bool:
        """Take some of what waits, of so many partitions at most; whether there was anything."""
        behind = [partition for partition in await self._context.log.behind() if self._crew.has(b"%d" % partition)]
        epochs = await self._lease(self._in_turn(behind)[:at_once]) if behind else {}
        batch = [read for one in epochs.items() if (read := await self._read(*one)).records]
        if not batch:
            return False
        self._last = batch[-1].partition
        try:
            await self._keep_all(batch)
        except LeaseLost:
            self._epochs.clear()  # an erasure changed what was read, or somebody else works on it: look again
        return True

    async def give_back(self) -> None:
        """Let others have the partitions at once."""
        now_ms = self._context.wall.now_ms()
        if self._epochs:
            await self._context.log.lease(list(self._epochs), self._holder, now_ms, now_ms)
            self._epochs.clear()

    def _in_turn(self, behind: Sequence[int]) -> Sequence[int]:
        """Those after the last one first, so that none waits for ever behind others that never run dry."""
        return [*(one for one in behind if one > self._last), *(one for one in behind if one <= self._last)]

    async def _lease(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The epochs of the partitions that are ours, renewed in good time."""
        now_ms = self._context.wall.now_ms()
        if now_ms > self._leased_until - _RENEWED_EARLY_MS:
            self._epochs.clear()
        missing = [partition for partition in partitions if partition not in self._epochs]
        if missing:
            if not self._epochs:
                self._leased_until = now_ms + LEASE_MS
            self._epochs |= await self._context.log.lease(missing, self._holder, _FOR_EVER_MS, self._leased_until)
        return {partition: self._epochs[partition] for partition in partitions if partition in self._epochs}

    async def _read(self, partition: int, epoch: int) -> _Read:
        records = await self._context.log.read(partition, _RECORDS_AT_ONCE)
        return _Read(partition, epoch, [opened(position, record) for position, record in records])

    async def _keep_all(self, batch: Sequence[_Read]) -> None:
        """Keep everything in one transaction; where one record breaks it, each in its own."""
        try:
            await self._keep(batch)
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception:  # noqa: BLE001 - damaged data fails in any way
            for read in batch:
                for one in read.records:
                    await self._keep_alone(_Read(read.partition, read.epoch, [one]))

    async def _keep_alone(self, read: _Read) -> None:
        try:
            await self._keep([read])
        except (LeaseLost, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            position, record, _ = read.records[0]
            await self._keep([_Read(read.partition, read.epoch, [(position, record, type(error).__name__)])])

    async def _keep(self, batch: Sequence[_Read]) -> None:
        now_ms = self._context.clock.now_ms()

        async def keep(tx: Transaction) -> list[DeadLetter]:
            waiting = await self._of_somebody(tx, [one for read in batch for one in read.records])
            letters = await keep_or_set_aside(tx, waiting, now_ms)
            for read in batch:
                await self._context.log.commit(tx, read.partition, read.epoch, read.records[-1][0])
            return letters

        for letter in await self._context.store.write(keep):
            self._tell(letter)

    async def _of_somebody(self, tx: Transaction, waiting: Sequence[Opened]) -> list[Opened]:
        """Without those whose install was erased while they waited: they are dropped, and their traces are purged."""
        digests = [self._context.vault.tombstone(record.install_id) for _, record, _ in waiting]
        receipts = await tombstones.receipts_of(tx, digests, "install")
        for receipt_id in {one for one in receipts if one is not None}:
            await tombstones.soil(tx, receipt_id)
        return [one for one, receipt_id in zip(waiting, receipts, strict=True) if receipt_id is None]


async def keep_or_set_aside(tx: Transaction, waiting: Sequence[Opened], now_ms: int) -> list[DeadLetter]:
    """Keep the uploads that can be read, and set the others aside as dead letters; those."""
    letters = [_letter(position, record, one, now_ms) for position, record, one in waiting if isinstance(one, str)]
    await keep_uploads(tx, [(record, one) for _, record, one in waiting if isinstance(one, Upload)])
    for letter in letters:
        await dead_letters.add(tx, letter)
    return letters


def _letter(position: int, record: Record, trouble: str, now_ms: int) -> DeadLetter:
    return DeadLetter(record.install_id, position, record.received_at, record.body, trouble, now_ms)


def opened(position: int, record: Record) -> Opened:
    """Read a record of the log; damaged data fails in any way."""
    try:
        return position, record, upload_of(position, record)
    except Exception as error:  # noqa: BLE001 - as it says
        return position, record, type(error).__name__


def upload_of(position: int, record: Record) -> Upload:
    """A record of the log as a row of payloads."""
    sent_at, first_t, last_t = times_of(record.body)
    offset_ms = clock_offset_ms(record.received_at, sent_at)
    reach_ms = corrected(last_t, offset_ms)
    return Upload(position, record.received_at, offset_ms, first_t, last_t, reach_ms, record.body)


async def keep_uploads(tx: Transaction, uploads: Sequence[tuple[Record, Upload]]) -> None:
    """Keep uploads, and mark each timeline that they change, from the earliest item whose place in time may change.

    A copy of an item under another clock offset moves that item, so both uploads must be read wherever one of them
    reaches. An install that was erased in the meantime has nothing to keep.
    """
    waiting = [(InstallId(record.install_id), upload) for record, upload in uploads]
    while waiting:
        first = dict(reversed(waiting))
        await _keep_one_each(tx, list(first.items()))
        waiting = [one for one in waiting if first[one[0]] is not one[1]]  # must see what became of the first


async def _keep_one_each(tx: Transaction, uploads: Sequence[Kept]) -> None:
    """Keep one upload of each of some installs."""
    with_rivals = list(zip(uploads, await payloads.rivals(tx, uploads), strict=True))
    marks = [(install_id, _changes_from(upload, rivals)) for (install_id, upload), rivals in with_rivals]
    are_there = await due_timelines.mark_uploads_due(tx, marks)
    await keep_with_rivals(tx, [one for one, is_there in zip(with_rivals, are_there, strict=True) if is_there])


def _changes_from(upload: Upload, rivals: Sequence[Rival]) -> int:
    firsts = (corrected(one.first_t, one.offset_ms) for one in rivals)
    return min([corrected(upload.first_t, upload.offset_ms), *firsts])


async def keep_with_rivals(tx: Transaction, uploads: Sequence[tuple[Kept, Sequence[Rival]]]) -> None:
    """Keep uploads; each, and each of its rivals, will be read wherever one of them reaches."""
    reaching = [
        (install_id, replace(upload, reach_ms=_reach_ms(upload, rivals))) for (install_id, upload), rivals in uploads
    ]
    await payloads.add(tx, reaching)
    await payloads.extend(tx, [(of, one.seq, upload.reach_ms) for (of, upload), rivals in uploads for one in rivals])


def _reach_ms(upload: Upload, rivals: Sequence[Rival]) -> int:
    return max([upload.reach_ms, *(corrected(one.last_t, one.offset_ms) for one in rivals)])
