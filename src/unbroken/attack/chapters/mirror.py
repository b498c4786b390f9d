"""Two tenants in a mirror: what app B has must look to app A as if it did not exist, on every call there is.

The rows below name every call. One that the platform serves and that has no row cannot be judged, so that a new call is
not forgotten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.attack.attack import Attack, Seen, Unjudged, judged
from unbroken.attack.exchange import Reply, asking, with_query
from unbroken.attack.world import REGISTER
from unbroken.credentials import Kind, write_opaque

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from unbroken.attack.exchange import Request
    from unbroken.attack.operations import Operation
    from unbroken.attack.world import Person, World

_WINS: Final = "what belongs to another app, or the knowledge that it is there"
_DEFENCE: Final = "the reply is that for an id that never was, byte for byte but for its ref"
_CREDENTIAL: Final = re.compile(rb"unb_[a-z]+_[A-Za-z0-9_\-]+")
_INSTANT: Final = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+(?:[+-]\d\d:\d\d|Z)")
_REF: Final = re.compile(rb'"ref":"[0-9a-f-]{36}"')
_OF_EACH_REPLY: Final = frozenset({"x-request-id", "date"})


@dataclass(frozen=True, slots=True)
class Row:
    """How a call is looked at.

    Args:
        body: what goes into it, where the document's example will not do.
        told_apart: the code by which the contract itself tells foreign from unknown (the decision table, row 3).
        told: why its reply needs no mirror: what other chapter, or which attacks below, look at it.
    """

    body: Any = None
    told_apart: str = ""
    told: str = ""


_OWN: Final = Row(told="it names nobody: foreign ids are smuggled into it below, and in the chapter on smuggling")

ROWS: Final[Mapping[str, Row]] = {
    "POST /sdk/installs": Row(told="codes and `restored_from` of another app, below"),
    "GET /sdk/install": _OWN,
    "POST /sdk/link": Row(told="codes of another app, below"),
    "POST /sdk/tokens": _OWN,
    "POST /sdk/payloads": _OWN,
    "PUT /sdk/metadata": _OWN,
    "DELETE /sdk/install": _OWN,
    "POST /v2/users/{install_id}/link": Row(told_apart="INSTALL_DOES_NOT_BELONG_TO_APP"),
    "POST /users/auth-code": Row(told="external ids of another app, below"),
    "DELETE /users/{user_id}": Row(),
    "GET /v2/users/me": _OWN,
    "GET /v2/users/{user_id}": Row(),
    "GET /v2/users/{user_id}/events": Row(),
    "GET /v3/users/{user_id}/events/{event_id}": Row(),
    "GET /v3/users/{user_id}/events/{event_id}/trajectory": Row(),
    "GET /v3/users/{user_id}/events/{event_id}/explain": Row(),
    "GET /v2/users/{user_id}/location": Row(),
    "GET /v3/users": Row(told="external ids of another app, below"),
    "GET /v3/users/{user_id}/installs": Row(),
    "GET /v3/users/{user_id}/ledger": Row(),
    "GET /v3/users/{user_id}/items": Row(),
    "GET /v3/users/{user_id}/export": Row(),
    "GET /v3/installs/{install_id}/explain": Row(),
    "POST /v3/links/{link_id}/undo": Row(),
    "POST /v3/installs/{install_id}/activate": Row(),
    "PUT /v3/users/{user_id}/external_id": Row(),
    "PUT /v3/users/{user_id}/state": Row(),
    "PUT /v3/installs/{install_id}/state": Row(),
    "DELETE /v3/installs/{install_id}": Row(),
    "DELETE /v3/users/{user_id}/items": Row(),
    "POST /security/leaked-tokens": Row(told="the same answer to everything: whoever holds a secret may end it"),
    "GET /.well-known/unbroken-attack": _OWN,
    "GET /health/live": _OWN,
    "GET /health/ready": _OWN,
    "GET /metrics": Row(told="it says nothing of anybody: victims are looked for in it below"),
}
"""Every call of the platform."""


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for operation in world.operations:
        row = ROWS.get(operation.name)
        if row is None or not set(operation.parameters) <= set(world.victim.ids):
            yield _not_covered(operation)
        elif operation.parameters:
            for attack in _of_parameters(world, operation, row):
                yield attack
        if operation.method == "GET":
            yield _smuggled(world, operation)
    for attack in [*_external_ids(world), *_codes(world), *_others(world)]:
        yield attack


def _not_covered(operation: Operation) -> Attack:
    async def run() -> Seen:
        raise Unjudged("This call has no row in the mirror: nobody looked at what another app sees of it.")

    return Attack(f"mirror/{operation.slug}/not-covered", _WINS, "every call has a row in the mirror", run)


def _of_parameters(world: World, operation: Operation, row: Row) -> list[Attack]:
    """All ids foreign, and each alone beside one's own; with a key, and with a token where one is admitted."""
    me, victim = world.me, world.victim
    mixes = {"all": victim.ids}
    if len(operation.parameters) > 1:
        mixes |= {name: me.ids | {name: victim.ids[name]} for name in operation.parameters}
    callers = {"key": world.a.key()}
    if "userToken" in operation.kinds:
        callers["token"] = me.device.bearer
    found = [
        _compared(world, operation, row, f"{holder}/{mix}", authorization, ids, victim, {})
        for holder, authorization in callers.items()
        for mix, ids in mixes.items()
    ]
    if "dry_run" in operation.takes:
        query = {"dry_run": "true"}
        found.append(_compared(world, operation, row, "key/dry-run", world.a.key(), victim.ids, victim, query))
    if "userToken" in operation.kinds:
        ids = world.neighbour.ids
        found.append(_compared(world, operation, row, "token/neighbour", me.device.bearer, ids, world.neighbour, {}))
    if operation.method == "GET":
        found.append(_compared(world, operation, row, "head", world.a.key(), victim.ids, victim, {}, method="HEAD"))
    return found


