"""What was good once is sent again: by another caller, for another install, after its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.attack.attack import Attack, Seen, judged
from unbroken.attack.chapters.credentials import flipped, relabelled
from unbroken.attack.exchange import asking
from unbroken.attack.world import REGISTER
from unbroken.credentials import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import Device, World


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for attack in [
        *_codes(world),
        *_tickets(world),
        *_credentials(world),
        *_idempotency(world),
        *_after_the_end(world),
    ]:
        yield attack


def _one(name: str, send: Callable[[], Awaitable[Reply]], *codes: str, wins: str, defence: str = "") -> Attack:
    """An attack that holds where the reply is a refusal with one of these codes."""

    async def run() -> Seen:
        return judged(await send(), lambda reply: reply.code in codes)

    return Attack(f"replays/{name}", wins, defence or " or ".join(codes), run)


# Codes


def _codes(world: World) -> list[Attack]:
    async def redeem(device: Device, code: str) -> Reply:
        return await world.caller.send(asking("POST", "/sdk/link", device.bearer, {"authentication_code": code}))

    async def by_another_install() -> Reply:
        code = await world.a.mint(world.word("code"))
        await world.a.register(code)
        return await redeem(await world.a.register(), code)

    async def by_another_registration() -> Reply:
        code = await world.a.mint(world.word("code"))
        await redeem(await world.a.register(), code)
        body = REGISTER | {"authentication_code": code}
        return await world.caller.send(asking("POST", "/sdk/installs", None, body))

    async def expired() -> Reply:
        return await redeem(await world.a.register(), world.a.given.expired["authentication code"])

    async def expired_at_registration() -> Reply:
        body = REGISTER | {"authentication_code": world.a.given.expired["authentication code"]}
        return await world.caller.send(asking("POST", "/sdk/installs", None, body))

    async def with_a_typo() -> Reply:
        return await redeem(await world.a.register(), flipped(await world.a.mint(world.word("code")), 40))

    async def another_kind() -> Reply:
        return await redeem(await world.a.register(), relabelled(world.a.given.keys["all"], Kind.AUTH_CODE))

    async def while_linked_to_another() -> Reply:
        device = await world.a.linked(world.word("first"))
        return await redeem(device, await world.a.mint(world.word("second")))

    async def with_a_secret_besides() -> Reply:
        body = REGISTER | {"authentication_code": await world.b.mint(world.word("code"))}
        return await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, body))

    wins = "a second phone on the account that a code was made for"
    return [
        _one("code/by-another-install", by_another_install, "AUTH_CODE_USED", wins=wins),
        _one("code/by-another-registration", by_another_registration, "AUTH_CODE_USED", wins=wins),
        _one("code/expired", expired, "AUTH_CODE_EXPIRED", wins="an account by an old code"),
        _one("code/expired-at-registration", expired_at_registration, "AUTH_CODE_EXPIRED",
             wins="an account by an old code"),
        _one("code/with-a-typo", with_a_typo, "AUTH_CODE_UNKNOWN", wins="an account by guessing"),
        _one("code/another-kind", another_kind, "AUTH_CODE_UNKNOWN", wins="an account by a key called a code"),
        _one("code/while-linked-to-another", while_linked_to_another, "INSTALL_LINKED_TO_OTHER_USER",
             wins="a phone that changes hands in silence"),
        _one("code/with-a-secret-besides", with_a_secret_besides, "INVALID_REQUEST",
             wins="whichever app the platform reads first"),
    ]  # fmt: skip


# Tickets


def _tickets(world: World) -> list[Attack]:
    async def link(device: Device, ticket: Any) -> Reply:
        body = {"external_id": world.word("ticket"), "link_ticket": ticket}
        return await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), body))

    async def fresh() -> tuple[Device, str]:
        device = await world.a.register()
        return device, str((await world.a.state(device))["link_ticket"])

    async def of_another_install() -> Reply:
        _, ticket = await fresh()
        return await link(await world.a.register(), ticket)

    async def expired() -> Reply:
        target = f"/v2/users/{world.a.given.expired_install_id}/link"
        body = {"external_id": world.word("ticket"), "link_ticket": world.a.given.expired["link ticket"]}
        return await world.caller.send(asking("POST", target, world.a.key(), body))

    async def changed() -> Reply:
        device, ticket = await fresh()
        return await link(device, flipped(ticket, -2))

    async def token() -> Reply:
        device, _ = await fresh()
        return await link(device, device.token)

    async def token_called_ticket() -> Reply:
        device, _ = await fresh()
        return await link(device, relabelled(device.token, Kind.LINK_TICKET))

    async def empty() -> Reply:
        device, _ = await fresh()
        return await link(device, "")

    wins = "somebody else's phone on the attacker's account"
    code = "INVALID_LINK_TICKET"
    return [
        _one("ticket/of-another-install", of_another_install, code, wins=wins),
        _one("ticket/expired", expired, code, wins=wins),
        _one("ticket/changed", changed, code, wins=wins),
        _one("ticket/a-user-token", token, code, wins=wins),
        _one("ticket/a-token-called-ticket", token_called_ticket, code, wins=wins),
        _one("ticket/empty", empty, code, "INVALID_REQUEST", wins=wins),
    ]


# Install credentials


def _credentials(world: World) -> list[Attack]:
    async def renew(credential: str, **headers: str) -> Reply:
        return await world.caller.send(asking("POST", "/sdk/tokens", f"Bearer {credential}", **headers))

    async def spent() -> Reply:
        device = await world.a.register()
        await renew(device.credential)
        return await renew(device.credential)

    async def spent_with_another_key() -> Reply:
        device = await world.a.register()
        await renew(device.credential, Idempotency_Key="first")
        return await renew(device.credential, Idempotency_Key="second")

    async def of_a_repeated_registration() -> Reply:
        key = world.randomness.uuid(world.clock.now_ms())
        first = await world.a.register(Idempotency_Key=key)
        await world.a.register(Idempotency_Key=key)
        return await renew(first.credential)

    async def reset_by_a_clone() -> Reply:
        device = await world.a.register()
        await renew(device.credential)
        return await world.caller.send(asking("DELETE", "/sdk/install", f"Bearer {device.credential}"))

    wins = "a copied phone that goes on unseen"
    return [
        _one("credential/spent", spent, "INSTALL_CLONED", wins=wins),
        _one("credential/spent-with-another-key", spent_with_another_key, "INSTALL_CLONED", wins=wins),
        _one("credential/of-a-repeated-registration", of_a_repeated_registration, "INSTALL_CLONED", wins=wins),
        _one(
            "credential/reset-by-a-clone", reset_by_a_clone, "INSTALL_CLONED", wins="an honest phone reset by its copy"
        ),
    ]


# Idempotency


def _idempotency(world: World) -> list[Attack]:
    async def another_body() -> Reply:
        device, key = await world.a.register(), world.word("key")
        target = f"/v2/users/{device.install_id}/link"
        for account in ("first", "second"):
            body = {"external_id": world.word(account)}
            reply = await world.caller.send(asking("POST", target, world.a.key(), body, Idempotency_Key=key))
        return reply

    async def another_call() -> Reply:
        key, account = world.word("key"), {"external_id": world.word("account")}
        device = await world.a.register()
        await world.caller.send(asking("POST", "/users/auth-code", world.a.key(), account, Idempotency_Key=key))
        target = f"/v2/users/{device.install_id}/link"
        return await world.caller.send(asking("POST", target, world.a.key(), account, Idempotency_Key=key))

    async def no_uuid() -> Reply:
        return await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key="1"))

    async def guessable_uuid() -> Reply:
        key = "00000000-0000-1000-8000-000000000000"
        return await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key=key))

    return [
        _one("idempotency/another-body", another_body, "IDEMPOTENCY_KEY_REUSED", wins="an answer to another question"),
        _one("idempotency/another-call", another_call, "IDEMPOTENCY_KEY_REUSED", wins="an answer to another question"),
        _one("idempotency/no-uuid", no_uuid, "INVALID_REQUEST", wins="an install by guessing its key"),
        _one("idempotency/guessable-uuid", guessable_uuid, "INVALID_REQUEST", wins="an install by guessing its key"),
        *_across_callers(world),
    ]


def _across_callers(world: World) -> list[Attack]:
    """A key of idempotency is of one credential: whoever else sends it gets an answer of his own."""

    async def across_apps() -> Seen:
        key = world.randomness.uuid(world.clock.now_ms())
        theirs = await world.b.register(Idempotency_Key=key)
        reply = await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key=key))
        said = reply.json if isinstance(reply.json, dict) else {}
        return judged(reply, lambda _: said.get("install_id") != theirs.install_id)

    async def across_keys() -> Seen:
        key, account = world.word("key"), {"external_id": world.word("account")}
        first, second = [
            await world.caller.send(asking("POST", "/users/auth-code", holder, account, Idempotency_Key=key))
            for holder in (world.a.key(), world.a.key("user.link"))
        ]
        code = str(first.json["authentication_code"])
        body = {"authentication_code": code}
        device = await world.a.register()
        redeemed = await world.caller.send(asking("POST", "/sdk/link", device.bearer, body))
        return Seen(second.status == 200 and redeemed.status == 200, f"the first code: {redeemed}")

    wins = "an answer that another got, or to void it"
    return [
        Attack("replays/idempotency/across-apps", wins, "another app registers an install of its own", across_apps),
        Attack("replays/idempotency/across-keys", wins, "another key's mint leaves the first code alone", across_keys),
    ]


# After the end


def _after_the_end(world: World) -> list[Attack]:
    async def erased() -> Device:
        device = await world.a.linked(world.word("erased"))
        await world.caller.send(asking("DELETE", f"/users/{device.user_id}", world.a.key("user.delete")))
        return device

    async def reset() -> Device:
        device = await world.a.register()
        await world.caller.send(asking("DELETE", "/sdk/install", f"Bearer {device.credential}"))
        return device

    def by_token(
        end: Callable[[], Awaitable[Device]], method: str, path: str, *, body: bool = False
    ) -> Callable[[], Awaitable[Reply]]:
        async def send() -> Reply:
            device = await end()
            sent = world.a.upload() if body else None
            return await world.caller.send(asking(method, path, device.bearer, sent))

        return send

    async def renewed() -> Reply:
        return await world.caller.send(asking("POST", "/sdk/tokens", f"Bearer {(await erased()).credential}"))

    async def linked() -> Reply:
        device, account = await reset(), {"external_id": world.word("gone")}
        return await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), account))

    async def read() -> Reply:
        return await world.caller.send(asking("GET", f"/v2/users/{(await erased()).user_id}", world.a.key()))

    found = []
    for end in (erased, reset):
        name = end.__name__
        found += [
            _one(f"{name}/state", by_token(end, "GET", "/sdk/install"), "INSTALL_DELETED",
                 wins="life after death"),
            _one(f"{name}/upload", by_token(end, "POST", "/sdk/payloads", body=True), "INSTALL_DELETED",
                 wins="a gone person's data back"),
            _one(f"{name}/profile", by_token(end, "GET", "/v2/users/me"), "INSTALL_DELETED",
                 wins="what was erased"),
        ]  # fmt: skip
    return [
        *found,
        _one("erased/renew", renewed, "INSTALL_DELETED", wins="life after death"),
        _one("reset/link", linked, "INSTALL_DELETED", "INSTALL_NOT_FOUND", wins="a phone that is gone"),
        _one("erased/read", read, "NOT_FOUND", wins="what was erased"),
    ]
