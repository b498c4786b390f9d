"""The payload log in tables of the store: one file, one database, one thing to back up.

Appends that wait become one write of the store. Nothing waits for a timer: while a write is in flight the next one
gathers, so groups are as large as the disk is slow. A record that was processed is gone, so what is there is what is
behind.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from unbroken.log import cursors
from unbroken.log.contract import Record, UnknownInstall, partition_of
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from unbroken.log.contract import Arrival
    from unbroken.store.contract import Store, Transaction

PARTITIONS: Final = 4
"""Few, as each that a commit touches costs a page of the index: with 256, thirty uploads wrote thirty-four pages."""

_STALLED_S: Final = 5.0
"""A write that took longer and failed stands for those that came meanwhile: they have waited long enough."""

_Waiting = tuple["Arrival", bool, "asyncio.Future[None]"]


class EmbeddedLog:
    """A `PayloadLog` in `store`, which must have migration 0002_log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.unanswered = 0
        self.refused = 0
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Task[None] | None = None
        self._appended = asyncio.Event()

    @property
    def partitions(self) -> int:
        """See `PayloadLog.partitions`."""
        return PARTITIONS

    def partition_of(self, install_id: bytes) -> int:
        """See `PayloadLog.partition_of`."""
        return partition_of(install_id, PARTITIONS)

    async def append(self, record: Arrival, *, first_of_install: bool) -> None:
        """See `PayloadLog.append`."""
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())  # does not begin before this suspends
        stored: asyncio.Future[None] = self._flushing.get_loop().create_future()
        self._waiting.append((record, first_of_install, stored))
        self.unanswered += 1
        try:
            await stored
        except StoreUnavailable:
            self.refused += 1
            raise
        finally:
            self.unanswered -= 1

    async def behind(self) -> list[int]:
        """See `PayloadLog.behind`."""
        return [partition for (partition,) in await self._store.read(lambda tx: tx.all(_BEHIND))]

    async def read(self, partition: int, limit: int) -> list[tuple[int, Record]]:
        """See `PayloadLog.read`."""
        rows = await self._store.read(lambda tx: tx.all(_READ, partition, limit))
        return [(position, Record(install_id, at, body)) for position, install_id, at, body in rows]

    async def lease(self, partitions: Sequence[int], holder: str, now_ms: int, until_ms: int) -> dict[int, int]:
        """See `PayloadLog.lease`."""
        return await self._store.write(lambda tx: cursors.lease(tx, partitions, holder, now_ms, until_ms))

    async def commit(self, tx: Transaction, partition: int, epoch: int, position: int) -> None:
        """See `PayloadLog.commit`."""
        await cursors.move(tx, partition, epoch, position)
        await tx.run(_TRIM, partition, position)

    async def head(self, tx: Transaction) -> int:
        """See `PayloadLog.head`."""
        return await cursors.head(tx)

    async def waiting(
        self, tx: Transaction, install_id: bytes, after: int, until: int, limit: int
    ) -> list[tuple[int, Record]]:
        """See `PayloadLog.waiting`."""
        rows = await tx.all(_WAITING, self.partition_of(install_id), install_id, after, until, limit)
        return [(position, Record(install_id, at, body)) for position, at, body in rows]

    async def count_waiting(self, tx: Transaction, install_id: bytes) -> int:
        """See `PayloadLog.count_waiting`."""
        row = await tx.one(_COUNT_WAITING, self.partition_of(install_id), install_id)
        assert row is not None
        return int(row[0])

    async def oldest(self, tx: Transaction) -> int | None:
        """See `PayloadLog.oldest`."""
        row = await tx.one(_OLDEST)
        return None if row is None else row[0]

    async def take(self, tx: Transaction, install_id: bytes) -> list[tuple[int, Record]]:
        """See `PayloadLog.take`."""
        partition = self.partition_of(install_id)
        await cursors.outdate(tx, partition)
        rows = await tx.all(_TAKE, partition, install_id)
        return sorted((position, Record(install_id, at, body)) for position, at, body in rows)

    async def reserve(self, tx: Transaction, count: int) -> int:
        """See `PayloadLog.reserve`."""
        row = await tx.one(_TAKE_POSITIONS, count)
        assert row is not None, "migration 0002_log put the row there"
        return int(row[0]) - count + 1

    async def wait(self) -> None:
        """See `PayloadLog.wait`."""
        await self._appended.wait()
        self._appended.clear()

    async def trim(self) -> None:
        """See `PayloadLog.trim`. Committing did it."""

    async def scrub(self, install_ids: Collection[bytes]) -> None:
        """See `PayloadLog.scrub`. The files are the store's (`Store.purge`)."""

    async def trouble(self) -> str | None:
        """See `PayloadLog.trouble`."""
        await self.behind()
        return None

    async def close(self) -> None:
        """See `PayloadLog.close`. Everything is the store's."""

    async def _flush(self) -> None:
        """Write what waits until nothing does; one write in flight at a time."""
        try:
            while self._waiting:
                # a waiter that was cancelled before its turn takes its record with it
                group = [waiting for waiting in self._waiting if not waiting[2].done()]
                self._waiting = []
                if group:
                    began = asyncio.get_running_loop().time()
                    failed = await self._write(group)
                    if failed is not None and asyncio.get_running_loop().time() > began + _STALLED_S:
                        _fail(self._waiting, failed)
                        self._waiting = []
        except BaseException as error:
            _fail(self._waiting, error)
            self._waiting = []
            raise
        finally:
            self._flushing = None

    async def _write(self, group: Sequence[_Waiting]) -> Exception | None:
        """Why it was not written, if it was not; those of the group are told."""
        try:
            unknown = await self._store.write(_Append(group))
        except BaseException as error:
            _fail(group, error)
            if not isinstance(error, Exception):
                raise
            return error
        else:
            for record, _, stored in group:
                if stored.done():
                    continue
                if record.install_id in unknown:
                    stored.set_exception(UnknownInstall(record.install_id.hex()))
                else:
                    stored.set_result(None)
            self._appended.set()
            return None


