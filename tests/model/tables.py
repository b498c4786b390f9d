"""The tables of a running lab, read beside the server: the one thing here that looks inside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from tests.unit.flow.agreement import assert_agree

from unbroken.domain.ids import AppId
from unbroken.server.data_directory import DATABASE_FILE
from unbroken.server.keys import open_key_ring
from unbroken.store.postgres import PostgresStore
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from unbroken.store.contract import Store


class Tables:
    """A second process on the database, which only reads."""

    def __init__(self, data: Path, database_url: str | None) -> None:
        self._runner = asyncio.Runner()
        keys = open_key_ring(data)
        self._store: Store = self._runner.run(
            PostgresStore.open(database_url, keys=keys)
            if database_url
            else SqliteStore.open(data / DATABASE_FILE, keys=keys)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._store.close())
        self._runner.close()

    def assert_are_the_fold(self, app_id: str, installs: Iterable[str]) -> int:
        """What the tables say of these installs, and of everybody they met; returns how many those are."""
        return len(self._runner.run(assert_agree(self._store, AppId(bytes.fromhex(app_id)), installs)))
