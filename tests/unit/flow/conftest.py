"""Every step on every engine: a suite asks for a platform in a directory and never learns what it rests in.

On PostgreSQL a test takes some seconds, as most of what it costs is a database that nobody used before. So the suites
of `ON_BOTH` run there always, and the others with `make prove`; what goes through the command line on a directory is
SQLite's alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unbroken.store.postgres import PostgresStore
from unbroken.testing import in_process

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.store.contract import Store
    from unbroken.testing.postgres import Schemas

ON_BOTH = {
    "test_agreement", "test_erase", "test_ingest", "test_refusals", "test_register", "test_retention",
    "test_setting_aside", "test_summary", "test_timeline", "test_undo", "test_verify",
}  # fmt: skip


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if (
        not {"tmp_path", "tmp_path_factory"} & set(metafunc.fixturenames)
        or "command_line" in metafunc.function.__name__
    ):
        return
    marks = () if metafunc.module.__name__.rpartition(".")[2] in ON_BOTH else (pytest.mark.prove,)
    metafunc.parametrize("engine", ["sqlite", pytest.param("postgres", marks=marks)], indirect=True)


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name = str(getattr(request, "param", "sqlite"))
    if name == "postgres":
        schemas: Schemas = request.getfixturevalue("schemas")
        places: dict[Path, str] = {}

        async def open_store(directory: Path) -> Store:
            if directory not in places:
                places[directory] = schemas.create()
            return await PostgresStore.open(places[directory])

        monkeypatch.setattr(in_process, "open_store", open_store)
    return name