def _compared(
    world: World, operation: Operation, row: Row, name: str, authorization: str, ids: Mapping[str, str],
    person: Person, query: Mapping[str, str], method: str = "",
) -> Attack:  # fmt: skip
    """Ids that are somebody else's against ids that are nobody's, in the same places."""
    body = operation.body if row.body is None else row.body
    foreign = {key for key in operation.parameters if ids[key] == person.ids[key]}

    def request(with_ids: Mapping[str, str]) -> Request:
        target = with_query(operation.target(with_ids), {**operation.query, **query})
        return asking(method or operation.method, target, authorization, body)

    async def run() -> Seen:
        unknown = world.unknown({key: ids[key] for key in foreign})
        theirs = await world.caller.send(request(ids))
        nobody = await world.caller.send(request({**ids, **unknown}))
        if row.told_apart:
            held = theirs.status == 403 and theirs.code == row.told_apart
            return judged(theirs, lambda reply: held and not holds_any(reply, person))
        return mirrored(theirs, nobody, person)

    return Attack(f"mirror/{operation.slug}/{name}", _WINS, _DEFENCE, run)


def mirrored(theirs: Reply, nobody: Reply, person: Person) -> Seen:
    """Whether two replies are the same to whoever gets them."""
    if theirs.status < 300:
        return Seen(False, f"It answered {theirs}.")
    if holds_any(theirs, person):
        return Seen(False, f"{theirs} names what is another's.")
    same = bare(theirs) == bare(nobody)
    return judged(theirs, lambda _: same) if same else Seen(False, f"{theirs} differs from {nobody} of an unknown id.")


def holds_any(reply: Reply, person: Person) -> bool:
    """Whether a reply holds anything that only that person has."""
    return any(secret in reply.body for secret in person.secrets)


def bare(reply: Reply) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """A reply without what differs between any two."""
    headers = tuple(pair for pair in reply.headers if pair[0] not in _OF_EACH_REPLY)
    body = _INSTANT.sub(b"T", _CREDENTIAL.sub(b"C", _REF.sub(b'"ref":""', reply.body)))
    return reply.status, headers, body


def _smuggled(world: World, operation: Operation) -> Attack:
    """Ids of the victim beside a call that reads the attacker's own: they must change nothing."""
    victim = world.victim
    said = {"app_id": world.b.given.app_id, **victim.ids, "external_id": victim.external_id}
    beside = {name: text for name, text in said.items() if name not in operation.takes}
    headers = {
        "X-User-Id": victim.device.user_id,
        "X-App-Id": world.b.given.app_id,
        "X-Forwarded-User": victim.external_id,
    }

    def request(*, smuggles: bool) -> Request:
        query = dict(operation.query) | (beside if smuggles else {})
        query |= {"external_id": world.me.external_id} if operation.name == "GET /v3/users" else {}
        authorization = world.me.device.bearer if "userToken" in operation.kinds else world.a.key()
        return asking(
            "GET", with_query(operation.target(world.me.ids), query), None if operation.is_open else authorization,
            **(headers if smuggles else {}),
        )  # fmt: skip

    async def run() -> Seen:
        plain = await world.caller.send(request(smuggles=False))
        reply = await world.caller.send(request(smuggles=True))
        same = operation.is_open or bare(plain) == bare(reply)
        return judged(reply, lambda _: same and not holds_any(reply, victim))

    return Attack(
        f"mirror/{operation.slug}/smuggled-ids", "another's data by naming them beside the call",
        "the credential alone says who is meant", run,
    )  # fmt: skip


