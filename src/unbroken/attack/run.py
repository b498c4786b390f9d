"""Run the suite: prove, read what there is to attack, make the people, try chapter by chapter, tell."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Outcome, Seen, Unjudged, Verdict
from unbroken.attack.chapters import CHAPTERS
from unbroken.attack.exchange import Caller, NoReply, asking, host_of
from unbroken.attack.operations import read_operations
from unbroken.attack.ownership import NotProven, prove
from unbroken.attack.report import Report, Told
from unbroken.attack.world import Tenant, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from unbroken.attack.attack import Chapter
    from unbroken.clock import Clock
    from unbroken.consent import Warrant
    from unbroken.randomness import Randomness


_OF_ANOTHER_FORM: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What looking into a reply raises that is not what an honest platform answers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be tried.

    Args:
        only: names of chapters, or how the ids of attacks begin (`mirror/get-v2`); all where empty.
        patience_s: how long a slow attack waits until the platform is to have hung up.
        pairs: how many pairs of requests are timed for each call.
        proxied: something stands in front of the platform, whose own refusals count.
    """

    url: str
    only: Sequence[str] = ()
    patience_s: float = 90.0
    pairs: int = 1_000
    proxied: bool = False


async def run_suite(
    wanted: Wanted, warrant: Warrant, clock: Clock, randomness: Randomness, tell: Callable[[Told], None]
) -> Report:
    """Everything that was tried. `tell` is told of each chapter as it ends.

    Raises:
        NotProven: the host did not prove that it may be attacked, or cannot be.
        ValueError: there is no such chapter, or the URL is none.
    """
    chapters = chosen(wanted.only)
    caller = Caller(host_of(wanted.url), proxied=wanted.proxied)
    try:
        await prove(caller, warrant, randomness)
        world = await _world(caller, wanted, warrant, clock, randomness)
        told: list[Told] = []
        for chapter in chapters:
            told.append(await _chapter(chapter, world, wanted.only))
            tell(told[-1])
    finally:
        await caller.close()
    return Report(wanted.url, clock.now_ms(), tuple(told))


def chosen(only: Sequence[str]) -> list[Chapter]:
    """The chapters that these name, or name a part of, in the suite's order.

    Raises:
        ValueError: there is none of a name.
    """
    names = [chapter.name for chapter in CHAPTERS]
    wanted = {name.partition("/")[0] for name in only}
    for name in sorted(wanted.difference(names)):
        raise ValueError(f"There is no chapter {name}; there are {', '.join(names)}.")
    return [chapter for chapter in CHAPTERS if not only or chapter.name in wanted]


async def _world(caller: Caller, wanted: Wanted, warrant: Warrant, clock: Clock, randomness: Randomness) -> World:
    try:
        document = (await caller.send(asking("GET", "/schema/openapi.json"))).json
        operations = read_operations(document)
        if any(operation.path.startswith("/lab/") for operation in operations):
            raise NotProven("This is a lab. Its clock stands still and it listens to nobody else: attack a platform.")
        a, b = (Tenant(caller, given, clock, randomness) for given in (warrant.a, warrant.b))
        mark = randomness.secret(6).hex()
        me, neighbour = await a.person(f"me-{mark}"), await a.person(f"neighbour-{mark}")
        victim = await b.person(f"victim-{mark}")
    except (Unjudged, NoReply, *_OF_ANOTHER_FORM) as error:
        raise NotProven(f"The platform does not serve its own apps, so there is nothing to attack. {error}") from error
    return World(
        caller, operations, a, b, me, neighbour, victim, randomness, clock, wanted.patience_s, wanted.pairs
    )  # fmt: skip


async def _chapter(chapter: Chapter, world: World, only: Sequence[str] = ()) -> Told:
    started_s = perf_counter()
    outcomes: list[Outcome] = []
    try:
        attacks = await _attacks(chapter, world, only)
        if chapter.at_once:
            outcomes += await asyncio.gather(*(_try(chapter, attack) for attack in attacks))
        else:
            outcomes += [await _try(chapter, attack) for attack in attacks]
    except (Unjudged, NoReply, *_OF_ANOTHER_FORM) as error:
        outcomes.append(_unprepared(chapter, error))
    return Told(chapter.name, chapter.title, tuple(outcomes), perf_counter() - started_s)


async def _attacks(chapter: Chapter, world: World, only: Sequence[str]) -> list[Attack]:
    beginnings = tuple(only) or ("",)
    found = [attack async for attack in chapter.attacks(world) if attack.id.startswith(beginnings)]
    if not found:
        raise Unjudged(f"No attack of this chapter begins like that: {', '.join(only)}.")
    return found


async def _try(chapter: Chapter, attack: Attack) -> Outcome:
    try:
        held, what = await attack.run()
    except Unjudged as error:
        return Outcome(chapter.name, attack, Verdict.UNJUDGED, str(error))
    except NoReply as error:
        return Outcome(chapter.name, attack, Verdict.SUCCEEDED, f"The platform failed: {error}")
    except _OF_ANOTHER_FORM as error:
        return Outcome(chapter.name, attack, Verdict.UNJUDGED, f"A reply was of another form: {error!r}")
    return Outcome(chapter.name, attack, Verdict.HELD if held else Verdict.SUCCEEDED, what)


def _unprepared(chapter: Chapter, error: Exception) -> Outcome:
    """What prepares a chapter failed: an attack of its own, so that it cannot pass unseen."""

    async def nothing() -> Seen:
        raise error

    attack = Attack(f"{chapter.name}/prepared", "nothing", "the chapter can be tried", nothing)
    return Outcome(chapter.name, attack, Verdict.UNJUDGED, str(error))
