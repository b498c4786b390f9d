"""A server whose clock has jumped says so: in its log, and on its page of metrics."""

from __future__ import annotations

import asyncio
import json

from unbroken.domain.reckoning import Reckoning
from unbroken.server import settings
from unbroken.server.data_directory import Mode
from unbroken.server.service import Service
from unbroken.store import reckoning

YEAR = 365 * 86_400_000


def test_a_clock_that_is_not_believed_is_told_in_log_and_metrics(tmp_path, log_output):
    async def story() -> str:
        service = await Service.open(settings.load(data=tmp_path / "data"), Mode(lab=False))
        last = Reckoning(service.context.clock.now_ms() - YEAR)
        await service.context.store.write(lambda tx: reckoning.put(tx, last))
        await service.start()
        try:
            assert "unbroken_clock_away_seconds 0.0" in service.metrics.page().decode()
            async with asyncio.timeout(30):
                while service.worker.time is None:  # noqa: ASYNC110 - the worker tells nobody
                    await asyncio.sleep(0.01)
            return service.metrics.page().decode()
        finally:
            await service.stop()

    page = asyncio.run(story())
    (line,) = [line for line in page.splitlines() if line.startswith("unbroken_clock_away_seconds")]
    assert float(line.split()[1]) >= YEAR / 1000
    (told,) = [one for one in map(json.loads, log_output.getvalue().splitlines()) if one.get("code") == "CLOCK_AWAY"]
    assert told["level"] == "error"
    assert told["deletes_by"] < told["clock"] < told["until"]