def _external_ids(world: World) -> list[Attack]:
    """Accounts of the other app by their external id."""

    async def look_up() -> Seen:
        foreign, unknown = [
            await world.caller.send(asking("GET", with_query("/v3/users", {"external_id": text}), world.a.key()))
            for text in (world.victim.external_id, world.word("victim"))
        ]
        return mirrored(foreign, unknown, world.victim)

    async def mint() -> Seen:
        device = await world.a.register(await world.a.mint(world.victim.external_id))
        profile = await world.caller.send(asking("GET", "/v2/users/me", device.bearer))
        return judged(profile, lambda _: device.user_id != world.victim.device.user_id and not any(
            secret in profile.body for secret in world.victim.secrets if secret != world.victim.external_id.encode()
        ))  # fmt: skip

    async def link() -> Seen:
        device = await world.a.register()
        await world.a.link(device, world.victim.external_id)
        return Seen(device.user_id != world.victim.device.user_id, "it became an account of its own app")

    return [
        Attack("mirror/external-id/look-up", _WINS, _DEFENCE, look_up),
        Attack("mirror/external-id/mint", "a person of another app by a code", "accounts are of one app", mint),
        Attack("mirror/external-id/link", "a person of another app by a link", "accounts are of one app", link),
    ]


def _codes(world: World) -> list[Attack]:
    """What can be shown in a body: codes, tickets and hints of the other app."""

    async def redeemed() -> Seen:
        foreign = await world.b.mint(world.victim.external_id)
        made_up = write_opaque(Kind.AUTH_CODE, world.randomness.secret(12), world.randomness.secret(32))
        device = await world.a.register()
        replies = [
            await world.caller.send(asking("POST", "/sdk/link", device.bearer, {"authentication_code": text}))
            for text in (foreign, made_up)
        ]
        return mirrored(replies[0], replies[1], world.victim)

    async def restored() -> Seen:
        reply = await world.caller.send(
            asking("POST", "/sdk/installs", world.a.basic, REGISTER | {"restored_from": world.victim.device.install_id})
        )
        held = reply.status == 201 and not holds_any(reply, world.victim)
        return judged(reply, lambda _: held)

    async def ticket() -> Seen:
        other = await world.b.register()
        device = await world.a.register()
        body = {"external_id": world.word("ticket"), "link_ticket": (await world.b.state(other))["link_ticket"]}
        reply = await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), body))
        return judged(reply, lambda reply: reply.code == "INVALID_LINK_TICKET")

    return [
        Attack("mirror/code/redeemed-in-another-app", _WINS, "it answers as an unknown code", redeemed),
        Attack("mirror/restored-from/another-app", "a person by claiming to be their phone", "a hint grants nothing",
               restored),
        Attack("mirror/ticket/another-app", "a link by a ticket of another app", "403 INVALID_LINK_TICKET", ticket),
    ]  # fmt: skip


def _others(world: World) -> list[Attack]:
    """Places where tenants could meet by accident."""

    async def metrics() -> Seen:
        reply = await world.caller.send(asking("GET", "/metrics"))
        return judged(reply, lambda reply: not holds_any(reply, world.victim))

    async def cursor() -> Seen:
        target = f"/v3/users/{world.victim.device.user_id}/items"
        page = await world.caller.send(asking("GET", f"{target}?limit=1", world.b.key()))
        theirs = str(page.json.get("next_cursor", "")) if isinstance(page.json, dict) else ""
        if not theirs:
            raise Unjudged("There is no second page whose cursor could be taken.")
        mine = f"/v3/users/{world.me.device.user_id}/items"
        reply = await world.caller.send(asking("GET", with_query(mine, {"cursor": theirs}), world.a.key()))
        return judged(reply, lambda reply: reply.status in {200, 400} and not holds_any(reply, world.victim))

    return [
        Attack("mirror/metrics/names-nobody", "who uses the platform", "metrics hold no ids", metrics),
        Attack("mirror/cursor/of-another-list", _WINS, "a cursor is a place in one's own list", cursor),
    ]
