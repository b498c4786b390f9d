"""What engines need beyond the core, and the payload log that the settings name, beside the database it belongs to."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from unbroken.log import home
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.contract import StoreRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.log.contract import PayloadLog
    from unbroken.randomness import Randomness
    from unbroken.server.settings import Settings
    from unbroken.store.contract import Store


async def open_log(store: Store, settings: Settings, randomness: Randomness) -> PayloadLog:
    """The log of `store`: in it, or on JetStream.

    Raises:
        StoreRefused: with a sentence for the operator.
    """
    if not settings.nats_url:
        await _refuse_without_nats(store)
        return EmbeddedLog(store)
    if not settings.database_url:
        raise StoreRefused(
            "A payload log on NATS needs a PostgreSQL database, which other machines can reach too: set"
            " UNBROKEN_DATABASE_URL, or unset UNBROKEN_NATS_URL."
        )
    with needed("nats", "NATS needs its client. Run: pip install 'unbroken[server,cluster]'"):
        from unbroken.log.jetstream import JetStreamLog  # noqa: PLC0415 - its client is an extra
        from unbroken.log.jetstream.stream import Wanted  # noqa: PLC0415
    wanted = Wanted(settings.nats_stream, settings.nats_replicas, settings.nats_max_mib << 20)
    return await JetStreamLog.open(store, settings.nats_url, wanted, randomness.secret(9).hex())


@contextmanager
def needed(module: str, otherwise: str) -> Iterator[None]:
    """Import what needs a module of an extra.

    Raises:
        StoreRefused: it is not installed; with the sentence `otherwise`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise StoreRefused(otherwise) from error


async def _refuse_without_nats(store: Store) -> None:
    known = await store.read(home.find)
    if known is not None:
        raise StoreRefused(
            f"The payload log of this database is the stream {known.stream} on NATS: set UNBROKEN_NATS_URL."
        )
