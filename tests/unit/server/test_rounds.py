"""What a server does again and again goes on after a step that failed, and ends where it is told to."""

from __future__ import annotations

import asyncio

from unbroken.server.rounds import Rounds


def taken(every_s: float, *, until: int = 0, **how: bool) -> int:
    """How many steps were taken, each of which fails: until there were so many, or else in a moment."""
    steps = 0
    enough = asyncio.Event()

    async def step() -> None:
        nonlocal steps
        steps += 1
        if steps == until:
            enough.set()
        raise OSError("the disk is full")

    async def run() -> None:
        rounds = Rounds(step, every_s, "no step", **how)
        rounds.start()
        await (asyncio.wait_for(enough.wait(), 10) if until else asyncio.sleep(0.01))
        await rounds.stop()
        at_the_stop = steps
        await asyncio.sleep(0.01)
        assert steps == at_the_stop

    asyncio.run(run())
    return steps


def test_a_step_that_fails_is_followed_by_the_next_until_the_stop():
    assert taken(0.001, until=3) >= 3


def test_the_first_step_is_taken_at_once_unless_it_is_to_wait():
    assert taken(60) == 1
    assert taken(60, rests_first=True) == 0


def test_every_0_seconds_is_never():
    assert taken(0) == 0
