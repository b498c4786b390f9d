"""An attack as data: what it would win, what is to stop it, and what happened when it was tried."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from unbroken.attack.exchange import Caller, Reply, Request
    from unbroken.attack.world import World


class Verdict(StrEnum):
    """How an attack ended."""

    HELD = "held"
    SUCCEEDED = "succeeded"
    UNJUDGED = "unjudged"


class Seen(NamedTuple):
    """What came of an attack: whether the platform held, and what was seen."""

    held: bool
    what: str


class Unjudged(Exception):
    """What was needed to judge could not be had; the attack counts for nothing."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack.

    Args:
        id: `chapter/name`, the same in every run.
        wins: what the attacker would have, in words.
        defence: what the platform is to do.
        run: tries it. Raises Unjudged where it cannot be judged.
    """

    id: str
    wins: str
    defence: str
    run: Callable[[], Awaitable[Seen]]


@dataclass(frozen=True, slots=True)
class Case:
    """An attack before there is a world to try it on, so that a chapter can hold a table of them.

    Args:
        name: within its chapter.
        wins: as of an `Attack`.
        defence: as of an `Attack`.
        tried: tries it on a world. Raises Unjudged where it cannot be judged.
    """

    name: str
    wins: str
    defence: str
    tried: Callable[[World], Awaitable[Seen]]

    def on(self, world: World, chapter: str) -> Attack:
        """The attack on that world."""
        return Attack(f"{chapter}/{self.name}", self.wins, self.defence, partial(self.tried, world))


@dataclass(frozen=True, slots=True)
class Chapter:
    """Attacks of one kind.

    Args:
        attacks: makes them; may send what prepares them.
        at_once: they mostly wait, and are tried side by side.
    """

    name: str
    title: str
    attacks: Callable[[World], AsyncIterator[Attack]]
    at_once: bool = False


class Outcome(NamedTuple):
    """An attack that was tried."""

    chapter: str
    attack: Attack
    verdict: Verdict
    what: str


def sending(
    caller: Caller, id_: str, request: Request, holds: Callable[[Reply], bool], *, wins: str, defence: str
) -> Attack:
    """An attack that is one request. Making the platform fail (5xx) always succeeds."""

    async def run() -> Seen:
        reply = await caller.send(request)
        if caller.proxied and reply.is_of_a_proxy:
            return Seen(True, f"{reply} of the proxy")
        return judged(reply, holds)

    return Attack(id_, wins, defence, run)


def judged(reply: Reply, holds: Callable[[Reply], bool]) -> Seen:
    """What a reply says about the defence.

    Raises:
        Unjudged: the platform is not available.
    """
    if reply.status == 503:
        raise Unjudged(f"The platform answered {reply}.")
    return Seen(reply.status < 500 and holds(reply), str(reply))


def refused(*statuses: int) -> Callable[[Reply], bool]:
    """Whether a reply is a refusal of one of these statuses, in the shape that every error has."""
    return lambda reply: reply.status in statuses and bool(reply.code)


def refusing(name: str, send: Callable[[World], Awaitable[Reply]], *codes: str, wins: str) -> Case:
    """A case that holds where the reply is a refusal with one of these codes."""

    async def tried(world: World) -> Seen:
        return judged(await send(world), lambda reply: reply.code in codes)

    return Case(name, wins, " or ".join(codes), tried)
