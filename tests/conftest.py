"""What tests of every kind share: asyncio, one PostgreSQL and three nodes of NATS, started by the first that asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from unbroken.testing.nats import SERVER_VARIABLE as NATS_VARIABLE
from unbroken.testing.nats import NatsCluster
from unbroken.testing.postgres import SERVER_VARIABLE, PostgresServer, Schemas

if TYPE_CHECKING:
    from collections.abc import Iterator


os.environ.setdefault("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")  # not the developer's own keyring
settings.register_profile("without a clock", deadline=None)  # a machine that is busy with something else is no failure
settings.load_profile("without a clock")


def pytest_configure(config: pytest.Config) -> None:
    """Where a bad road is asked for, every server of this run stands behind it (`tests/road`)."""
    if os.environ.get("UNBROKEN_TEST_ROAD"):
        from tests.road.run import RoadRun

        config.pluginmanager.register(RoadRun(config))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def database_server() -> Iterator[str]:
    """The URL of a database from which others can be created."""
    if named := os.environ.get(SERVER_VARIABLE):
        yield named
        return
    with PostgresServer() as server:
        yield server.url()


@pytest.fixture(scope="session")
def schemas(database_server: str) -> Iterator[Schemas]:
    """Makes places for stores, and drops them at the end."""
    made = Schemas(database_server)
    yield made
    made.drop()


@pytest.fixture(scope="session")
def nats_url() -> Iterator[str]:
    """The URL of three NATS servers with JetStream, which are one cluster."""
    if named := os.environ.get(NATS_VARIABLE):
        yield named
        return
    with NatsCluster(3) as cluster:
        yield cluster.url
