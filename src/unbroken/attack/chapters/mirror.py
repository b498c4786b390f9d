"""Two tenants in a mirror: what app B has must look to app A as if it did not exist, on every call there is.

The rows below name every call. One that the platform serves and that has no row cannot be judged, so that a new call is
not forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.attack.attack import Attack, Seen, Unjudged, judged
from unbroken.attack.chapters.elsewhere import DEFENCE, ELSEWHERE, WINS
from unbroken.attack.exchange import asking, with_query
from unbroken.attack.likeness import bare, holds_any, mirrored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from unbroken.attack.exchange import Request
    from unbroken.attack.operations import Operation
    from unbroken.attack.world import Person, World


@dataclass(frozen=True, slots=True)
class Row:
    """How a call is looked at.

    Args:
        body: what goes into it, where the document's example will not do.
        told_apart: the code by which the contract itself tells foreign from unknown (the decision table, row 3).
        told: why its reply needs no mirror: what other chapter, or which attacks of `elsewhere`, look at it.
    """

    body: Any = None
    told_apart: str = ""
    told: str = ""


_OWN: Final = Row(told="it names nobody: foreign ids are smuggled into it below, and in the chapter on smuggling")

ROWS: Final[Mapping[str, Row]] = {
    "POST /sdk/installs": Row(told="codes and `restored_from` of another app, in `elsewhere`"),
    "GET /sdk/install": _OWN,
    "POST /sdk/link": Row(told="codes of another app, in `elsewhere`"),
    "POST /sdk/tokens": _OWN,
    "POST /sdk/payloads": _OWN,
    "PUT /sdk/metadata": _OWN,
    "DELETE /sdk/install": _OWN,
    "POST /v2/users/{install_id}/link": Row(told_apart="INSTALL_DOES_NOT_BELONG_TO_APP"),
    "POST /users/auth-code": Row(told="external ids of another app, in `elsewhere`"),
    "DELETE /users/{user_id}": Row(),
    "GET /v2/users/me": _OWN,
    "GET /v2/users/{user_id}": Row(),
    "GET /v2/users/{user_id}/events": Row(),
    "GET /v3/users/{user_id}/events/{event_id}": Row(),
    "GET /v3/users/{user_id}/events/{event_id}/trajectory": Row(),
    "GET /v3/users/{user_id}/events/{event_id}/explain": Row(),
    "GET /v2/users/{user_id}/location": Row(),
    "GET /v3/users": Row(told="external ids of another app, in `elsewhere`"),
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
    "GET /metrics": Row(told="it says nothing of anybody: victims are looked for in it, in `elsewhere`"),
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
    for case in ELSEWHERE:
        yield case.on(world, "mirror")


def _not_covered(operation: Operation) -> Attack:
    async def run() -> Seen:
        raise Unjudged("This call has no row in the mirror: nobody looked at what another app sees of it.")

    return Attack(f"mirror/{operation.slug}/not-covered", WINS, "every call has a row in the mirror", run)


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

    return Attack(f"mirror/{operation.slug}/{name}", WINS, DEFENCE, run)


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
