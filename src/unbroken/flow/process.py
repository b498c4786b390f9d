"""Process: what was taken becomes payloads, then timelines. One worker, the same on every engine.

Two steps, each with its effect in one transaction. Taking reads the payload log behind the cursor, keeps each upload
under its install, marks the timeline of whoever that install belongs to as due, and moves the cursor: at least once in,
exactly once in effect. Computing brings a timeline that is due up to date (`timeline.py`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import InstallId
from unbroken.domain.payload import clock_offset_ms
from unbroken.flow import timeline
from unbroken.flow.items import corrected
from unbroken.flow.tidy import tidy
from unbroken.flow.uploads import times_of
from unbroken.log.contract import LeaseLost, Record
from unbroken.store import payloads, timelines
from unbroken.store.payloads import Upload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

LEASE_MS: Final = 30_000
_RENEWED_EARLY_MS: Final = 10_000
_RECORDS_AT_ONCE: Final = 64
_PARTITIONS_AT_ONCE: Final = 32
_TIMELINES_AT_ONCE: Final = 32
_TIDIED_EVERY_MS: Final = 3_600_000
_LOOK_EVERY_S: Final = 0.2
"""Facts and other processes mark timelines without a sound."""

Batch = dict[int, list[tuple[int, Record]]]
"""By partition: (position, record)."""


class Worker:
    """See the module. Belongs to the event loop; `run` and `settle` may go on side by side."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._holder = context.randomness.secret(8).hex()
        self._epochs: dict[int, int] = {}
        self._leased_until = 0
        self._tidied_at = 0
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped; what cannot be stored now is tried again."""
        while not self._stopping.is_set():
            if not await self._step():
                await self._rest()
            await self._tidy()

    def stop(self) -> None:
        """Let `run` end after the step it is in."""
        self._stopping.set()

    async def settle(self) -> None:
        """Return when everything acknowledged so far has been processed."""
        while await self._step():
            pass

    async def _rest(self) -> None:
        waits = [asyncio.ensure_future(wait) for wait in (self._context.log.wait(), self._stopping.wait())]
        await asyncio.wait(waits, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with suppress(asyncio.CancelledError):
                await wait

    async def _tidy(self) -> None:
        """Once an hour, let go of what nobody can ask for any more."""
        now_ms = self._context.wall.now_ms()
        if now_ms >= self._tidied_at + _TIDIED_EVERY_MS:
            self._tidied_at = now_ms
            await tidy(self._context)

    async def _step(self) -> bool:
        """Some work, if there is any; whether there was."""
        async with self._turn:
            took = await self._take()
            computed = await self._compute()
        return took or computed

    # Taking

    async def _take(self) -> bool:
        behind = (await self._context.log.behind())[:_PARTITIONS_AT_ONCE]
        if not behind:
            return False
        epochs = await self._lease(behind)
        batch: Batch = {}
        for partition in epochs:
            batch[partition] = await self._context.log.read(partition, _RECORDS_AT_ONCE)
        batch = {partition: records for partition, records in batch.items() if records}
        if not batch:
            return False
        with suppress(LeaseLost):
            await self._keep(batch, epochs)
            return True
        self._epochs.clear()
        return False

    async def _lease(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The epochs of the partitions that are ours, renewed in good time."""
        now_ms = self._context.wall.now_ms()
        if now_ms > self._leased_until - _RENEWED_EARLY_MS:
            self._epochs.clear()
        missing = [partition for partition in partitions if partition not in self._epochs]
        if missing:
            if not self._epochs:
                self._leased_until = now_ms + LEASE_MS
            self._epochs |= await self._context.log.lease(missing, self._holder, now_ms, self._leased_until)
        return {partition: self._epochs[partition] for partition in partitions if partition in self._epochs}

    async def _keep(self, batch: Batch, epochs: Mapping[int, int]) -> None:
        uploads = {
            partition: [(record, upload_of(position, record)) for position, record in records]
            for partition, records in batch.items()
        }

        async def keep(tx: Transaction) -> None:
            for partition, kept in uploads.items():
                for record, upload in kept:
                    await keep_upload(tx, record, upload)
                await self._context.log.commit(tx, partition, epochs[partition], batch[partition][-1][0])

        await self._context.store.write(keep)

    # Computing

    async def _compute(self) -> bool:
        marked = await self._context.store.read(lambda tx: timelines.due(tx, _TIMELINES_AT_ONCE))
        for one in marked:
            await timeline.compute(self._context, one)
        return bool(marked)


def upload_of(position: int, record: Record) -> Upload:
    """A record of the log as a row of payloads."""
    sent_at, first_t, last_t = times_of(record.body)
    offset_ms = clock_offset_ms(record.received_at, sent_at)
    reach_ms = corrected(last_t, offset_ms)
    return Upload(position, record.received_at, offset_ms, first_t, last_t, reach_ms, record.body)


async def keep_upload(tx: Transaction, record: Record, upload: Upload) -> None:
    """Keep an upload and mark the timeline it changes, from the earliest item whose place in time it may change.

    A copy of an item under another clock offset moves that item, so both uploads must be read wherever one of them
    reaches. An install that was erased in the meantime has nothing to keep.
    """
    install_id = InstallId(record.install_id)
    rivals = await payloads.rivals(tx, install_id, upload)
    reach_ms = max([upload.reach_ms, *(corrected(last_t, offset_ms) for _, offset_ms, _, last_t in rivals)])
    from_ms = min(
        [corrected(upload.first_t, upload.offset_ms), *(corrected(first_t, offset) for _, offset, first_t, _ in rivals)]
    )
    if not await timelines.mark_upload_due(tx, install_id, from_ms):
        return
    await payloads.add(tx, install_id, upload, reach_ms)
    await payloads.extend(tx, install_id, [seq for seq, *_ in rivals], upload.reach_ms)
