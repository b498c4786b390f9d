"""An import in a process of its own, which kills itself around one of its writes.

    python import_child.py PLACE ARCHIVE APP_ID [before|after NUMBER]

Every line of an event or a payload is a write of its own, so that there is much to be killed in.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from tests.faults.place import Place, told
from tests.faults.replay_child import Mortal

from unbroken.clock import SystemClock
from unbroken.credentials import Vault
from unbroken.domain.ids import AppId
from unbroken.flow import adopt as step
from unbroken.flow.context import Context
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness


async def main(place: Place, archive: Path, app_id: bytes, when: str, number: int) -> None:
    step._BATCH_ROWS = 1  # type: ignore[misc]
    store = await place.open()
    clock = SystemClock()
    vault = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)
    mortal: Any = Mortal(store, when, number) if when else store
    context = Context(mortal, EmbeddedLog(store), clock, clock, SystemRandomness(), vault, Standings(), lab=False)
    with archive.open("rb") as file:
        await step.adopt(context, [file], AppId(app_id))
    await store.close()


if __name__ == "__main__":
    place, words = told([*sys.argv[1:], "", "0"])
    asyncio.run(main(place, Path(words[0]), bytes.fromhex(words[1]), words[2], int(words[3])))
