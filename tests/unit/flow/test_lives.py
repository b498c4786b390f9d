"""How long rows live, as the data map tells whoever has to answer for them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from unbroken.flow import codes
from unbroken.flow.retention import retain
from unbroken.flow.tidy import tidy
from unbroken.store.data_map import TABLES
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from pathlib import Path

DAY = 86_400_000


async def count(platform: InProcess, table: str) -> int:
    row = await platform.context.store.read(lambda tx: tx.one(f"SELECT count(*) FROM {table}"))
    assert row is not None
    return int(row[0])


def test_a_code_lives_a_week_after_its_end(tmp_path: Path) -> None:
    async def story() -> list[int]:
        async with InProcess(tmp_path) as platform:
            await codes.mint(platform.context, platform.key, "anna", None)
            counts = []
            for days in (6, 8):
                platform.clock.advance_to(START_MS + days * DAY)
                await tidy(platform.context)
                counts.append(await count(platform, "auth_codes"))
            return counts

    assert asyncio.run(story()) == [1, 0]
    assert TABLES["auth_codes"].lives == "a week after they end, and until erasure"


def test_a_dead_letter_outlives_the_retention_of_its_app(tmp_path: Path) -> None:
    async def story() -> int:
        async with InProcess(tmp_path) as platform:
            await platform.upload(await platform.register(), [])
            await platform.context.store.write(lambda tx: tx.run("UPDATE log_records SET body = $1", b"damaged"))
            await platform.settle()
            platform.clock.advance_to(START_MS + 1000 * DAY)
            await retain(platform.context)
            return await count(platform, "dead_letters")

    assert asyncio.run(story()) == 1
    assert TABLES["dead_letters"].lives == "until they are replayed or dropped, and until erasure"
