"""Which road the tests' servers stand behind: chosen by environment variables, which every process inherits.

UNBROKEN_TEST_ROAD=doubled python -m pytest tests/end_to_end tests/model
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again
from typing import TYPE_CHECKING, Any

from tests.road.doubling import Road
from tests.road.record import Written

from unbroken.server.app import Application

if TYPE_CHECKING:
    from unbroken.server.reply import Receive, Scope, Send

ROAD, DOUBLED = "UNBROKEN_TEST_ROAD", "doubled"
LOOKS = "/health/"  # asked as often as a start takes, which would move the chance of the calls
SEED, RECORD = "UNBROKEN_TEST_ROAD_SEED", "UNBROKEN_TEST_ROAD_RECORD"


def build() -> None:
    """Put a road before every application of this process from now on.

    Its chance is that of the run and of the test that is being run: the same whatever ran before.
    """
    chance = Random(f"{os.environ[SEED]} {os.environ.get('PYTEST_CURRENT_TEST', '')}")
    road = Road(chance, Written(Path(os.environ[RECORD])))
    straight = Application.__call__

    async def doubled(self: Application, scope: Scope, receive: Receive, send: Send) -> Any:
        if scope["type"] != "http" or scope["path"].startswith(LOOKS):
            return await straight(self, scope, receive, send)
        return await road.carry(partial(straight, self), scope, receive, send)

    Application.__call__ = doubled  # type: ignore[method-assign]
