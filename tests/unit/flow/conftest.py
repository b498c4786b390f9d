"""Every step on every engine: a suite asks for a platform in a directory and never learns what it rests in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unbroken.store.postgres import PostgresStore
from unbroken.testing import in_process

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.store.contract import Store
    from unbroken.testing.postgres import Schemas


@pytest.fixture(params=["sqlite", "postgres"], autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "postgres":
        schemas: Schemas = request.getfixturevalue("schemas")
        places: dict[Path, str] = {}

        async def open_store(directory: Path) -> Store:
            if directory not in places:
                places[directory] = schemas.create()
            return await PostgresStore.open(places[directory])

        monkeypatch.setattr(in_process, "open_store", open_store)
    return str(request.param)
