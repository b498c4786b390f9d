"""What every payload log promises. A record is one upload, kept from its acknowledgement until it was processed.

Partitions are by install, so the uploads of one install are read in the order in which they became durable. Records
are read at least once; their effect happens exactly once, because the cursor moves in the transaction that holds the
effect, and only for the worker whose epoch is the partition's own (architecture.md, "The payload log").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from unbroken.store.contract import Transaction


class LeaseLost(Exception):
    """Another worker holds this partition, or its records were processed already: this call must leave nothing."""


class UnknownInstall(Exception):
    """The database knows no such install, so nobody could keep its uploads."""


@dataclass(frozen=True, slots=True)
class Record:
    """One upload.

    Args:
        install_id: who sent it, 12 bytes.
        received_at: the server's clock at receipt, epoch milliseconds.
        body: zstd-compressed JSON, as it came.
    """

    install_id: bytes
    received_at: int
    body: bytes


class Arrival(Protocol):
    """What is appended: a record, or what becomes one when it is written. Only then is `body` asked for."""

    @property
    def install_id(self) -> bytes:
        """See `Record`."""
        ...

    @property
    def received_at(self) -> int:
        """See `Record`."""
        ...

    @property
    def body(self) -> bytes:
        """See `Record`; where the engine can, it is made off the event loop."""
        ...


def partition_of(install_id: bytes, partitions: int) -> int:
    """The partition of an install's uploads, one of `partitions`. By install: its user changes, its id never does."""
    return crc32(install_id) % partitions


class PayloadLog(Protocol):
    """A replayable log: positions of a partition only grow, in the order in which the records became durable."""

    @property
    def partitions(self) -> int:
        """How many there are, numbered from 0; for ever, as another number would let an install's uploads overtake."""
        ...

    def partition_of(self, install_id: bytes) -> int:
        """The partition of an install's uploads."""
        ...

    @property
    def unanswered(self) -> int:
        """How many records of this process wait to become durable."""
        ...

    @property
    def refused(self) -> int:
        """How many appends of this process ended in StoreUnavailable."""
        ...

    async def append(self, record: Arrival, *, first_of_install: bool) -> None:
        """Add `record`; it is durable when this returns. What waits together is written together.

        Args:
            record: the upload.
            first_of_install: mark the install as used, durable together with the record (linking.md, row 13).

        Raises:
            UnknownInstall: it is the first of an install that is not there.
            StoreUnavailable: the record was not stored.
        """
        ...

    async def behind(self) -> list[int]:
        """The partitions with records after their cursor, in rising order."""
        ...

    async def read(self, partition: int, limit: int) -> list[tuple[int, Record]]:
        """The first `limit` records after the cursor with their positions, strictly increasing."""
        ...

    async def lease(self, partitions: Sequence[int], holder: str, now_ms: int, until_ms: int) -> dict[int, int]:
        """Take or renew the lease on `partitions`.

        Args:
            partitions: those that are wanted.
            holder: a name of one run of one worker; a second run needs another.
            now_ms: the present instant.
            until_ms: when the lease ends unless renewed; `now_ms` gives the partitions back.

        Returns:
            The epoch of each partition that could be had: free, expired, or held by `holder` already. It grows with
            each change of holder and stays with a renewal.
        """
        ...

    async def commit(self, tx: Transaction, partition: int, epoch: int, position: int) -> None:
        """Move the cursor to `position` inside the caller's transaction; the records up to there are never read again.

        Raises:
            LeaseLost: the epoch is not the partition's own any more, or the cursor is there already.
        """
        ...

    async def head(self, tx: Transaction) -> int:
        """The position that no record of `tx` lies beyond; later records do."""
        ...

    async def waiting(
        self, tx: Transaction, install_id: bytes, after: int, until: int, limit: int
    ) -> list[tuple[int, Record]]:
        """The first `limit` records of an install that were not processed yet, with positions in `(after, until]`."""
        ...

    async def count_waiting(self, tx: Transaction, install_id: bytes) -> int:
        """How many records of an install were not processed yet."""
        ...

    async def oldest(self, tx: Transaction) -> int | None:
        """When the oldest record that was not processed was received; None where none waits."""
        ...

    async def take(self, tx: Transaction, install_id: bytes) -> list[tuple[int, Record]]:
        """Take everything of an install that was not processed yet out of the log: nobody reads it any more.

        Whoever has read the partition reads it again: its epoch is past.
        """
        ...

    async def reserve(self, tx: Transaction, count: int) -> int:
        """The first of `count` positions that no record will ever have, for uploads that come by another way."""
        ...

    async def wait(self) -> None:
        """Return when something was appended since the last return. A wake-up, not a promise."""
        ...

    async def trim(self) -> None:
        """Let go of what was processed or taken and is not needed any more; for a worker to call now and then."""
        ...

    async def scrub(self, install_ids: Collection[bytes]) -> None:
        """Leave nothing in the log's own files of what these installs sent and what was processed or taken since.

        To be called after the transaction of an erasure. What is not done now, `trim` does later.
        """
        ...

    async def trouble(self) -> str | None:
        """What keeps the log from taking and giving records now, for the operator; None where nothing does."""
        ...

    async def close(self) -> None:
        """Let go of what the log has opened itself; the store is not its own. Closing twice is harmless."""
        ...
