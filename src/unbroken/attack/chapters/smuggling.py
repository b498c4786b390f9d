"""Accounts by the back door: whatever an app or a phone says about whose it is, only the customer's server links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from unbroken.attack.attack import Attack, Seen, judged
from unbroken.attack.exchange import asking
from unbroken.attack.world import REGISTER, device_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from unbroken.attack.exchange import Request
    from unbroken.attack.world import Device, World

_WINS: Final = "the victim's account on the attacker's phone"
_DEFENCE: Final = "the phone stays unlinked, whatever it says"
_NAMES: Final = ("external_id", "externalId", "user_id", "person_id", "install_id", "account", "id", "link", "sub")
_HEADERS: Final = (
    "X-External-Id", "X-User-Id", "X-Forwarded-User", "X-Remote-User", "X-Install-Id", "Remote-User", "X-Original-URL",
    "X-Rewrite-URL", "X-HTTP-Method-Override", "Forwarded", "X-App-Id", "Cookie",
)  # fmt: skip


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    said = (world.neighbour.external_id, world.neighbour.device.user_id)
    for name in _NAMES:
        for how, text in zip(("account", "user"), said, strict=True):
            yield _registering(world, f"body-{name}-{how}", body={name: text})
            yield _registering(world, f"query-{name}-{how}", query=f"?{name}={quote(text)}")
            yield _by_device(world, f"metadata-{name}-{how}", "PUT", "/sdk/metadata", {name: text})
    for name in _HEADERS:
        yield _registering(world, f"header-{name.lower()}", headers=((name, said[0]),))
        yield _by_device(world, f"state-header-{name.lower()}", "GET", "/sdk/install", headers=((name, said[0]),))
    for attack in [*_odd_registrations(world), *_links_by_devices(world), *_odd_links(world)]:
        yield attack


def _registering(
    world: World, name: str, body: dict[str, Any] | None = None, query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
) -> Attack:  # fmt: skip
    """An honest registration that says besides whose it is."""
    request = asking("POST", f"/sdk/installs{query}", world.a.basic, REGISTER | (body or {})).having(*headers)

    async def run() -> Seen:
        reply = await world.caller.send(request)
        if reply.status != 201:
            return judged(reply, lambda reply: 400 <= reply.status < 500)
        return await _unlinked(world, device_of(reply.json))

    return Attack(f"smuggling/register/{name}", _WINS, _DEFENCE, run)


def _by_device(
    world: World, name: str, method: str, target: str, body: Any = None, headers: tuple[tuple[str, str], ...] = ()
) -> Attack:
    """A call of a phone that would be somebody else's."""

    async def run() -> Seen:
        device = await world.a.register()
        reply = await world.caller.send(asking(method, target, device.bearer, body).having(*headers))
        return judged(reply, lambda _: True) if reply.status >= 500 else await _unlinked(world, device)

    return Attack(f"smuggling/device/{name}", _WINS, _DEFENCE, run)


async def _unlinked(world: World, device: Device) -> Seen:
    state = await world.a.state(device)
    held = state["linked"] is False and state["user_id"] != world.neighbour.device.user_id
    return Seen(held, "it is unlinked" if held else f"it is linked to {state['user_id']}")


def _odd_registrations(world: World) -> list[Attack]:
    """The same said twice, so that two readers would read two things."""
    account = world.neighbour.external_id.encode()
    plain = b'"device":{"platform":"ios"},"sdk":{"name":"x","version":"1"}'
    bodies = {
        "twice": b'{"external_id":"me","external_id":"%b",%b}' % (account, plain),
        "escaped": b'{"\\u0065xternal_id":"%b",%b}' % (account, plain),
        "nested": b'{%b,"install":{"external_id":"%b"},"user":{"id":"%b"}}' % (plain, account, account),
        "prototype": b'{%b,"__proto__":{"external_id":"%b"},"constructor":{"linked":true}}' % (plain, account),
        "linked": b'{%b,"linked":true,"state":"active","external_id":"%b"}' % (plain, account),
        "device-twice": b'{%b,"device":{"platform":"ios","external_id":"%b"}}' % (plain, account),
    }

    def one(name: str, body: bytes) -> Attack:
        async def run() -> Seen:
            reply = await world.caller.send(asking("POST", "/sdk/installs", world.a.basic, body))
            if reply.status != 201:
                return judged(reply, lambda reply: reply.status == 400)
            return await _unlinked(world, device_of(reply.json))

        return Attack(f"smuggling/register/{name}", _WINS, _DEFENCE, run)

    return [one(name, body) for name, body in bodies.items()]


