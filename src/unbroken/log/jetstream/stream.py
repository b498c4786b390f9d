"""The stream: how it must be made so that nothing acknowledged is ever dropped, and what is refused at start."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from unbroken.log import home
from unbroken.log.home import Home
from unbroken.log.jetstream.connection import NOT_FOUND, JetStreamError
from unbroken.store.contract import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from unbroken.log.jetstream.connection import Connection
    from unbroken.store.contract import Store

T = TypeVar("T")

PARTITIONS: Final = 256
OLDEST_SERVER: Final = (2, 11)
RECORD_MAX_BYTES: Final = 2 << 20
"""A body has up to 1 MiB as it came. One that came as gzip is kept as zstd, which may be larger."""

MARK: Final = "unbroken-log"
"""The member of the stream's metadata that names the database it was made for."""

ELECTION_S: Final = 15.0
"""How long a process that starts waits for JetStream to have a leader."""

_RETRY_S: Final = 0.2
_NAME_IN_USE: Final = 10058
_NO_PEERS: Final = 10005
"""Too few servers, or some that are only starting."""
_NOT_NOW: Final = 503
"""The status of an answer without a leader."""

_MUST_BE: Final[dict[str, Any]] = {"storage": "file", "retention": "limits", "discard": "new", "allow_direct": True}
_NO_LIMIT: Final = ("max_age", "max_msgs", "max_msgs_per_subject", "max_msg_size")
_NO_SWITCH: Final = ("no_ack", "deny_delete", "deny_purge", "sealed", "discard_new_per_subject")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the stream is to be.

    Args:
        name: of the stream, and the first word of its subjects.
        replicas: on how many nodes each record is stored before it is acknowledged; 1, 3 or 5.
        max_bytes: how much may wait; what comes beyond it is refused, never dropped.
    """

    name: str
    replicas: int
    max_bytes: int

    @property
    def subjects(self) -> list[str]:
        """Everything that it keeps."""
        return [f"{self.name}.p.*.*", self.reserved]

    @property
    def reserved(self) -> str:
        """The subject of positions that are given away."""
        return f"{self.name}.reserved"

    @property
    def appended(self) -> str:
        """The subject on which processes tell each other what was appended; not kept."""
        return f"{self.name}.appended"

    def of_partition(self, partition: int) -> str:
        """The subject that fits all records of a partition."""
        return f"{self.name}.p.{partition}.*"

    def of_install(self, partition: int, install_id: bytes) -> str:
        """The subject of an install's records."""
        return f"{self.name}.p.{partition}.{install_id.hex()}"

    def config(self, mark: str, first_sequence: int) -> dict[str, Any]:
        """The stream as JetStream makes it."""
        return {
            "name": self.name,
            "subjects": self.subjects,
            **_MUST_BE,
            "num_replicas": self.replicas,
            "max_bytes": self.max_bytes,
            "max_msgs": -1,
            "max_age": 0,
            "max_msgs_per_subject": -1,
            "max_consumers": -1,
            "first_seq": first_sequence,
            "metadata": {MARK: mark},
        }


