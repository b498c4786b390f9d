"""What every payload log promises. A record is one upload, kept from its acknowledgement until it was processed.

Partitions are by install, so the uploads of one install are read in the order in which they became durable. Records
are read at least once; their effect happens exactly once, because the cursor moves in the transaction that holds the
effect, and only for the worker whose epoch is the partition's own (architecture.md, "The payload log").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.store.contract import Transaction

PARTITIONS: Final = 4
"""Fixed for the life of a log: another number would send an install's next upload past its earlier ones. Few, as each
that a commit touches costs the embedded log a page of its index: with 256, thirty uploads wrote thirty-four pages."""


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


def partition_of(install_id: bytes) -> int:
    """The partition of an install's uploads, in [0, PARTITIONS). By install: its user changes, its id never does."""
    return crc32(install_id) % PARTITIONS


class PayloadLog(Protocol):
    """A replayable log: positions of a partition only grow, in the order in which the records became durable."""

    @property
    def partitions(self) -> int:
        """How many partitions there are, numbered from 0."""
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
        """Move the cursor to `position` inside the caller's transaction and drop the records up to there.

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

    async def rewrite(self, tx: Transaction, install_id: bytes, bodies: Mapping[int, bytes | None]) -> None:
        """Give waiting records of an install another body, or drop those with None, by position.

        Whoever has read the partition reads it again: its epoch is past.
        """
        ...

    async def reserve(self, tx: Transaction, count: int) -> int:
        """The first of `count` positions that no record will ever have, for uploads that come by another way."""
        ...

    async def wait(self) -> None:
        """Return when something was appended in this process since the last return. A wake-up, not a promise."""
        ...
