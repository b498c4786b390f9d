"""What is of another app and stands in no path: external ids, codes, tickets, hints, cursors. A part of the mirror."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Case, Seen, Unjudged, judged
from unbroken.attack.exchange import asking, with_query
from unbroken.attack.likeness import holds_any, mirrored
from unbroken.attack.world import REGISTER
from unbroken.credentials import Kind, write_opaque

if TYPE_CHECKING:
    from unbroken.attack.world import World

WINS: Final = "what belongs to another app, or the knowledge that it is there"
DEFENCE: Final = "the reply is that for an id that never was, byte for byte but for its ref"


# External ids


async def _looked_up(world: World) -> Seen:
    foreign, unknown = [
        await world.caller.send(asking("GET", with_query("/v3/users", {"external_id": text}), world.a.key()))
        for text in (world.victim.external_id, world.word("victim"))
    ]
    return mirrored(foreign, unknown, world.victim)


async def _minted(world: World) -> Seen:
    device = await world.a.register(await world.a.mint(world.victim.external_id))
    profile = await world.caller.send(asking("GET", "/v2/users/me", device.bearer))
    theirs = [secret for secret in world.victim.secrets if secret != world.victim.external_id.encode()]
    is_another = device.user_id != world.victim.device.user_id
    return judged(profile, lambda reply: is_another and not any(secret in reply.body for secret in theirs))


async def _linked(world: World) -> Seen:
    device = await world.a.register()
    await world.a.link(device, world.victim.external_id)
    return Seen(device.user_id != world.victim.device.user_id, "it became an account of its own app")


# What can be shown in a body


async def _code_redeemed(world: World) -> Seen:
    foreign = await world.b.mint(world.victim.external_id)
    made_up = write_opaque(Kind.AUTH_CODE, world.randomness.secret(12), world.randomness.secret(32))
    device = await world.a.register()
    replies = [
        await world.caller.send(asking("POST", "/sdk/link", device.bearer, {"authentication_code": text}))
        for text in (foreign, made_up)
    ]
    return mirrored(replies[0], replies[1], world.victim)


async def _restored(world: World) -> Seen:
    body = REGISTER | {"restored_from": world.victim.device.install_id}
    reply = await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, body))
    return judged(reply, lambda reply: reply.status == 201 and not holds_any(reply, world.victim))


async def _ticket_shown(world: World) -> Seen:
    other = await world.b.register()
    device = await world.a.register()
    body = {"external_id": world.word("ticket"), "link_ticket": (await world.b.state(other))["link_ticket"]}
    reply = await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), body))
    return judged(reply, lambda reply: reply.code == "INVALID_LINK_TICKET")


# Where tenants could meet by accident


async def _metrics_read(world: World) -> Seen:
    reply = await world.caller.send(asking("GET", "/metrics"))
    return judged(reply, lambda reply: not holds_any(reply, world.victim))


async def _cursor_shown(world: World) -> Seen:
    target = f"/v3/users/{world.victim.device.user_id}/items"
    page = await world.caller.send(asking("GET", f"{target}?limit=1", world.b.key()))
    theirs = str(page.json.get("next_cursor", "")) if isinstance(page.json, dict) else ""
    if not theirs:
        raise Unjudged("There is no second page whose cursor could be taken.")
    mine = f"/v3/users/{world.me.device.user_id}/items"
    reply = await world.caller.send(asking("GET", with_query(mine, {"cursor": theirs}), world.a.key()))
    return judged(reply, lambda reply: reply.status in {200, 400} and not holds_any(reply, world.victim))


_OF_ONE_APP: Final = "accounts are of one app"
ELSEWHERE: Final = (
    Case("external-id/look-up", WINS, DEFENCE, _looked_up),
    Case("external-id/mint", "a person of another app by a code", _OF_ONE_APP, _minted),
    Case("external-id/link", "a person of another app by a link", _OF_ONE_APP, _linked),
    Case("code/redeemed-in-another-app", WINS, "it answers as an unknown code", _code_redeemed),
    Case("restored-from/another-app", "a person by claiming to be their phone", "a hint grants nothing", _restored),
    Case("ticket/another-app", "a link by a ticket of another app", "403 INVALID_LINK_TICKET", _ticket_shown),
    Case("metrics/names-nobody", "who uses the platform", "metrics hold no ids", _metrics_read),
    Case("cursor/of-another-list", WINS, "a cursor is a place in one's own list", _cursor_shown),
)
"""The attacks."""
