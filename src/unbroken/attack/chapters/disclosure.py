"""What a platform says of itself, and to whom: headers, errors, pages that must not be there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen, judged, sending
from unbroken.attack.exchange import Reply, asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.operations import Operation
    from unbroken.attack.world import World

_REF: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSIDE: Final = re.compile(
    rb"Traceback|sqlite3|asyncpg|/site-packages/|\.py\"|line \d+, in |SELECT |unb_(key|app|inst)_[0-9a-f]{24}"
)
_CREDENTIAL: Final = re.compile(rb"unb_(key|app|inst|code|user|tick)_[A-Za-z0-9_\-]{40,}")


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for operation in world.operations:
        if set(operation.parameters) <= set(world.me.ids):
            yield _refusal(world, operation)
            yield _cross_origin(world, operation)
    for attack in [_kept(world), _metrics(world), _challenge(world), _profile(world), _secret_once(world)]:
        yield attack


def _refusal(world: World, operation: Operation) -> Attack:
    """A refusal says a code and a reference, and nothing of the inside."""
    request = asking(operation.method, operation.target(world.me.ids), "Bearer unb_key_x", operation.body)
    if operation.is_open:
        request = asking("POST" if operation.method == "GET" else "GET", operation.target({}), None)
    return sending(
        world.caller, f"disclosure/{operation.slug}/refusal", request, _is_plain,
        wins="names of files, tables and libraries", defence="message, errorCode and ref, no-store, no Server header",
    )  # fmt: skip


def _is_plain(reply: Reply) -> bool:
    said = reply.json
    shape = isinstance(said, dict) and {"message", "errorCode", "ref"} <= set(said) <= {
        "message", "errorCode", "ref", "hint", "errors"}  # fmt: skip
    ref = reply.header("x-request-id")
    return (
        shape and bool(_REF.fullmatch(ref)) and said["ref"] == ref and not _INSIDE.search(reply.body)
        and not re.search(r"\d", reply.header("server")) and not reply.header("x-powered-by")
        and "no-store" in reply.header("cache-control") and not reply.header("set-cookie")
    )  # fmt: skip


def _cross_origin(world: World, operation: Operation) -> Attack:
    """A page of another origin must not read replies with a visitor's credential."""
    target = operation.target(world.me.ids)
    headers = {"Origin": "https://evil.example", "Access_Control_Request_Method": operation.method,
               "Access_Control_Request_Headers": "authorization"}  # fmt: skip
    return sending(
        world.caller, f"disclosure/{operation.slug}/cross-origin", asking("OPTIONS", target, None, **headers),
        lambda reply: not reply.header("access-control-allow-origin"),
        wins="replies, by a page that its visitor opens", defence="no Access-Control-Allow-Origin",
    )  # fmt: skip


def _kept(world: World) -> Attack:
    async def run() -> Seen:
        reply = await world.caller.send(asking("GET", "/v2/users/me", world.me.device.bearer))
        return judged(reply, lambda reply: "no-store" in reply.header("cache-control"))

    return Attack("disclosure/kept-by-caches", "a profile from a cache on the way", "Cache-Control: no-store", run)


def _metrics(world: World) -> Attack:
    async def run() -> Seen:
        reply = await world.caller.send(asking("GET", "/metrics"))
        return judged(
            reply, lambda reply: not re.search(rb"[0-9a-f]{24}", reply.body) and not _CREDENTIAL.search(reply.body)
        )

    return Attack("disclosure/metrics", "ids of people and apps", "metrics hold none", run)


def _challenge(world: World) -> Attack:
    async def run() -> Seen:
        reply = await world.caller.send(asking("GET", "/sdk/install"))
        return judged(reply, lambda reply: reply.header("www-authenticate").startswith("Bearer"))

    return Attack("disclosure/challenge", "a browser that asks its user for a password", "401 asks for a bearer", run)


def _profile(world: World) -> Attack:
    """What is read of a person holds no credential of it."""

    async def run() -> Seen:
        user, install = world.me.device.user_id, world.me.device.install_id
        targets = [f"/v3/users/{user}/{part}" for part in ("installs", "ledger", "items", "export")]
        targets += [f"/v2/users/{user}", f"/v3/installs/{install}/explain"]
        replies = [await world.caller.send(asking("GET", target, world.a.key("user.read"))) for target in targets]
        me, given = world.me.device, world.a.given
        secrets = [text.encode() for text in (me.token, me.credential, given.app_secret, *given.keys.values())]
        leaks = [
            target
            for target, reply in zip(targets, replies, strict=True)
            if any(secret in reply.body for secret in secrets)
        ]
        done = all(reply.status == 200 for reply in replies)
        return Seen(done and not leaks, ", ".join(leaks) or ", ".join(map(str, replies)))

    return Attack(
        "disclosure/credentials-in-reads", "credentials, by a key that may read", "none is ever read back", run
    )


def _secret_once(world: World) -> Attack:
    """A repeated call is answered again, and its secret is a fresh one."""

    async def run() -> Seen:
        key = world.word("key")
        body = {"external_id": world.word("once")}
        replies = [
            await world.caller.send(asking("POST", "/users/auth-code", world.a.key(), body, Idempotency_Key=key))
            for _ in range(2)
        ]
        codes = {str(reply.json.get("authentication_code")) for reply in replies}
        return Seen(len(codes) == 2, f"{len(codes)} codes")

    return Attack("disclosure/secret-said-twice", "a secret from a kept reply", "a repeat carries a fresh one", run)
