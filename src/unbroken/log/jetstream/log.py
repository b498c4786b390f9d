"""`JetStreamLog`: uploads as messages of a stream, cursors and leases as rows of the store.

A message has the position `sequence << 20`. The positions behind it are given away by messages that say only that
(`reserve`), so imported uploads have a place in the same order. Bodies go to the stream as they are; the install is
in the subject, the time of receipt in front of the body.
"""

from __future__ import annotations

import asyncio
import struct
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from unbroken.log import cursors
from unbroken.log.contract import Record, UnknownInstall, partition_of
from unbroken.log.home import STRIDE_BITS
from unbroken.log.jetstream import stream, taken
from unbroken.log.jetstream.connection import Connection, JetStreamError
from unbroken.log.jetstream.publisher import WINDOW_BYTES, Publisher
from unbroken.log.jetstream.reader import Reader
from unbroken.log.jetstream.tails import Tails
from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Sequence

    from unbroken.log.contract import Arrival
    from unbroken.log.home import Home
    from unbroken.log.jetstream.connection import Stored
    from unbroken.log.jetstream.stream import Wanted
    from unbroken.store.contract import Store, Transaction

T = TypeVar("T")

_HEAD: Final = struct.Struct(">BQ")
_FORMAT: Final = 1
_LOOKED_EVERY_S: Final = 5.0
_TRIMMED_EVERY_S: Final = 30.0
NEEDED_S: Final = 600.0
"""How long what was processed stays: a transaction that began before may still look for it, as an export does."""
_SCRUBBED_AT_ONCE: Final = 1_000
_STRIDE: Final = 1 << STRIDE_BITS


