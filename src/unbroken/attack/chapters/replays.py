"""What was good once is sent again: by another caller, for another install, after its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unbroken import install_key
from unbroken.attack.attack import Case, Seen, judged, refusing
from unbroken.attack.chapters.after_the_end import AFTER_THE_END
from unbroken.attack.chapters.credentials import flipped, relabelled
from unbroken.attack.exchange import asking
from unbroken.attack.world import REGISTER
from unbroken.credentials import Kind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from unbroken.attack.attack import Attack
    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import Device, World


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for case in (*_CODES, *_TICKETS, *_CREDENTIALS, *_INSTALL_KEYS, *_IDEMPOTENCY, *AFTER_THE_END):
        yield case.on(world, "replays")


# Codes


async def _redeem(world: World, device: Device, code: str) -> Reply:
    return await world.caller.send(asking("POST", "/sdk/link", device.bearer, {"authentication_code": code}))


async def _register(world: World, code: str, authorization: str | None = None) -> Reply:
    body = REGISTER | {"authentication_code": code}
    return await world.caller.send(asking("POST", "/sdk/installs", authorization, body))


async def _code_by_another_install(world: World) -> Reply:
    code = await world.a.mint(world.word("code"))
    await world.a.register(code)
    return await _redeem(world, await world.a.register(), code)


async def _code_by_another_registration(world: World) -> Reply:
    code = await world.a.mint(world.word("code"))
    await _redeem(world, await world.a.register(), code)
    return await _register(world, code)


async def _code_expired(world: World) -> Reply:
    return await _redeem(world, await world.a.register(), world.a.given.expired["authentication code"])


async def _code_expired_at_registration(world: World) -> Reply:
    return await _register(world, world.a.given.expired["authentication code"])


async def _code_with_a_typo(world: World) -> Reply:
    return await _redeem(world, await world.a.register(), flipped(await world.a.mint(world.word("code")), 40))


async def _code_of_another_kind(world: World) -> Reply:
    return await _redeem(world, await world.a.register(), relabelled(world.a.given.keys["all"], Kind.AUTH_CODE))


async def _code_while_linked_to_another(world: World) -> Reply:
    device = await world.a.linked(world.word("first"))
    return await _redeem(world, device, await world.a.mint(world.word("second")))


async def _code_with_a_secret_besides(world: World) -> Reply:
    return await _register(world, await world.b.mint(world.word("code")), world.a.basic)


_A_SECOND_PHONE: Final = "a second phone on the account that a code was made for"
_BY_AN_OLD_CODE: Final = "an account by an old code"
_CODES: Final = (
    refusing("code/by-another-install", _code_by_another_install, "AUTH_CODE_USED", wins=_A_SECOND_PHONE),
    refusing("code/by-another-registration", _code_by_another_registration, "AUTH_CODE_USED", wins=_A_SECOND_PHONE),
    refusing("code/expired", _code_expired, "AUTH_CODE_EXPIRED", wins=_BY_AN_OLD_CODE),
    refusing("code/expired-at-registration", _code_expired_at_registration, "AUTH_CODE_EXPIRED", wins=_BY_AN_OLD_CODE),
    refusing("code/with-a-typo", _code_with_a_typo, "AUTH_CODE_UNKNOWN", wins="an account by guessing"),
    refusing("code/another-kind", _code_of_another_kind, "AUTH_CODE_UNKNOWN", wins="an account by a key called a code"),
    refusing("code/while-linked-to-another", _code_while_linked_to_another, "INSTALL_LINKED_TO_OTHER_USER",
             wins="a phone that changes hands in silence"),
    refusing("code/with-a-secret-besides", _code_with_a_secret_besides, "INVALID_REQUEST",
             wins="whichever app the platform reads first"),
)  # fmt: skip


# Tickets


async def _link(world: World, install_id: str, ticket: str) -> Reply:
    body = {"external_id": world.word("ticket"), "link_ticket": ticket}
    return await world.caller.send(asking("POST", f"/v2/users/{install_id}/link", world.a.key(), body))


async def _with_ticket(world: World) -> tuple[Device, str]:
    device = await world.a.register()
    return device, str((await world.a.state(device))["link_ticket"])


async def _ticket_of_another_install(world: World) -> Reply:
    _, ticket = await _with_ticket(world)
    return await _link(world, (await world.a.register()).install_id, ticket)


async def _ticket_expired(world: World) -> Reply:
    return await _link(world, world.a.given.expired_install_id, world.a.given.expired["link ticket"])


def _in_its_place(made: Callable[[Device, str], str]) -> Callable[[World], Awaitable[Reply]]:
    """A link of an install that has a ticket, and shows what `made` makes of it."""

    async def send(world: World) -> Reply:
        device, ticket = await _with_ticket(world)
        return await _link(world, device.install_id, made(device, ticket))

    return send


_NO_TICKETS: Final[dict[str, Callable[[Device, str], str]]] = {
    "changed": lambda _, ticket: flipped(ticket, -2),
    "a-user-token": lambda device, _: device.token,
    "a-token-called-ticket": lambda device, _: relabelled(device.token, Kind.LINK_TICKET),
}
_ANOTHERS_PHONE: Final = "somebody else's phone on the attacker's account"
_REFUSED: Final = "INVALID_LINK_TICKET"
_TICKETS: Final = (
    refusing("ticket/of-another-install", _ticket_of_another_install, _REFUSED, wins=_ANOTHERS_PHONE),
    refusing("ticket/expired", _ticket_expired, _REFUSED, wins=_ANOTHERS_PHONE),
    *(refusing(f"ticket/{name}", _in_its_place(made), _REFUSED, wins=_ANOTHERS_PHONE)
      for name, made in _NO_TICKETS.items()),
    refusing("ticket/empty", _in_its_place(lambda *_: ""), _REFUSED, "INVALID_REQUEST", wins=_ANOTHERS_PHONE),
)  # fmt: skip


# Install credentials


async def _renew(world: World, credential: str, **headers: str) -> Reply:
    return await world.caller.send(asking("POST", "/sdk/tokens", f"Bearer {credential}", **headers))


async def _credential_spent(world: World) -> Reply:
    device = await world.a.register()
    await _renew(world, device.credential)
    return await _renew(world, device.credential)


async def _credential_spent_with_another_key(world: World) -> Reply:
    device = await world.a.register()
    await _renew(world, device.credential, Idempotency_Key="first")
    return await _renew(world, device.credential, Idempotency_Key="second")


async def _credential_of_a_repeated_registration(world: World) -> Reply:
    key = world.randomness.uuid(world.clock.now_ms())
    first = await world.a.register(Idempotency_Key=key)
    await world.a.register(Idempotency_Key=key)
    return await _renew(world, first.credential)


async def _credential_reset_by_a_clone(world: World) -> Reply:
    device = await world.a.register()
    await _renew(world, device.credential)
    return await world.caller.send(asking("DELETE", "/sdk/install", f"Bearer {device.credential}"))


_UNSEEN: Final = "a copied phone that goes on unseen"
_CLONED: Final = "INSTALL_CLONED"
_CREDENTIALS: Final = (
    refusing("credential/spent", _credential_spent, _CLONED, wins=_UNSEEN),
    refusing("credential/spent-with-another-key", _credential_spent_with_another_key, _CLONED, wins=_UNSEEN),
    refusing("credential/of-a-repeated-registration", _credential_of_a_repeated_registration, _CLONED, wins=_UNSEEN),
    refusing("credential/reset-by-a-clone", _credential_reset_by_a_clone, _CLONED,
             wins="an honest phone reset by its copy"),
)  # fmt: skip


# Install keys


def _spent_by_a_thief(
    call: str, proof: Callable[[str, str, Ed25519PrivateKey], str]
) -> Callable[[World], Awaitable[Reply]]:
    """The credential of an install that has a key, shown in this call with what a thief can make up for a proof."""

    async def send(world: World) -> Reply:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        device = await world.a.register(install_key=install_key.write(public))
        method, _, target = call.partition(" ")
        shown = {"Install_Key_Proof": proof(call, device.credential, private)}
        return await world.caller.send(asking(method, target, f"Bearer {device.credential}", **shown))

    return send


def _signed(private: Ed25519PrivateKey, call: str, credential: str) -> str:
    return install_key.write(private.sign(install_key.message_of(call, credential)))


_SPENDINGS: Final = {"renew": "POST /sdk/tokens", "reset": "DELETE /sdk/install"}
_PROOFS: Final[dict[str, Callable[[str, str, Ed25519PrivateKey], str]]] = {
    "without-it": lambda *_: "",
    "by-another-key": lambda call, credential, _: _signed(Ed25519PrivateKey.generate(), call, credential),
    "of-another-call": lambda _, credential, private: _signed(private, "GET /sdk/install", credential),
    "of-another-credential": lambda call, credential, private: _signed(private, call, flipped(credential, -1)),
}
_INSTALL_KEYS: Final = tuple(
    refusing(f"install-key/{name}-{how}", _spent_by_a_thief(call, proof), "INSTALL_KEY_UNPROVEN",
             wins="a phone by what was read on its way")
    for name, call in _SPENDINGS.items() for how, proof in _PROOFS.items()
)  # fmt: skip


# Idempotency


async def _another_body(world: World) -> Reply:
    device, key = await world.a.register(), world.word("key")
    target = f"/v2/users/{device.install_id}/link"
    for account in ("first", "second"):
        body = {"external_id": world.word(account)}
        reply = await world.caller.send(asking("POST", target, world.a.key(), body, Idempotency_Key=key))
    return reply


async def _another_call(world: World) -> Reply:
    key, account = world.word("key"), {"external_id": world.word("account")}
    device = await world.a.register()
    await world.caller.send(asking("POST", "/users/auth-code", world.a.key(), account, Idempotency_Key=key))
    target = f"/v2/users/{device.install_id}/link"
    return await world.caller.send(asking("POST", target, world.a.key(), account, Idempotency_Key=key))


def _registered_under(key: str) -> Callable[[World], Awaitable[Reply]]:
    """A registration under a key that others could guess."""

    async def send(world: World) -> Reply:
        return await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key=key))

    return send


async def _across_apps(world: World) -> Seen:
    key = world.randomness.uuid(world.clock.now_ms())
    theirs = await world.b.register(Idempotency_Key=key)
    reply = await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, REGISTER, Idempotency_Key=key))
    said = reply.json if isinstance(reply.json, dict) else {}
    return judged(reply, lambda _: said.get("install_id") != theirs.install_id)


async def _across_keys(world: World) -> Seen:
    key, account = world.word("key"), {"external_id": world.word("account")}
    first, second = [
        await world.caller.send(asking("POST", "/users/auth-code", holder, account, Idempotency_Key=key))
        for holder in (world.a.key(), world.a.key("user.link"))
    ]
    redeemed = await _redeem(world, await world.a.register(), str(first.json["authentication_code"]))
    return Seen(second.status == 200 and redeemed.status == 200, f"the first code: {redeemed}")


_TO_ANOTHER_QUESTION: Final = "an answer to another question"
_BY_GUESSING: Final = "an install by guessing its key"
_OF_ANOTHER: Final = "an answer that another got, or to void it"
_IDEMPOTENCY: Final = (
    refusing("idempotency/another-body", _another_body, "IDEMPOTENCY_KEY_REUSED", wins=_TO_ANOTHER_QUESTION),
    refusing("idempotency/another-call", _another_call, "IDEMPOTENCY_KEY_REUSED", wins=_TO_ANOTHER_QUESTION),
    refusing("idempotency/no-uuid", _registered_under("1"), "INVALID_REQUEST", wins=_BY_GUESSING),
    refusing("idempotency/guessable-uuid", _registered_under("00000000-0000-1000-8000-000000000000"), "INVALID_REQUEST",
             wins=_BY_GUESSING),
    Case("idempotency/across-apps", _OF_ANOTHER, "another app registers an install of its own", _across_apps),
    Case("idempotency/across-keys", _OF_ANOTHER, "another key's mint leaves the first code alone", _across_keys),
)  # fmt: skip
"""A key of idempotency is of one credential and one request: whoever else sends it gets an answer of his own."""
