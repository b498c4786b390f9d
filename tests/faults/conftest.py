"""What is hit by faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.engines import ENGINES, Engine
from tests.faults.place import POSTGRES, SQLITE, Place, places

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(request.param, request)
    yield made
    made.close()


@pytest.fixture(params=[SQLITE, POSTGRES])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where a platform is to be built, and copied from."""
    with places(tmp_path, _server(request)) as made:
        yield made


@pytest.fixture(params=[SQLITE, POSTGRES], scope="module")
def place_of_module(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The same, once for all tests of a module."""
    with places(tmp_path_factory.mktemp("places"), _server(request)) as made:
        yield made


def _server(request: pytest.FixtureRequest) -> str:
    return "" if request.param == SQLITE else str(request.getfixturevalue("database_server"))
