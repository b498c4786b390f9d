"""How long a refusal takes must not tell whether something is there: foreign ids against unknown ones, interleaved."""

from __future__ import annotations

from math import sqrt
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen, Unjudged
from unbroken.attack.chapters.credentials import flipped, resealed
from unbroken.attack.exchange import asking, read_reply, with_query

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Sequence

    from unbroken.attack.exchange import Reply, Request
    from unbroken.attack.world import World

_TOLERATED: Final = 0.03
"""How far from one half the chance may be to tell one from the other by the time of one reply."""

_DEVIATIONS: Final = 4.0
_WARM_UP: Final = 50


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    victim, key = world.victim, world.a.key()
    foreign, unknown = victim.ids, world.unknown(victim.ids)
    undo = "/v3/links/{link_id}/undo?dry_run=true"
    paths = {
        "profile": "/v2/users/{user_id}",
        "events": "/v2/users/{user_id}/events",
        "explain": "/v3/installs/{install_id}/explain",
        "ledger": "/v3/users/{user_id}/ledger",
        "location": "/v2/users/{user_id}/location",
    }
    for name, path in paths.items():
        yield _timed(world, name, *(asking("GET", path.format(**ids), key) for ids in (foreign, unknown)))
    yield _timed(world, "undo", *(asking("POST", undo.format(**ids), key, {}) for ids in (foreign, unknown)))
    accounts = (world.word("victim"), world.word("victim"))
    await world.b.linked(accounts[0])  # the mirror has made the victim's an account of app A, too
    looks = [asking("GET", with_query("/v3/users", {"external_id": account}), key) for account in accounts]
    yield _timed(world, "external-id", *looks)
    for name, one, other in _secrets(world):
        target = f"/v2/users/{world.me.device.user_id}"
        requests = [asking("GET", target, f"Bearer {text}") for text in (one, other)]
        yield _timed(world, name, *requests)


def _secrets(world: World) -> list[tuple[str, str, str]]:
    """A secret that is wrong at its beginning against one at its end, and one of a key against one of no key."""
    key = world.a.given.keys["all"]
    body = key[:-8]
    token = world.me.device.token
    return [
        ("key-early-and-late", resealed(flipped(body, 33)), resealed(flipped(body, len(body) - 2))),
        ("key-known-and-unknown", resealed(flipped(body, 33)), resealed(flipped(body, 31))),
        ("token-early-and-late", flipped(token, -20), flipped(token, -2)),
    ]


def _timed(world: World, name: str, foreign: Request, unknown: Request) -> Attack:
    async def run() -> Seen:
        first = await _chance(world, foreign, unknown, world.pairs)
        if abs(first - 0.5) <= limit(world.pairs):
            return Seen(True, f"AUC {first:.3f} of {world.pairs} pairs")
        again = await _chance(world, foreign, unknown, 3 * world.pairs)
        held = abs(again - 0.5) <= limit(3 * world.pairs) or (again > 0.5) != (first > 0.5)
        return Seen(held, f"AUC {first:.3f}, then {again:.3f} of {3 * world.pairs} pairs")

    defence = f"by the time of a reply nobody tells better than {0.5 + _TOLERATED:.2f} (AUC)"
    return Attack(f"timing/{name}", "who has an account where, by the clock", defence, run)


def limit(pairs: int) -> float:
    """How far from one half an AUC of so many pairs may lie: what is tolerated, and what chance does."""
    return _TOLERATED + _DEVIATIONS * sqrt((2 * pairs + 1) / (12 * pairs * pairs))


async def _chance(world: World, foreign: Request, unknown: Request, pairs: int) -> float:
    """The AUC of two kinds of requests over one connection, in pairs; chance says which goes first."""
    host = world.caller.host
    contents = [host.encoded(request) for request in (foreign, unknown)]
    times: tuple[list[int], list[int]] = ([], [])
    said: set[str] = set()
    async with host.connected() as (reader, writer):
        for pair in range(-_WARM_UP, pairs):
            first = int(world.randomness.fraction() * 2)
            for which in (first, 1 - first):
                took_ns, reply = await _time(reader, writer, contents[which])
                said.add(str(reply))
                if pair >= 0:
                    times[which].append(took_ns)
    if len(said) > 1:
        raise Unjudged(f"The two are answered in two ways: {', '.join(sorted(said))}.")
    return auc(*times)


async def _time(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, content: bytes) -> tuple[int, Reply]:
    started_ns = perf_counter_ns()
    writer.write(content)
    reply = await read_reply(reader)
    took_ns = perf_counter_ns() - started_ns
    if reply is None or reply.is_too_soon:
        raise Unjudged("The platform limits so many calls.")
    return took_ns, reply


def auc(ones: Sequence[float], others: Sequence[float]) -> float:
    """The chance that one of the first takes longer than one of the others; one half where nothing tells them apart."""
    ranked = sorted([(value, 1) for value in ones] + [(value, 0) for value in others])
    at = 0
    total = 0.0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        total += sum(kind for _, kind in ranked[at:end]) * (at + 1 + end) / 2
        at = end
    count = len(ones)
    return (total - count * (count + 1) / 2) / (count * len(others))
