"""A replay in a process of its own, which kills itself at one of its writes.

    python replay_child.py PLACE APP_ID [before|after NUMBER]

Without the last words it goes on to the end, taking up what was left.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from tests.faults.place import Place, told

from unbroken.clock import SystemClock
from unbroken.credentials import Vault
from unbroken.flow.context import Context
from unbroken.flow.replay import Wanted, replay
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SystemRandomness
from unbroken.store import replay as rows


class Mortal:
    """A store whose process ends, as by a power cut, around one write."""

    def __init__(self, store: Any, when: str, number: int) -> None:
        self._store = store
        self._when = when
        self._left = number

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, call: Any) -> Any:
        self._left -= 1
        if self._left < 0 and self._when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = await self._store.write(call)
        if self._left < 0 and self._when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


async def main(place: Place, app_id: bytes, when: str, number: int) -> None:
    store = await place.open()
    clock = SystemClock()
    vault = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)
    mortal: Any = Mortal(store, when, number) if when else store
    context = Context(mortal, EmbeddedLog(store), clock, clock, SystemRandomness(), vault, Standings(), lab=False)
    was_left = await store.read(lambda tx: rows.run(tx, app_id)) is not None
    resume = was_left and not when
    changes = None if resume else {"late_window_days": "30"}
    await replay(context, Wanted(app_id, changes, switch=True, resume=resume), share=1)
    await store.close()


if __name__ == "__main__":
    place, words = told([*sys.argv[1:], "", "0"])
    asyncio.run(main(place, bytes.fromhex(words[0]), words[1], int(words[2])))