def dangers(config: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Whatever in a stream's configuration could lose or withhold a record; each as what it must be instead."""
    found = [f"{name} must be {value}" for name, value in _MUST_BE.items() if config.get(name) != value]
    found += [f"{name} must not be set" for name in _NO_LIMIT if config.get(name, 0) > 0]
    found += [f"{name} must not be set" for name in _NO_SWITCH if config.get(name)]
    if config.get("num_replicas", 1) < wanted.replicas:
        found.append(f"num_replicas must be {wanted.replicas} or more")
    if config.get("max_bytes", -1) <= 0:
        found.append("max_bytes must be set")
    if config.get("persist_mode") not in {None, "", "default"}:
        found.append("persist_mode must be default")
    if sorted(config.get("subjects", [])) != sorted(wanted.subjects):
        found.append(f"subjects must be {' and '.join(wanted.subjects)}")
    return found


async def prepare(connection: Connection, store: Store, wanted: Wanted, mark: str) -> Home:
    """Make the stream if the database has none yet, and see to it that it is safe and the database's own.

    Args:
        mark: the name of a stream that is made now; no other has it.

    Raises:
        StoreRefused: with a sentence for the operator.
    """
    _refuse_unfit(connection)
    known = await store.read(home.find)
    if known is not None and known.stream != wanted.name:
        raise StoreRefused(f"The payload log of this database is the stream {known.stream}, not {wanted.name}.")
    try:
        its_own, found = await _patiently(lambda: _look(connection, store, wanted, mark, known))
    except (JetStreamError, StoreUnavailable) as error:
        raise StoreRefused(f"JetStream at {connection.place} cannot have the payload log: {error}") from error
    _refuse_foreign(found, its_own)
    assert found is not None
    if found_dangers := dangers(found["config"], wanted):
        raise StoreRefused(f"The stream {wanted.name} is not safe for the payload log: {'; '.join(found_dangers)}.")
    _refuse_older(found, wanted.name, await store.read(home.last_processed))
    await store.write(lambda tx: home.keep(tx, its_own))
    return its_own


def _refuse_unfit(connection: Connection) -> None:
    if connection.version < OLDEST_SERVER:
        told = ".".join(map(str, connection.version))
        raise StoreRefused(f"The NATS server at {connection.place} is {told}; JetStream of 2.11 or newer is needed.")
    if connection.max_payload_bytes < RECORD_MAX_BYTES:
        raise StoreRefused(
            f"The NATS server at {connection.place} takes messages of up to {connection.max_payload_bytes} bytes, and"
            " an upload may be larger. Set max_payload: 2MB on each server of the cluster."
        )


async def _look(
    connection: Connection, store: Store, wanted: Wanted, mark: str, known: Home | None
) -> tuple[Home, dict[str, Any] | None]:
    """The stream that the database has, and what JetStream says of it; looking again changes nothing."""
    found = await _find(connection, wanted.name)
    if known is not None:
        return known, found
    known = await _settle(connection, store, wanted, mark, found)
    return known, await _find(connection, wanted.name)


async def _patiently(look: Callable[[], Awaitable[T]]) -> T:
    """Look again while nobody answers: a process that starts while nodes of the cluster do is not to end for that."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + ELECTION_S
    while True:
        try:
            return await look()
        except StoreUnavailable:
            if loop.time() > until_s:
                raise
        await asyncio.sleep(_RETRY_S)


async def _find(connection: Connection, name: str) -> dict[str, Any] | None:
    try:
        return await connection.ask(f"STREAM.INFO.{name}")
    except JetStreamError as error:
        if error.status == NOT_FOUND:
            return None
        _refuse_for_now(error)
        raise


def _refuse_for_now(error: JetStreamError) -> None:
    """Tell what may pass by itself as that.

    Raises:
        StoreUnavailable.
    """
    if error.status == _NOT_NOW or error.code == _NO_PEERS:
        raise StoreUnavailable(str(error)) from error


async def _make(connection: Connection, wanted: Wanted, config: Mapping[str, Any]) -> None:
    try:
        await connection.ask(f"STREAM.CREATE.{wanted.name}", config)
    except JetStreamError as error:
        _refuse_for_now(error)
        raise


async def _settle(
    connection: Connection, store: Store, wanted: Wanted, mark: str, found: Mapping[str, Any] | None
) -> Home:
    """The stream of a database that has none yet; one that another process has made just now is its own too."""
    if await store.read(home.is_anything_waiting):
        raise StoreRefused(
            "Uploads wait in the database. Start once without UNBROKEN_NATS_URL and let them be processed."
        )
    if found is None:
        first = await store.read(home.first_sequence)
        try:
            await _make(connection, wanted, wanted.config(mark, first))
        except JetStreamError as error:
            if error.code != _NAME_IN_USE:
                raise
        else:
            return Home(wanted.name, mark, PARTITIONS)
        found = await connection.ask(f"STREAM.INFO.{wanted.name}")
    if (known := await store.read(home.find)) is not None:
        return known  # another process was there between the looks
    made_for = found["config"].get("metadata", {}).get(MARK, "")
    if found["state"]["messages"] or not made_for:
        raise StoreRefused(
            f"There is a stream {wanted.name}, and this database knows nothing of it. Name another with"
            " UNBROKEN_NATS_STREAM: it is made by the first process that starts."
        )
    return Home(wanted.name, made_for, PARTITIONS)


def _refuse_older(found: Mapping[str, Any], name: str, processed: int) -> None:
    """A stream that was brought back from an older copy gives sequences out again that the cursors have passed."""
    last = int(found["state"]["last_seq"])
    if last < processed:
        raise StoreRefused(
            f"The stream {name} ends with message {last}, and this database has processed it up to {processed}: it was"
            " brought back from an older copy, and nothing that came now would be processed. Let it go on behind that:"
            f" nats stream purge {name} --seq={processed + 1} (docs/how-to/back-up)."
        )


def _refuse_foreign(found: Mapping[str, Any] | None, known: Home) -> None:
    if found is None:
        raise StoreRefused(
            f"The stream {known.stream}, where the payload log of this database is, is not there. Is UNBROKEN_NATS_URL"
            " that of another cluster? If the stream is lost, restore it from its backup (docs/how-to/back-up)."
        )
    if found["config"].get("metadata", {}).get(MARK, "") != known.mark:
        raise StoreRefused(f"The stream {known.stream} was made for another database.")
