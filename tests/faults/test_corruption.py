"""Single rows are corrupted behind the store's back; `verify` must notice each, and mend what is proved."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.busy import Busy, live, timelines
from tests.faults.corruptions import BY_FORM, COLUMNS, NO_CLAIM
from tests.faults.planting import ALL, CHOSEN, LEFT, columns_of

from unbroken.flow.standings import Standings
from unbroken.flow.verify import Report, Rule, Wanted, verify
from unbroken.log.embedded import EmbeddedLog
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import KEY_RING, InProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.planting import Corruption

pytestmark = pytest.mark.xdist_group("corruption")  # so that the story is lived once

TRUTH = {
    "facts": "*",
    "payloads": "*",
    "installs": "install_id, used, device, credential_digest, credential_key, install_key",
    "spent_credentials": "*",
    "registrations": "*",
    "tombstones": "*",
    "receipts": "*",
}
"""What no repair may touch."""


BROKEN = {
    Rule.LAW_1: "UPDATE carriers SET user_id = (SELECT user_id FROM users WHERE sealed_id = sealed('ben@new'))"
    " WHERE sealed_id = sealed('anna')",
    Rule.LAW_2: "UPDATE spans SET from_ms = from_ms - 1000 WHERE outcome = 'accepted' AND user_id ="
    " (SELECT user_id FROM carriers WHERE sealed_id = sealed('anna')) AND to_ms IS NULL",
    Rule.LAW_8: "UPDATE events SET end_ms = end_ms + 1 WHERE NOT is_removed AND end_ms IS NOT NULL",
    Rule.LAW_10: "DELETE FROM tombstones",
    Rule.LEDGER_FOLDS: "UPDATE facts SET at = 1 WHERE kind = 'linked' AND sealed_id = sealed('anna')",
    Rule.LEDGER_KNOWS: "INSERT INTO carriers SELECT app_id, sealed('mallory'), user_id FROM carriers LIMIT 1",
    Rule.TABLES_ARE_FOLD: "UPDATE installs SET standing = 'deleted' WHERE standing = 'active'",
    Rule.POLICY_IS_FACT: "UPDATE apps SET policy = replace(policy, 'claim', 'drop')",
    Rule.SPANS_TILE: "UPDATE spans SET from_ms = from_ms + 1000 WHERE to_ms IS NULL",
    Rule.USED_IS_TOLD: "UPDATE installs SET used = 0",
    Rule.FORM_FOLLOWS: "UPDATE installs SET device = replace(device, '10.1', '6.1')",
    Rule.STANDING_IS_TOLD: "UPDATE changes SET standing = 'deleted' WHERE standing = 'superseded'",
    Rule.UPLOAD_READS: "UPDATE payloads SET first_t = first_t + 1",
    Rule.LOG_IS_WHOLE: "UPDATE log_partitions SET position = position + 1000",
    Rule.RECEIPT_IS_GENUINE: 'UPDATE receipts SET body = replace(body, \'"erased_at":"2\', \'"erased_at":"3\')',
    Rule.AUDIT_IS_WHOLE: "DELETE FROM audit WHERE position = 2",
    Rule.ROW_READS: "UPDATE users SET metadata = '{'",
    Rule.NAMED_IS_THERE: "DELETE FROM users WHERE redirect IS NOT NULL",
}
"""How to break each, by one statement."""


@dataclass
class Lived:
    """The story, closed, and what was served of everybody."""

    path: Path
    busy: Busy
    platform: InProcess
    timelines: dict[str, bytes]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    path = tmp_path_factory.mktemp("busy")

    async def story() -> Lived:
        async with InProcess(path) as platform:
            busy = await live(platform)
            assert await platform.context.store.read(lambda tx: tx.all("SELECT * FROM log_records"))
            return Lived(path / "unbroken.db", busy, platform, await served_of(platform, busy))

    return asyncio.run(story())


@pytest.fixture
def path(lived, tmp_path) -> Path:
    return Path(shutil.copy(lived.path, tmp_path / "unbroken.db"))


async def served_of(platform: InProcess, busy: Busy) -> dict[str, bytes]:
    """What is served without processing what waits."""
    platform.settle, settle = _nothing, platform.settle  # type: ignore[method-assign]
    try:
        return await timelines(platform, busy)
    finally:
        platform.settle = settle  # type: ignore[method-assign]


async def _nothing() -> None:
    return


@asynccontextmanager
async def opened(lived: Lived, path: Path) -> AsyncIterator[InProcess]:
    """The same platform on a copy of its file."""
    store = await SqliteStore.open(path, keys=KEY_RING)
    try:
        platform = lived.platform
        platform.context = replace(platform.context, store=store, log=EmbeddedLog(store), standings=Standings())
        yield platform
    finally:
        await store.close()


def looked_at(lived: Lived, path: Path, *, is_repairing: bool = False) -> tuple[Report, dict[str, bytes]]:
    """What verify says, and what is served afterwards if there is nothing left to say."""

    async def story() -> tuple[Report, dict[str, bytes]]:
        async with opened(lived, path) as platform:
            report = await verify(platform.context, Wanted(), is_repairing=is_repairing, share=1)
            return report, {} if report.findings else await served_of(platform, lived.busy)

    return asyncio.run(story())


def rows_of(path: Path, tables: dict[str, str]) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as file:
        return {table: file.execute(f"SELECT {columns} FROM {table}").fetchall() for table, columns in tables.items()}


def tables_of(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return [name for name in names if not name.startswith("sqlite_")]


def test_two_hundred_different_ones_are_planted():
    assert len({one.name for one in CHOSEN}) == len(CHOSEN) >= 200
    assert len(CHOSEN) + len(LEFT) == len({one.name for one in ALL}) == len(ALL)


def test_every_column_of_every_table_is_planted_in_or_said_to_claim_nothing(lived):
    free = {name for names in NO_CLAIM.values() for name in names}
    with closing(sqlite3.connect(lived.path)) as file:
        every = {
            f"{table}.{column}"
            for table in tables_of(lived.path)
            if f"{table}.*" not in free
            for column, *_ in columns_of(file, table)
        }
    planted = {f"{table}.{column}" for table, columns in COLUMNS.items() for column in columns}
    assert every - planted - free == set()
    assert {name for names in BY_FORM.values() for name in names} <= planted


def test_a_busy_story_gives_no_finding_and_looking_changes_nothing(lived, path):
    every = dict.fromkeys(tables_of(path), "*")
    before = rows_of(path, every)
    report, served = looked_at(lived, path)
    assert report.findings == []
    assert report.checked["people"] > 4
    assert report.checked["timelines"] > 5
    assert served == lived.timelines
    assert rows_of(path, every) == before


@pytest.mark.parametrize("rule", Rule, ids=str)
def test_every_rule_has_its_own_code(rule, lived, path):
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        (app_id,) = file.execute("SELECT app_id FROM apps").fetchone()
        file.create_function("sealed", 1, lambda text: KEY_RING.seal(1, app_id, text))
        assert file.execute(BROKEN[rule]).rowcount >= 1
    report, _ = looked_at(lived, path)
    assert rule in {finding.rule for finding in report.findings}


def is_noticed_and_mended_where_that_is_proved(corruption: Corruption, lived: Lived, path: Path) -> None:
    corruption.plant(path)
    before = rows_of(path, TRUTH)
    report, served = looked_at(lived, path, is_repairing=True)
    assert report.findings or report.repaired, f"{corruption.name} was not noticed"
    assert rows_of(path, TRUTH) == before
    if corruption.how.mends:
        assert report.findings == []
    if not report.findings:
        assert served == lived.timelines


@pytest.mark.parametrize("corruption", CHOSEN, ids=lambda one: one.name)
def test_a_corrupted_row_is_noticed_and_mended_where_that_is_proved(corruption, lived, path):
    is_noticed_and_mended_where_that_is_proved(corruption, lived, path)


@pytest.mark.prove
@pytest.mark.parametrize("corruption", LEFT, ids=lambda one: one.name)
def test_the_other_corrupted_rows_are_noticed_too(corruption, lived, path):
    is_noticed_and_mended_where_that_is_proved(corruption, lived, path)
