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
from unbroken.flow.items import corrected
from unbroken.flow.retention import retain
from unbroken.flow.setting_aside import set_aside
from unbroken.flow.tidy import tidy
from unbroken.flow.timeline import compute
from unbroken.flow.uploads import times_of
from unbroken.log.contract import LeaseLost, Record
from unbroken.store import payloads, timelines, tombstones
from unbroken.store import set_aside as aside
from unbroken.store.contract import StoreUnavailable
from unbroken.store.payloads import Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from unbroken.domain.ids import UserId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.timelines import Due

LEASE_MS: Final = 30_000
_RENEWED_EARLY_MS: Final = 10_000
_FOR_EVER_MS: Final = 2**62
_RECORDS_AT_ONCE: Final = 32
_PARTITIONS_AT_ONCE: Final = 8
_TIMELINES_AT_ONCE: Final = 8
_BUSY_S: Final = 0.000_5
"""A turn of the loop that takes longer has others to serve."""
_SHARE_WHEN_BUSY: Final = 19
"""One part of twenty is the worker's then."""
_PAUSE_MAX_S: Final = 5.0
_TIDIED_EVERY_MS: Final = 3_600_000
_LOOK_EVERY_S: Final = 0.2
"""Facts and other processes mark timelines without a sound."""

Batch = dict[int, list[tuple[int, Record]]]
"""By partition: (position, record)."""


