"""Calls at the same instant: what may happen once happens once, however many ask."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Case, Seen, Unjudged
from unbroken.attack.exchange import NoReply, asking, read_reply
from unbroken.attack.world import REGISTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from unbroken.attack.attack import Attack
    from unbroken.attack.exchange import Reply, Request
    from unbroken.attack.world import World

_RACERS: Final = 16
_ROUNDS: Final = 5


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for case in _RACES:
        yield case.on(world, "races")


def _rounds(race: Callable[[World], Awaitable[Seen]]) -> Callable[[World], Awaitable[Seen]]:
    """A race that is run several times, and lost with the first that is lost."""

    async def tried(world: World) -> Seen:
        for _ in range(_ROUNDS):
            seen = await race(world)
            if not seen.held:
                return seen
        return Seen(True, f"{_ROUNDS} rounds; in the last {seen.what}")

    return tried


async def at_once(world: World, requests: Sequence[Request]) -> list[Reply]:
    """The replies to requests that leave together: every connection is open, and all but the last byte is out."""
    lines = await asyncio.gather(*(world.caller.host.connect() for _ in requests))
    try:
        contents = [world.caller.host.encoded(request) for request in requests]
        for (_, writer), content in zip(lines, contents, strict=True):
            writer.write(content[:-1])
            await writer.drain()
        for (_, writer), content in zip(lines, contents, strict=True):
            writer.write(content[-1:])
        async with asyncio.timeout(60):
            replies = await asyncio.gather(*(read_reply(reader) for reader, _ in lines))
    except TimeoutError as error:
        raise NoReply("Racing requests were not answered within 60 s.") from error
    finally:
        for _, writer in lines:
            writer.close()
    if any(reply is not None and reply.is_too_soon for reply in replies):
        raise Unjudged("The platform limits so many calls at once.")
    if any(reply is None for reply in replies):
        raise NoReply("A racing request was not answered.")
    return [reply for reply in replies if reply is not None]


def _told(replies: Sequence[Reply]) -> str:
    return ", ".join(f"{count} x {text}" for text, count in Counter(map(str, replies)).items())


def _winners(replies: Sequence[Reply], *losers: str) -> Seen:
    """Whether one reply succeeded and every other is one of these refusals."""
    won = [reply for reply in replies if reply.status < 300]
    lost = all(reply.code in losers for reply in replies if reply.status >= 300)
    return Seen(len(won) == 1 and lost, _told(replies))


async def _code_by_installs(world: World) -> Seen:
    code = {"authentication_code": await world.a.mint(world.word("race"))}
    devices = [await world.a.register() for _ in range(_RACERS)]
    replies = await at_once(world, [asking("POST", "/sdk/link", device.bearer, code) for device in devices])
    return _winners(replies, "AUTH_CODE_USED")


async def _code_by_registrations(world: World) -> Seen:
    body = REGISTER | {"authentication_code": await world.a.mint(world.word("race"))}
    return _winners(await at_once(world, [asking("POST", "/sdk/installs", None, body)] * _RACERS), "AUTH_CODE_USED")


async def _code_by_one(world: World) -> Seen:
    device, body = await world.a.register(), {"authentication_code": await world.a.mint(world.word("race"))}
    replies = await at_once(world, [asking("POST", "/sdk/link", device.bearer, body)] * _RACERS)
    users = {reply.json.get("user_id") for reply in replies}
    return Seen(len(users) == 1 and all(reply.status == 200 for reply in replies), _told(replies))


async def _two_accounts(world: World) -> Seen:
    device = await world.a.register()
    target = f"/v2/users/{device.install_id}/link"
    bodies = [{"external_id": world.word("race")} for _ in range(2)]
    replies = await at_once(world, [asking("POST", target, world.a.key(), body) for body in bodies])
    return _winners(replies, "INSTALL_LINKED_TO_OTHER_USER")


async def _one_account(world: World) -> Seen:
    body = {"external_id": world.word("race")}
    devices = [await world.a.register() for _ in range(_RACERS)]
    targets = [f"/v2/users/{device.install_id}/link" for device in devices]
    replies = await at_once(world, [asking("POST", target, world.a.key(), body) for target in targets])
    users = {reply.json.get("id") for reply in replies}
    return Seen(
        len(users) == 1 and all(reply.status == 200 for reply in replies), f"{len(users)} users; {_told(replies)}"
    )


async def _one_active(world: World) -> Seen:
    body = {"external_id": world.word("race")}
    devices = [await world.a.register() for _ in range(_RACERS)]
    targets = [f"/v2/users/{device.install_id}/link" for device in devices]
    await at_once(world, [asking("POST", target, world.a.key(), body) for target in targets])
    states = [(await world.a.state(device))["state"] for device in devices]
    return Seen(states.count("active") == 1, f"{states.count('active')} of {len(states)} are active")


async def _renewals(world: World) -> Seen:
    device = await world.a.register()
    request = asking("POST", "/sdk/tokens", f"Bearer {device.credential}")
    return _winners(await at_once(world, [request] * _RACERS), "INSTALL_CLONED")


async def _one_registration(world: World) -> Seen:
    key = world.randomness.uuid(world.clock.now_ms())
    request = asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key=key)
    replies = await at_once(world, [request] * _RACERS)
    installs = {reply.json.get("install_id") for reply in replies if reply.status == 201}
    return Seen(
        len(installs) == 1 and all(reply.status == 201 for reply in replies), f"{len(installs)}; {_told(replies)}"
    )


async def _undo(world: World) -> Seen:
    link_id = await world.a.link(await world.a.register(), world.word("race"))
    replies = await at_once(world, [asking("POST", f"/v3/links/{link_id}/undo", world.a.key())] * 8)
    undos = {reply.json.get("undo_id") for reply in replies if reply.status == 200}
    return Seen(len(undos) == 1 and all(reply.status == 200 for reply in replies), f"{len(undos)}; {_told(replies)}")


async def _renames(world: World) -> Seen:
    body = {"external_id": world.word("wanted")}
    users = [(await world.a.linked(world.word("race"))).user_id for _ in range(2)]
    targets = [f"/v3/users/{user}/external_id" for user in users]
    return _winners(
        await at_once(world, [asking("PUT", target, world.a.key(), body) for target in targets]), "CONFLICT"
    )


async def _erased(world: World) -> Seen:
    device = await world.a.linked(world.word("race"))
    upload = asking("POST", "/sdk/payloads", device.bearer, world.a.upload())
    erase = asking("DELETE", f"/users/{device.user_id}", world.a.key())
    replies = await at_once(world, [upload, erase, upload, upload])
    after = await world.caller.send(upload)
    answered = all(reply.status in {200, 202} or reply.code == "INSTALL_DELETED" for reply in replies)
    return Seen(answered and after.code == "INSTALL_DELETED", f"{_told(replies)}; after it {after}")


_RACES: Final = (
    Case("code-by-sixteen-installs", "one code for many phones", "one winner, the others AUTH_CODE_USED",
         _rounds(_code_by_installs)),
    Case("code-by-sixteen-registrations", "one code for many phones", "one winner", _rounds(_code_by_registrations)),
    Case("code-by-one-install", "more than one link by one code", "the same answer to all", _rounds(_code_by_one)),
    Case("two-links-of-one-install", "a phone of two people", "one account wins", _rounds(_two_accounts)),
    Case("sixteen-links-to-one-account", "two people of one account", "one user", _rounds(_one_account)),
    Case("two-phones-active", "two active phones of one person", "one is active", _rounds(_one_active)),
    Case("renewals-of-one-credential", "two phones from one credential", "one renewal, then clones",
         _rounds(_renewals)),
    Case("one-registration-key", "many installs from one key", "one install", _rounds(_one_registration)),
    Case("undo-by-eight", "a link undone twice", "one undo", _rounds(_undo)),
    Case("rename-to-one-account", "two people of one account", "one is renamed, the other 409", _rounds(_renames)),
    Case("upload-while-erased", "data of somebody who is gone", "after the receipt nothing is taken",
         _rounds(_erased)),
)  # fmt: skip
