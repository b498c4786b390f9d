"""The payload log: its cursors and what waits behind them fit what was kept, so that no upload is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.flow.verify.finding import Finding, Rule, key_of, shown
from unbroken.flow.verify.kept import trouble_with
from unbroken.store import crosschecks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Row, Transaction

SEQS_AT_ONCE: Final = 5_000
RECORDS_AT_ONCE: Final = 100


class Positions:
    """Which positions of the log have an upload; filled a page at a time.

    `head` and `cursors` are of one instant, before the first page. What comes later lies beyond them; what waits is
    read first, so it may be kept by the time its page is read. Of a log outside the database only the cursors are
    looked at, and what was kept: its positions are too far apart to be counted.
    """

    def __init__(self, log: PayloadLog) -> None:
        self._log = log
        self.head = 0
        self.findings: list[Finding] = []
        self._cursors: dict[int, int] = {}
        self._waiting: set[int] = set()
        self._seen = bytearray()
        self._is_headless = False
        self._latest: dict[int, int] = {}

    async def begin(self, tx: Transaction) -> None:
        """Look at the log itself."""
        heads = await crosschecks.log_head(tx)
        self._is_headless = len(heads) != 1
        self.head = await self._head(tx)
        if self._is_headless:
            self._find("log_head", "", f"{len(heads)} rows", "one")
        partitions = await crosschecks.partitions(tx)
        self._check_partitions(partitions)
        self._cursors = {number: cursor for number, cursor, _ in partitions}
        is_here = [(self.head,)] == heads
        self._seen = bytearray(self.head + 1 if is_here else 0)

    def _check_partitions(self, partitions: Sequence[Row]) -> None:
        if [row[0] for row in partitions] != list(range(self._log.partitions)):
            self._find("log_partitions", "", f"{len(partitions)} rows", f"numbers 0 to {self._log.partitions - 1}")
        for number, cursor, epoch in partitions:
            if not 0 <= cursor <= self.head:
                self._find("log_partitions", f"{number} position", shown(cursor), f"0 to {self.head}")
            if epoch < 0:
                self._find("log_partitions", f"{number} epoch", shown(epoch), "0 or more")

    async def waiting(self, tx: Transaction, after: tuple[int, int]) -> tuple[int, int] | None:
        """Look at some of what waits; where to go on from, None at the end."""
        rows = await crosschecks.records(tx, *after, RECORDS_AT_ONCE)
        head = await self._head(tx)
        for record in rows:
            self._check_record(record, head)
        return (rows[-1][0], rows[-1][1]) if len(rows) == RECORDS_AT_ONCE else None

    def _check_record(self, record: Row, head: int) -> None:
        number, position, install_id, body = record
        if self._log.partition_of(install_id) != number:
            row = key_of(str(number), position, "partition_no")
            self._find("log_records", row, shown(number), shown(self._log.partition_of(install_id)))
        if not self._cursors.get(number, 0) < position <= head:
            expected = f"after {self._cursors.get(number, 0)}, up to {head}"
            self._find("log_records", key_of(str(number), position), shown(position), expected)
        self._waiting.add(position)
        if (trouble := trouble_with(body)) is not None:
            self._find("log_records", key_of(str(number), position, "body"), trouble, "an upload")

    async def kept(self, tx: Transaction, after: tuple[bytes, int]) -> tuple[bytes, int] | None:
        """Look at some kept uploads; where to go on from, None at the end."""
        rows = await crosschecks.seqs(tx, *after, SEQS_AT_ONCE)
        head = await self._head(tx)
        for install_id, seq in rows:
            self._check_seq(install_id, seq, head)
        return (rows[-1][0], rows[-1][1]) if len(rows) == SEQS_AT_ONCE else None

    def _check_seq(self, install_id: bytes, seq: int, head: int) -> None:
        if not 0 < seq <= head:
            self._find("payloads", key_of(install_id, seq), shown(seq), f"a position up to {head}")
            return
        if seq > self.head:
            return
        if self._seen and self._seen[seq]:
            self._find("payloads", key_of(install_id, seq), "a position that another upload has", "one of its own")
        if self._seen:
            self._seen[seq] = 1
        partition = self._log.partition_of(install_id)
        if self._cursors.get(partition) == seq:
            self._latest[partition] = seq

    async def end(self, tx: Transaction) -> int:
        """How many positions have no upload.

        An import that was given up, an erasure and retention leave such behind. Only of the last upload that each
        partition's cursor went past it is known that it was kept, as long as nothing was ever let go of.
        """
        if not await crosschecks.something_went(tx):
            for number, cursor in self._cursors.items():
                if 0 < cursor <= self.head and self._latest.get(number) != cursor:
                    self._find("log_partitions", f"{number} position", f"{cursor}, of which no upload is kept", "kept")
        if not self._seen:
            return 0
        return self.head - sum(self._seen) - sum(1 for one in self._waiting if one <= self.head and not self._seen[one])

    async def _head(self, tx: Transaction) -> int:
        return 0 if self._is_headless else await self._log.head(tx)

    def _find(self, table: str, row: str, found: str, expected: str) -> None:
        self.findings.append(Finding(Rule.LOG_IS_WHOLE, table, row, found, expected))