class Worker:
    """See the module. Belongs to the event loop; `run` and `settle` may go on side by side.

    Args:
        is_alone: no other process may work on the same log, so the lease of one that was killed need not run out: its
            epoch is past, and whatever it might still try to commit is refused.
        tell: called with whose timeline cannot be computed, and why; once until it could be, or a process begins.

    Attributes:
        failures: how often a timeline could not be computed.
    """

    def __init__(
        self, context: Context, *, is_alone: bool = True, tell: Callable[[UserId, Exception], None] | None = None
    ) -> None:
        self.failures = 0
        self._context = context
        self._tell = tell
        self._is_alone = is_alone
        self._holder = context.randomness.secret(8).hex()
        self._epochs: dict[int, int] = {}
        self._leased_until = 0
        self._tidied_at = 0
        self._retaining: asyncio.Task[object] | None = None
        self._turn = asyncio.Lock()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until stopped; what cannot be stored now is tried again, and what was set aside once more."""
        await self._context.store.write(aside.release_all)
        try:
            while not self._stopping.is_set():
                began_s = _loop_s()
                if await self._step():
                    await self._give_way(_loop_s() - began_s)
                else:
                    await self._rest()
                await self._tidy()
        finally:
            await self._end_retaining()
            await self._give_back()

    def stop(self) -> None:
        """Let `run` end after the step it is in."""
        self._stopping.set()

    async def settle(self) -> None:
        """Return when everything acknowledged so far has been processed."""
        while await self._step():
            pass

    async def _give_way(self, took_s: float) -> None:
        """Whoever calls goes first: after a step of `took_s`, pause the longer the more waits on the loop.

        What was acknowledged is safe in the log; how soon it is processed can wait, an upload cannot. On a loop that
        has nothing else to do there is no pause.
        """
        asked_s = _loop_s()
        await asyncio.sleep(0)
        if _loop_s() - asked_s > _BUSY_S:
            await asyncio.sleep(min(took_s * _SHARE_WHEN_BUSY, _PAUSE_MAX_S))

    async def _rest(self) -> None:
        waits = [asyncio.ensure_future(wait) for wait in (self._context.log.wait(), self._stopping.wait())]
        await asyncio.wait(waits, timeout=_LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
            with suppress(asyncio.CancelledError):
                await wait

    async def _tidy(self) -> None:
        """Once an hour, let go of what nobody can ask for any more; of payloads beside the work, as it takes long."""
        if self._retaining is not None and self._retaining.done():
            done, self._retaining = self._retaining, None
            await done
        now_ms = self._context.wall.now_ms()
        if now_ms >= self._tidied_at + _TIDIED_EVERY_MS:
            self._tidied_at = now_ms
            await tidy(self._context)
            self._retaining = self._retaining or asyncio.create_task(retain(self._context))

    async def _end_retaining(self) -> None:
        if self._retaining is not None:
            self._retaining.cancel()
            await asyncio.gather(self._retaining, return_exceptions=True)
            self._retaining = None

    async def _give_back(self) -> None:
        """Let another process have the partitions at once, instead of when the lease is over."""
        if self._epochs and not self._is_alone:
            now_ms = self._context.wall.now_ms()
            with suppress(StoreUnavailable):
                await self._context.log.lease(list(self._epochs), self._holder, now_ms, now_ms)
        self._epochs.clear()

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
        try:
            await self._keep(batch, epochs)
        except LeaseLost:
            self._epochs.clear()  # an erasure changed what was read, or somebody else works on it: look again
        return True

    async def _lease(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """The epochs of the partitions that are ours, renewed in good time."""
        now_ms = self._context.wall.now_ms()
        if now_ms > self._leased_until - _RENEWED_EARLY_MS:
            self._epochs.clear()
        missing = [partition for partition in partitions if partition not in self._epochs]
        if missing:
            if not self._epochs:
                self._leased_until = now_ms + LEASE_MS
            free_by = _FOR_EVER_MS if self._is_alone else now_ms
            self._epochs |= await self._context.log.lease(missing, self._holder, free_by, self._leased_until)
        return {partition: self._epochs[partition] for partition in partitions if partition in self._epochs}

    async def _keep(self, batch: Batch, epochs: Mapping[int, int]) -> None:
        uploads = {
            partition: [(record, upload_of(position, record)) for position, record in records]
            for partition, records in batch.items()
        }

        async def keep(tx: Transaction) -> None:
            for partition, kept in uploads.items():
                for record, upload in kept:
                    if not await self._is_of_nobody(tx, record):
                        await keep_upload(tx, record, upload)
                await self._context.log.commit(tx, partition, epochs[partition], batch[partition][-1][0])

        await self._context.store.write(keep)

    async def _is_of_nobody(self, tx: Transaction, record: Record) -> bool:
        """Whether its install was erased while the upload waited: then it is dropped, and its traces are purged."""
        erased = await tombstones.find(tx, self._context.vault.tombstone(record.install_id), "install")
        if erased is not None:
            await tombstones.soil(tx, erased[1])
        return erased is not None

    # Computing

    async def _compute(self) -> bool:
        now_ms = self._context.wall.now_ms()
        marked = await self._context.store.read(lambda tx: timelines.due(tx, now_ms, _TIMELINES_AT_ONCE))
        await asyncio.gather(*map(self._compute_one, marked))  # their writes share a commit
        return bool(marked)

    async def _compute_one(self, due: Due) -> None:
        """Compute a timeline; one that fails must not keep all others waiting."""
        try:
            await compute(self._context, due)
        except StoreUnavailable:
            raise  # it is nobody's own: the same may go well in a moment
        except Exception as error:  # noqa: BLE001 - damaged data fails in any way
            self.failures += 1
            if await set_aside(self._context, due, error) and self._tell is not None:
                self._tell(due.user_id, error)


def _loop_s() -> float:
    return asyncio.get_running_loop().time()


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
    from_ms = min(
        [corrected(upload.first_t, upload.offset_ms), *(corrected(first_t, offset) for _, offset, first_t, _ in rivals)]
    )
    if not await timelines.mark_upload_due(tx, install_id, from_ms):
        return
    await keep_with_rivals(tx, install_id, upload, rivals)


async def keep_with_rivals(
    tx: Transaction, install_id: InstallId, upload: Upload, rivals: Sequence[tuple[int, int, int, int]]
) -> None:
    """Keep an upload; it and each of `rivals` (`payloads.rivals`) will be read wherever one of them reaches."""
    reach_ms = max([upload.reach_ms, *(corrected(last_t, offset_ms) for _, offset_ms, _, last_t in rivals)])
    await payloads.add(tx, install_id, upload, reach_ms)
    await payloads.extend(tx, install_id, [seq for seq, *_ in rivals], upload.reach_ms)
