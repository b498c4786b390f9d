"""What a key may do is what its scopes say, and what an install may do is what its state says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen, judged, refused, sending
from unbroken.attack.exchange import asking, with_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.exchange import Reply
    from unbroken.attack.operations import Operation
    from unbroken.attack.world import Device, World

_WRITES: Final = ("PUT /sdk/metadata", "DELETE /users/{user_id}")


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    scopes = sorted({operation.scope for operation in world.operations if operation.scope})
    for operation in world.operations:
        if operation.scope and set(operation.parameters) <= set(world.me.ids):
            for scope in scopes:
                if scope != operation.scope:
                    yield _with_key(world, operation, scope)
                    if "dry_run" in operation.takes:
                        yield _with_key(world, operation, scope, {"dry_run": "true"})
    async for attack in _of_states(world):
        yield attack


def _with_key(world: World, operation: Operation, scope: str, query: dict[str, str] | None = None) -> Attack:
    target = with_query(operation.target(world.me.ids), {**operation.query, **(query or {})})
    return sending(
        world.caller,
        f"scopes/{operation.slug}/{scope}{'-dry-run' if query else ''}",
        asking(operation.method, target, world.a.key(scope), operation.body),
        lambda reply: reply.status == 403 and reply.code == "FORBIDDEN_SCOPE",
        wins=f"{operation.name} with a stolen key for {scope}",
        defence="403 FORBIDDEN_SCOPE before anything is looked up",
    )


async def _of_states(world: World) -> AsyncIterator[Attack]:
    """An old phone, a tablet in a drawer, one that was stopped: their tokens are good, and must be worth less."""
    account = world.word("states")
    old = await world.a.linked(account)
    new = await world.a.linked(account)
    stopped = await world.a.linked(world.word("stopped"))
    target = f"/v3/installs/{stopped.install_id}/state"
    await world.caller.send(asking("PUT", target, world.a.key("user.manage"), {"state": "disabled"}))
    ids = world.me.ids | {"user_id": new.user_id}
    for operation in world.operations:
        if "userToken" in operation.kinds and (operation.scope or operation.name in {*_WRITES, "GET /v2/users/me"}):
            yield _as_device(world, operation, old, ids, "superseded", "INSTALL_DEACTIVATED")
            yield _as_device(
                world, operation, stopped, ids | {"user_id": stopped.user_id}, "disabled", "INSTALL_DISABLED"
            )


def _as_device(
    world: World, operation: Operation, device: Device, ids: dict[str, str], state: str, code: str
) -> Attack:
    target = with_query(operation.target(ids), operation.query)
    request = asking(operation.method, target, device.bearer, operation.body)

    def holds(reply: Reply) -> bool:
        return refused(403)(reply) and reply.code == code

    async def run() -> Seen:
        return judged(await world.caller.send(request), holds)

    return Attack(
        f"scopes/{operation.slug}/{state}-install", f"{operation.name} with a phone that was sold or stopped",
        f"403 {code}: it reads and writes nothing of the person any more", run,
    )  # fmt: skip
