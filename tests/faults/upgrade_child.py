"""An upgrade in processes that are killed at a statement each: see `test_upgrade_killed.py`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from tests.faults.killing import count_on_postgres, count_on_sqlite
from tests.faults.place import Place, told


async def upgrade(place: Place, kill_at: int) -> None:
    seen = 0

    def count(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    count_on_sqlite(count)
    count_on_postgres(count)
    await (await place.open()).close()


def main(built: Place, every: int) -> None:
    """One further each time, until one is not killed."""
    for number in range(1, 10_000):
        place = built.copy(f"{number:04}")
        if (child := os.fork()) == 0:
            try:
                asyncio.run(upgrade(place, number * every))
            except BaseException:  # noqa: BLE001 - it must not come back to the loop
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    place, words = told(sys.argv[1:])
    main(place, int(words[0]))