def _links_by_devices(world: World) -> list[Attack]:
    """A phone that asks for what only the customer's server may ask for (law 3)."""
    account = {"external_id": world.neighbour.external_id}

    def one(name: str, ask: Callable[[Device], Request]) -> Attack:
        async def run() -> Seen:
            device = await world.a.register()
            reply = await world.caller.send(ask(device))
            if reply.status < 300 or reply.status >= 500:
                return Seen(False, str(reply))
            return await _unlinked(world, device)

        return Attack(
            f"smuggling/law-3/{name}", _WINS, "no credential of a phone links, unlinks or names an account", run
        )

    def own(device: Device) -> str:
        return f"Bearer {device.credential}"

    link = "/v2/users/{}/link"
    look_up = f"/v3/users?external_id={quote(account['external_id'])}"
    redeem = {"authentication_code": "x", **account}
    undo = f"/v3/links/{world.neighbour.link_id}/undo"
    rename = f"/v3/users/{world.neighbour.device.user_id}/external_id"
    return [
        one("link-by-token", lambda it: asking("POST", link.format(it.install_id), it.bearer, account)),
        one("link-by-credential", lambda it: asking("POST", link.format(it.install_id), own(it), account)),
        one("link-by-secret", lambda it: asking("POST", link.format(it.install_id), world.a.basic, account)),
        one("mint-by-token", lambda it: asking("POST", "/users/auth-code", it.bearer, account)),
        one("mint-by-secret", lambda _: asking("POST", "/users/auth-code", world.a.basic, account)),
        one("redeem-an-account", lambda it: asking("POST", "/sdk/link", it.bearer, redeem)),
        one("redeem-nothing", lambda it: asking("POST", "/sdk/link", it.bearer, account)),
        one("undo-by-token", lambda it: asking("POST", undo, it.bearer)),
        one("rename-by-token", lambda it: asking("PUT", rename, it.bearer, account)),
        one("look-up-by-token", lambda it: asking("GET", look_up, it.bearer)),
    ]  # fmt: skip


def _odd_links(world: World) -> list[Attack]:
    """A link that two readers would read in two ways, or that is no account at all: refused, and nobody is linked."""
    victim = world.neighbour.external_id
    bodies: dict[str, bytes] = {
        "twice": b'{"external_id":"me","external_id":"%b"}' % victim.encode(),
        "twice-escaped": b'{"external_id":"me","\\u0065xternal_id":"%b"}' % victim.encode(),
        "list": b'{"external_id":["%b"]}' % victim.encode(),
        "object": b'{"external_id":{"$ne":null}}',
        "number": b'{"external_id":1}',
        "null": b'{"external_id":null}',
        "true": b'{"external_id":true}',
        "empty": b'{"external_id":""}',
        "blank": b'{"external_id":"  "}',
        "nul": b'{"external_id":"%b\\u0000"}' % victim.encode(),
        "newline": b'{"external_id":"%b\\n"}' % victim.encode(),
        "escape": b'{"external_id":"\\u001b[2J%b"}' % victim.encode(),
        "surrogate": b'{"external_id":"%b\\ud800"}' % victim.encode(),
        "long": b'{"external_id":"%b"}' % (b"x" * 256),
        "missing": b"{}",
        **{f"placeholder-{index}": b'{"external_id":"%b"}' % text for index, text in enumerate(_PLACEHOLDERS)},
    }

    def one(name: str, body: bytes) -> Attack:
        async def run() -> Seen:
            device = await world.a.register()
            reply = await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), body))
            if reply.status != 400:
                return Seen(False, str(reply))
            return await _unlinked(world, device)

        return Attack(f"smuggling/link/{name}", "many people in one account, or one account by two names", "400", run)

    return [one(name, body) for name, body in bodies.items()]


_PLACEHOLDERS: Final = (b"null", b"NULL", b"undefined", b"None", b"guest", b"anonymous", b"Unknown", b"0", b"-1",
                        b"[object Object]", b"00000000-0000-0000-0000-000000000000")  # fmt: skip