class JetStreamLog:
    """A `PayloadLog`. Made by `open`, and used in the event loop that did.

    Args:
        mark: a name of this process, unlike any other's.
    """

    def __init__(
        self,
        store: Store,
        connection: Connection,
        wanted: Wanted,
        home: Home,
        mark: str,
        *,
        window_bytes: int = WINDOW_BYTES,
        needed_s: float = NEEDED_S,
    ) -> None:
        self.publisher = Publisher(connection, window_bytes)
        self._store = store
        self._connection = connection
        self._wanted = wanted
        self._home = home
        self._mark = mark
        self._needed_s = needed_s
        self._published = 0
        self._reader = Reader(connection, wanted)
        self._tails = Tails(lambda message: connection.say(wanted.appended, message))
        self._is_listening = False
        self._looked_at_s = float("-inf")
        self._looked_up_to = -1
        self._trimmed_at_s = float("-inf")
        self._passed: list[tuple[float, dict[int, int]]] = []
        self._purged: dict[int, int] = {}

    @classmethod
    async def open(cls, store: Store, url: str, wanted: Wanted, mark: str, **options: Any) -> Self:
        """Connect, and make the stream if this database has none yet.

        Raises:
            StoreRefused: no server is there, or the stream is not one that keeps what it acknowledges.
        """
        connection = await Connection.open(url)
        try:
            home = await stream.prepare(connection, store, wanted, mark)
        except BaseException:
            await connection.close()
            raise
        return cls(store, connection, wanted, home, mark, **options)

    @property
    def partitions(self) -> int:
        """See `PayloadLog.partitions`."""
        return self._home.partitions

    def partition_of(self, install_id: bytes) -> int:
        """See `PayloadLog.partition_of`."""
        return partition_of(install_id, self._home.partitions)

    # Appending

    @property
    def unanswered(self) -> int:
        """See `PayloadLog.unanswered`."""
        return self.publisher.waiting_records

    @property
    def refused(self) -> int:
        """See `PayloadLog.refused`."""
        return self.publisher.refused

    async def append(self, record: Arrival, *, first_of_install: bool) -> None:
        """See `PayloadLog.append`.

        The install is marked as used before its record is stored: one that was marked and then failed has tried to
        upload, and will again; the other way round a link could take it for unused while its upload is there.
        """
        if first_of_install:
            await self._use(record.install_id)
        partition = self.partition_of(record.install_id)
        payload = _HEAD.pack(_FORMAT, record.received_at) + record.body
        sequence = await self._publish(self._wanted.of_install(partition, record.install_id), payload)
        self._tails.note(partition, sequence)

    async def _use(self, install_id: bytes) -> None:
        """Beside others: after a start of the platform each install that uploads comes here once."""

        async def use(tx: Transaction) -> set[bytes]:
            await tx.hold(install_id, beside=True)
            return await cursors.use(tx, [install_id])

        if await self._store.write(use):
            raise UnknownInstall(install_id.hex())

    async def reserve(self, tx: Transaction, count: int) -> int:
        """See `PayloadLog.reserve`."""
        if count >= _STRIDE:
            raise ValueError(f"{count} positions at once are too many.")
        return _position(await self._beside(tx, lambda: self._publish(self._wanted.reserved, b""))) + 1

    async def _publish(self, subject: str, payload: bytes) -> int:
        self._published += 1
        return await self.publisher.publish(subject, payload, f"{self._mark}-{self._published}")

    # Reading

    async def behind(self) -> list[int]:
        """See `PayloadLog.behind`."""
        found = await self._store.read(cursors.positions)
        await self._look(found)
        return self._tails.behind({number: _sequence(position) for number, position in found.items()})

    async def read(self, partition: int, limit: int) -> list[tuple[int, Record]]:
        """See `PayloadLog.read`."""
        cursor, gone = await self._store.read(lambda tx: _cursor_and_taken(tx, partition))
        tail = self._tails.of(partition)
        found = await self._reader.after(self._wanted.of_partition(partition), _sequence(cursor), limit + len(gone))
        if not found:
            self._tails.forget(partition, tail)
            self._looked_up_to = 0  # by the word of one leader: look once more
        return _records(found, gone)[:limit]

    async def head(self, tx: Transaction) -> int:
        """See `PayloadLog.head`."""
        return _position(await self._beside(tx, self._last_sequence)) + _STRIDE - 1

    async def waiting(
        self, tx: Transaction, install_id: bytes, after: int, until: int, limit: int
    ) -> list[tuple[int, Record]]:
        """See `PayloadLog.waiting`."""
        partition = self.partition_of(install_id)
        cursor, gone = await _cursor_and_taken(tx, partition)
        subject = self._wanted.of_install(partition, install_id)
        start, at_most = _sequence(max(after, cursor)), limit + len(gone)
        found = await self._beside(tx, lambda: self._reader.all_after(subject, start, at_most))
        records = [(position, record) for position, record in _records(found, gone) if position <= until]
        return records[:limit]

    async def count_waiting(self, tx: Transaction, install_id: bytes) -> int:
        """See `PayloadLog.count_waiting`."""
        return len(await self.waiting(tx, install_id, 0, 1 << 62, 1 << 30))

    async def oldest(self, tx: Transaction) -> int | None:
        """See `PayloadLog.oldest`. The first record of each partition is its oldest, but for the APIs' clocks."""
        found = await cursors.positions(tx)
        firsts = await self._beside(tx, lambda: self._firsts(found))
        return min((_record(message).received_at for message in firsts.values()), default=None)

    async def take(self, tx: Transaction, install_id: bytes) -> list[tuple[int, Record]]:
        """See `PayloadLog.take`."""
        partition = self.partition_of(install_id)
        await cursors.outdate(tx, partition)
        records = await self.waiting(tx, install_id, 0, 1 << 62, 1 << 30)
        await taken.add(tx, partition, [position for position, _ in records])
        return records

    async def wait(self) -> None:
        """See `PayloadLog.wait`."""
        await self._tails.grew.wait()
        self._tails.grew.clear()

    async def _look(self, found: dict[int, int]) -> None:
        """Look at every partition where something may have come unheard: at first, and then now and then.

        What processes tell each other can be lost, as when one dies after its record was stored.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._looked_at_s + _LOOKED_EVERY_S:
            return
        if not self._is_listening:
            self._is_listening = True
            await self._connection.hear(self._wanted.appended, self._tails.hear)
        last = await self._last_sequence()
        if last > self._looked_up_to:
            for number, first in (await self._firsts(found)).items():
                self._tails.learn(number, max(first.sequence, last))  # how far it reaches, a read finds out
        self._looked_up_to, self._looked_at_s = last, loop.time()

    async def _firsts(self, found: dict[int, int]) -> dict[int, Stored]:
        """The first record behind each cursor, where there is one."""
        looks = [
            self._reader.first_after(self._wanted.of_partition(number), _sequence(position))
            for number, position in found.items()
        ]
        firsts = zip(found, await asyncio.gather(*looks), strict=True)
        return {number: first for number, first in firsts if first is not None}

    async def _last_sequence(self) -> int:
        return int((await self._ask(f"STREAM.INFO.{self._wanted.name}"))["state"]["last_seq"])

    # Leases and cursors

    async def lease(self, partitions: Sequence[int], holder: str, now_ms: int, until_ms: int) -> dict[int, int]:
        """See `PayloadLog.lease`."""
        return await self._store.write(lambda tx: cursors.lease(tx, partitions, holder, now_ms, until_ms))

    async def commit(self, tx: Transaction, partition: int, epoch: int, position: int) -> None:
        """See `PayloadLog.commit`. The record stays in the stream until `trim`: only then is this durable."""
        await cursors.move(tx, partition, epoch, position)
        await taken.forget(tx, partition, position)

    # Letting go

    async def trim(self) -> None:
        """See `PayloadLog.trim`."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._trimmed_at_s + min(_TRIMMED_EVERY_S, self._needed_s):
            return
        self._trimmed_at_s = now_s
        await self._scrub_taken()
        self._passed.append((now_s, await self._store.read(cursors.positions)))
        while self._passed and self._passed[0][0] <= now_s - self._needed_s:
            await self._purge(self._passed.pop(0)[1])

    async def scrub(self, install_ids: Collection[bytes]) -> None:
        """See `PayloadLog.scrub`."""
        await self._scrub_taken()
        for install_id in install_ids:
            partition = self.partition_of(install_id)
            cursor = _sequence(await self._store.read(partial(cursors.position, partition=partition)))
            subject = self._wanted.of_install(partition, install_id)
            for message in await self._reader.all_after(subject, 0, 1 << 30):
                if message.sequence <= cursor:
                    await self._delete(message.sequence)

    async def _scrub_taken(self) -> None:
        while rows := await self._store.read(lambda tx: taken.unscrubbed(tx, _SCRUBBED_AT_ONCE)):
            for _, position in rows:
                await self._delete(_sequence(position))
            await self._store.write(partial(taken.scrubbed, rows=rows))

    async def _delete(self, sequence: int) -> None:
        """Overwrite a message in the stream's files."""
        try:
            await self._ask(f"STREAM.MSG.DELETE.{self._wanted.name}", {"seq": sequence})
        except StoreUnavailable as error:
            cause = error.__cause__
            if not (isinstance(cause, JetStreamError) and "no message found" in cause.said):
                raise

    async def _purge(self, passed: dict[int, int]) -> None:
        for partition, position in passed.items():
            if position > self._purged.get(partition, 0):
                request = {"filter": self._wanted.of_partition(partition), "seq": _sequence(position) + 1}
                await self._ask(f"STREAM.PURGE.{self._wanted.name}", request)
                self._purged[partition] = position
        request = {"filter": self._wanted.reserved, "keep": 1}
        await self._ask(f"STREAM.PURGE.{self._wanted.name}", request)

    # Itself

    async def trouble(self) -> str | None:
        """See `PayloadLog.trouble`."""
        if not self._connection.is_there:
            return f"NATS at {self._connection.place} is not connected."
        state = await self._ask(f"STREAM.INFO.{self._wanted.name}")
        limit, used = state["config"]["max_bytes"], state["state"]["bytes"]
        if used >= limit * 0.95:
            return f"The stream {self._wanted.name} is full: {used} of {limit} bytes."
        return None

    async def close(self) -> None:
        """See `PayloadLog.close`."""
        await self._tails.close()
        await self._connection.close()

    async def _beside(self, tx: Transaction, look: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Look at the stream while a transaction is open."""
        return await tx.elsewhere(lambda: self._connection.at_home(look))

    async def _ask(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            return await self._connection.ask(subject, body)
        except JetStreamError as error:
            raise StoreUnavailable(f"JetStream refused {subject}: {error.said}.") from error


async def _cursor_and_taken(tx: Transaction, partition: int) -> tuple[int, set[int]]:
    return await cursors.position(tx, partition), await taken.of(tx, partition)


def _position(sequence: int) -> int:
    return sequence << STRIDE_BITS


def _sequence(position: int) -> int:
    return position >> STRIDE_BITS


def _records(found: Sequence[Stored], gone: Collection[int]) -> list[tuple[int, Record]]:
    positions = [(_position(message.sequence), message) for message in found]
    return [(position, _record(message)) for position, message in positions if position not in gone]


def _record(message: Stored) -> Record:
    _, received_at = _HEAD.unpack_from(message.payload)
    install_id = bytes.fromhex(message.subject.rpartition(".")[2])
    return Record(install_id, received_at, message.payload[_HEAD.size :])
