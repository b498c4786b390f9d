"""What random histories are played on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.engines import ENGINES, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    made = Engine(request.param, request)
    yield made
    made.close()
