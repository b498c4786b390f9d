"""Methods that a call does not have, and headers and parameters that would change one into another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen, judged, sending
from unbroken.attack.exchange import Request, asking, with_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.exchange import Reply
    from unbroken.attack.operations import Operation
    from unbroken.attack.world import World

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
_OVERRIDES: Final = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    known: dict[str, set[str]] = {}
    for operation in world.operations:
        known.setdefault(operation.path, set()).add(operation.method)
    for operation in world.operations:
        if not set(operation.parameters) <= set(world.me.ids):
            continue
        if operation.method in {"GET", "POST"}:
            for name in _OVERRIDES:
                yield _overridden(world, operation, name)
        for method in _METHODS:
            if known.get(operation.path) and method not in known[operation.path]:
                yield _other(world, operation, method)
        known.pop(operation.path, None)
    yield _head(world)
    yield _lower_case(world)


def _other(world: World, operation: Operation, method: str) -> Attack:
    body = b"{}" if method in {"POST", "PUT", "PATCH"} else b""
    request = Request(method, operation.target(world.me.ids), (("Authorization", world.a.key()),), body)
    return sending(
        world.caller,
        f"methods/{operation.slug}/{method.lower()}",
        request,
        lambda reply: reply.status == 405 and bool(reply.header("allow")) and not _echoes(reply, world),
        wins="a call that the table does not have, or headers echoed by TRACE",
        defence="405 with Allow",
    )


def _echoes(reply: Reply, world: World) -> bool:
    return world.a.given.keys["all"].encode() in reply.body


def _overridden(world: World, operation: Operation, name: str) -> Attack:
    """A read, or a link, that would become a deletion."""
    target = with_query(operation.target(world.me.ids), {**operation.query, "_method": "DELETE"})
    query = "&dry_run=true" if "dry_run" in operation.takes and "?" in target else ""
    request = asking(operation.method, target + query, None, b"{}" if operation.body is not None else None)
    request = request.having((name, "DELETE"), ("Authorization", world.a.key()))

    async def run() -> Seen:
        reply = await world.caller.send(request)
        there = await world.caller.send(asking("GET", f"/v2/users/{world.me.device.user_id}", world.a.key()))
        return judged(reply, lambda _: there.status == 200)

    return Attack(
        f"methods/{operation.slug}/{name.lower()}", "a deletion that a proxy took for a read",
        "the method is the method", run,
    )  # fmt: skip


def _head(world: World) -> Attack:
    async def run() -> Seen:
        async with world.caller.host.connected() as (reader, writer):
            prefix, host = world.caller.host.prefix, world.caller.host.authority
            request = Request(
                "HEAD", f"{prefix}/v2/users/me", (("Authorization", world.me.device.bearer), ("Connection", "close"))
            )
            writer.write(request.encoded(host))
            whole = await reader.read(1 << 20)
        return Seen(whole.endswith(b"\r\n\r\n") and whole.count(b"\r\n\r\n") == 1, f"{len(whole)} bytes")

    return Attack("methods/head-has-no-body", "a body that the next request is read from", "HEAD is a head", run)


def _lower_case(world: World) -> Attack:
    return sending(
        world.caller, "methods/lower-case", Request("delete", f"/users/{world.me.device.user_id}",
        (("Authorization", world.a.key()),)), lambda reply: reply.status in {400, 405, 501},
        wins="a deletion that a filter for DELETE lets through", defence="methods are case-sensitive",
    )  # fmt: skip