class _Append:
    """The call that adds a group of records; it answers which installs are unknown, whose records are left out."""

    def __init__(self, group: Sequence[_Waiting]) -> None:
        self._records = [record for record, _, _ in group]
        self._first = {record.install_id for record, first, _ in group if first}

    async def __call__(self, tx: Transaction) -> set[bytes]:
        unknown = await cursors.use(tx, self._first)
        await self._add(tx, [record for record in self._records if record.install_id not in unknown])
        tx.wake()
        return unknown

    async def _add(self, tx: Transaction, records: Sequence[Arrival]) -> None:
        head = await tx.one(_TAKE_POSITIONS, len(records))
        assert head is not None, "migration 0002_log put the row there"
        before = head[0] - len(records)
        await tx.many(
            _ADD,
            [
                (partition_of(one.install_id, PARTITIONS), position, one.install_id, one.received_at, one.body)
                for position, one in enumerate(records, before + 1)
            ],
        )


def _fail(group: Sequence[_Waiting], error: BaseException) -> None:
    for _, _, stored in group:
        if not stored.done():
            stored.set_exception(_own(error))


def _own(error: BaseException) -> BaseException:
    """An exception for one waiter: raised in several places, one would gather all their tracebacks."""
    if isinstance(error, StoreUnavailable):
        own = type(error)(*error.args)
        own.__cause__ = error.__cause__
        return own
    if isinstance(error, asyncio.CancelledError):
        return StoreUnavailable("The platform is stopping; this upload was perhaps not stored. Send it again.")
    return error


_TAKE_POSITIONS: Final = "UPDATE log_head SET position = position + $1 WHERE only_row = 1 RETURNING position"
_WAITING: Final = """
    SELECT position, received_at, body FROM log_records
    WHERE partition_no = $1 AND install_id = $2 AND position > $3 AND position <= $4 ORDER BY position LIMIT $5"""
_COUNT_WAITING: Final = "SELECT count(*) FROM log_records WHERE partition_no = $1 AND install_id = $2"
_OLDEST: Final = "SELECT min(received_at) FROM log_records"
_ADD: Final = (
    "INSERT INTO log_records (partition_no, position, install_id, received_at, body) VALUES ($1, $2, $3, $4, $5)"
)
# A hop from partition to partition along the key: costs what is behind, not what is in the log.
_BEHIND: Final = """
    WITH RECURSIVE behind (partition_no) AS (
        SELECT min(partition_no) FROM log_records
        UNION ALL
        SELECT (SELECT min(r.partition_no) FROM log_records r WHERE r.partition_no > behind.partition_no)
        FROM behind WHERE behind.partition_no IS NOT NULL
    )
    SELECT partition_no FROM behind WHERE partition_no IS NOT NULL ORDER BY partition_no"""
_READ: Final = """
    SELECT position, install_id, received_at, body FROM log_records
    WHERE partition_no = $1 AND position > (SELECT p.position FROM log_partitions p WHERE p.partition_no = $1)
    ORDER BY position LIMIT $2"""
_TAKE: Final = (
    "DELETE FROM log_records WHERE partition_no = $1 AND install_id = $2 RETURNING position, received_at, body"
)
_TRIM: Final = "DELETE FROM log_records WHERE partition_no = $1 AND position <= $2"
