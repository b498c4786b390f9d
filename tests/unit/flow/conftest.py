"""Every step on every engine: a suite asks for a platform in a directory and never learns what it rests in.

On PostgreSQL a test takes some seconds, as most of what it costs is a database that nobody used before. So the suites
of `ON_BOTH` run there always, and the others with `make prove`; likewise those of `ON_NATS` with the payload log on
JetStream. What goes through the command line on a directory is SQLite's alone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.log.jetstream import JetStreamLog
from unbroken.log.jetstream.stream import Wanted
from unbroken.randomness import SystemRandomness
from unbroken.store.postgres import PostgresStore
from unbroken.testing import in_process
from unbroken.testing.in_process import KEY_RING, InProcess
from unbroken.testing.nats import delete_stream, replicas_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Store
    from unbroken.testing.postgres import Schemas

ON_BOTH = {
    "test_agreement", "test_audit", "test_computed_twice", "test_crew", "test_dead_letters", "test_erase",
    "test_ingest", "test_limits", "test_quotas", "test_reckoning", "test_refusals", "test_register", "test_resealing",
    "test_retention", "test_sealed", "test_setting_aside", "test_summary", "test_timeline", "test_undo",
    "test_used_proofs", "test_verify",
}  # fmt: skip

LONG = {
    "test_after_any_history_everybody_else_is_as_before",
    "test_a_link_that_is_undone_leaves_what_would_have_been_without_it",
    "test_retention_never_changes_a_byte_of_any_timeline",
    "test_any_history_gives_no_finding_here_and_where_it_moves",
}
"""Many histories each: on the other engines with `make prove`, wherever their suite runs."""

ON_NATS = {"test_crew", "test_dead_letters", "test_erase", "test_ingest"}
NATS = "postgres with jetstream"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if (
        not {"tmp_path", "tmp_path_factory"} & set(metafunc.fixturenames)
        or "command_line" in metafunc.function.__name__
    ):
        return
    suite = metafunc.module.__name__.rpartition(".")[2]
    is_long = metafunc.function.__name__ in LONG
    others = [
        pytest.param(name, marks=() if suite in always and not is_long else (pytest.mark.prove,))
        for name, always in (("postgres", ON_BOTH), (NATS, ON_NATS))
    ]
    metafunc.parametrize("engine", ["sqlite", *others], indirect=True)


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[InProcess]:
    async with InProcess(tmp_path) as platform:
        yield platform


@pytest.fixture
def story(tmp_path: Path) -> Callable[[Callable[[InProcess], Awaitable[Any]]], Any]:
    """Tells a story of one platform to its end, in a test that is no coroutine itself."""

    def run(tell: Callable[[InProcess], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with InProcess(tmp_path) as platform:
                return await tell(platform)

        return asyncio.run(whole())

    return run


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name = str(getattr(request, "param", "sqlite"))
    if name != "sqlite":
        put_postgres(monkeypatch, request.getfixturevalue("schemas"))
    if name != NATS:
        yield name
        return
    nats_url = request.getfixturevalue("nats_url")
    streams = put_jetstream(monkeypatch, nats_url)
    yield name
    for stream in streams.values():
        asyncio.run(delete_stream(nats_url, stream))


def put_postgres(monkeypatch: pytest.MonkeyPatch, schemas: Schemas) -> None:
    places: dict[Path, str] = {}

    async def open_store(directory: Path) -> Store:
        if directory not in places:
            places[directory] = schemas.create()
        return await PostgresStore.open(places[directory], keys=KEY_RING)

    monkeypatch.setattr(in_process, "open_store", open_store)


def put_jetstream(monkeypatch: pytest.MonkeyPatch, nats_url: str) -> dict[Path, str]:
    streams: dict[Path, str] = {}

    async def open_log(store: Store, directory: Path) -> PayloadLog:
        name = streams.setdefault(directory, f"flow-{SystemRandomness().secret(6).hex()}")
        wanted, mark = Wanted(name, replicas_at(nats_url), 16 << 20), SystemRandomness().secret(6).hex()
        return await JetStreamLog.open(store, nats_url, wanted, mark)

    monkeypatch.setattr(in_process, "open_log", open_log)
    return streams
