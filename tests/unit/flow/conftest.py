"""Every step on every engine: a suite asks for a platform in a directory and never learns what it rests in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from unbroken.log.jetstream import JetStreamLog
from unbroken.log.jetstream.stream import Wanted
from unbroken.randomness import SystemRandomness
from unbroken.store.postgres import PostgresStore
from unbroken.testing import in_process
from unbroken.testing.nats import delete_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Store
    from unbroken.testing.postgres import Schemas


@pytest.fixture(params=["sqlite", "postgres", "postgres with jetstream"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    streams: dict[Path, str] = {}
    if request.param != "sqlite":
        schemas: Schemas = request.getfixturevalue("schemas")
        places: dict[Path, str] = {}

        async def open_store(directory: Path) -> Store:
            if directory not in places:
                places[directory] = schemas.create()
            return await PostgresStore.open(places[directory])

        monkeypatch.setattr(in_process, "open_store", open_store)
    if request.param == "postgres with jetstream":
        nats_url: str = request.getfixturevalue("nats_url")

        async def open_log(store: Store, directory: Path) -> PayloadLog:
            name = streams.setdefault(directory, f"flow-{SystemRandomness().secret(6).hex()}")
            return await JetStreamLog.open(
                store, nats_url, Wanted(name, 1, 16 << 20), SystemRandomness().secret(6).hex()
            )

        monkeypatch.setattr(in_process, "open_log", open_log)
    yield str(request.param)
    for name in streams.values():
        asyncio.run(delete_stream(nats_url, name))
