"""Every kind of credential on every call: good ones of a wrong kind, spent and broken ones, and those of others."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.attack.attack import Attack, refused, sending
from unbroken.attack.exchange import asking, with_query
from unbroken.attack.world import basic
from unbroken.credentials import Kind, kind_of, write_opaque

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.operations import Operation
    from unbroken.attack.world import World


@dataclass(frozen=True, slots=True)
class Shown:
    """A credential as it is shown.

    Args:
        scheme: what the document calls its kind where it is a good one, so that the calls it is for are left out.
    """

    name: str
    wins: str
    headers: tuple[tuple[str, str], ...]
    scheme: str = ""
    query: tuple[tuple[str, str], ...] = ()


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    ticket = str((await world.a.state(await world.a.register()))["link_ticket"])
    good = _good_ones(world, ticket, await world.a.mint(world.word("shown")))
    shown = [*good, *_ended_ones(world), *await _spent_ones(world), *_broken_ones(world, ticket), *_misplaced(world)]
    for operation in world.operations:
        if operation.is_open or not set(operation.parameters) <= set(world.me.ids):
            continue
        for one in shown:
            if one.scheme not in operation.kinds and not _is_meant(operation, one):
                yield _attack(world, operation, one)


def _is_meant(operation: Operation, shown: Shown) -> bool:
    """A reset is harmless to repeat, and its reply says so (http-api.md, device API)."""
    return operation.name == "DELETE /sdk/install" and shown.name == "of-a-deleted-install"


def _attack(world: World, operation: Operation, shown: Shown) -> Attack:
    query = {**operation.query, **dict(shown.query)}
    usual = asking(operation.method, with_query(operation.target(world.me.ids), query), None, operation.body)
    return sending(
        world.caller,
        f"credentials/{operation.slug}/{shown.name}",
        usual.having(*shown.headers),
        refused(400, 401, 403, 409, 410),
        wins=f"{operation.name} with {shown.wins}",
        defence="it is refused before anything is done",
    )


def _bearer(name: str, wins: str, text: str, scheme: str = "") -> Shown:
    return Shown(name, wins, (("Authorization", f"Bearer {text}"),), scheme)


def _basic(name: str, wins: str, user: str, password: str, scheme: str = "") -> Shown:
    return Shown(name, wins, (("Authorization", basic(user, password)),), scheme)


def _good_ones(world: World, ticket: str, code: str) -> list[Shown]:
    """Credentials in force, of every kind: each is for some calls only."""
    a, me = world.a.given, world.me.device
    return [
        Shown("none", "no credential", ()),
        _basic("app-secret", "the secret that every phone holds", a.app_id, a.app_secret, "appSecret"),
        _bearer("app-secret-as-bearer", "an app secret as a bearer", a.app_secret),
        _bearer("install-credential", "an install credential", me.credential, "installCredential"),
        _bearer("user-token", "a user token", me.token, "userToken"),
        _bearer("api-key", "an API key", a.keys["all"], "apiKey"),
        _basic("api-key-as-password", "an API key for an app secret", a.app_id, a.keys["all"]),
        _basic("user-token-as-user", "a user token for an app id", me.token, ""),
        _bearer("link-ticket", "a link ticket", ticket),
        _bearer("code", "an authentication code", code),
    ]


def _ended_ones(world: World) -> list[Shown]:
    a, b = world.a.given, world.b.given
    return [
        _bearer("revoked-key", "a key that was revoked", a.keys["revoked"]),
        _bearer("expired-key", "a key whose time is over", a.keys["expired"]),
        _bearer("expired-token", "a token whose time is over", a.expired["user token"]),
        _basic("secret-of-another-app", "another app's secret", a.app_id, b.app_secret),
        _basic("id-of-another-app", "another app's id", b.app_id, a.app_secret),
    ]


async def _spent_ones(world: World) -> list[Shown]:
    """Credentials that were good until a moment ago."""
    renewed, deleted = await world.a.register(), await world.a.register()
    await world.caller.send(asking("POST", "/sdk/tokens", f"Bearer {renewed.credential}"))
    await world.caller.send(asking("DELETE", "/sdk/install", f"Bearer {deleted.credential}"))
    return [
        _bearer("spent-install-credential", "a copied credential that was renewed", renewed.credential),
        _bearer("of-a-deleted-install", "the credential of an install that was reset", deleted.credential),
        _bearer("token-of-a-deleted-install", "the token of an install that was reset", deleted.token),
    ]


def _broken_ones(world: World, ticket: str) -> list[Shown]:
    a, b, me = world.a.given, world.b.given, world.me.device
    key, token = a.keys["all"], me.token
    other = world.victim.device.install_id
    chance, subject = world.randomness.secret(32), bytes.fromhex(key[8:32])
    return [
        _bearer("truncated-key", "a part of a key", key[:-1]),
        _bearer("longer-key", "a key and more", key + "0"),
        _bearer("key-with-a-typo", "a key with one character changed", flipped(key, 40)),
        _bearer("key-with-a-wrong-checksum", "a key with another checksum", flipped(key, -1)),
        _bearer("key-in-capitals", "a key in capitals", key.upper()),
        _bearer("made-up-secret", "the id of a key and a secret of one's own",
                write_opaque(Kind.API_KEY, subject, chance)),
        _bearer("made-up-key", "a key of one's own", write_opaque(Kind.API_KEY, world.randomness.secret(12), chance)),
        _bearer("mixed-keys", "the id of one key and the secret of another", resealed(key[:32] + b.keys["all"][32:-8])),
        *(_bearer(f"key-called-{kind}", f"a key under the name of {kind}", relabelled(key, kind))
          for kind in Kind if kind is not Kind.API_KEY),
        *(_bearer(f"token-called-{kind}", f"a token under the name of {kind}", relabelled(token, kind))
          for kind in Kind if kind is not Kind.USER_TOKEN),
        _bearer("install-called-key", "an install credential under the name of a key",
                relabelled(me.credential, Kind.API_KEY)),
        _bearer("ticket-called-user-token", "a ticket under the name of a token",
                relabelled(ticket, Kind.USER_TOKEN)),
        _bearer("truncated-token", "a part of a token", token[:-4]),
        _bearer("token-with-another-signature", "a token with its signature changed", flipped(token, -2)),
        _bearer("token-of-another-install", "a token that names the victim", renamed(token, other)),
        _bearer("token-of-another-app", "a token that names another app", renamed(token, b.app_id, at=0)),
        _bearer("token-that-lives-longer", "a token with a later end", relived(token)),
        _bearer("token-padded", "a token with padding", token + "===="),
        _bearer("a-jwt-of-alg-none", "an unsigned JWT", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9."),
    ]  # fmt: skip


def _misplaced(world: World) -> list[Shown]:
    """A good credential where none is looked for."""
    key, exposed = world.a.given.keys["all"], world.a.given.keys["exposed"]
    return [
        Shown("key-in-the-query", "a key that stands in logs of proxies", (), query=(("access_token", exposed),)),
        Shown("key-in-a-cookie", "a key that a browser sends by itself", (("Cookie", f"Authorization=Bearer {key}"),)),
        Shown("key-in-x-api-key", "a key in another header", (("X-Api-Key", key),)),
        Shown("two-authorizations", "whichever of two the platform reads",
              (("Authorization", f"Bearer {flipped(key, -1)}"), ("Authorization", f"Bearer {key}"))),
        Shown("two-in-one", "whichever of two the platform reads", (("Authorization", f"Bearer x, Bearer {key}"),)),
        Shown("digest", "a scheme that nobody checks", (("Authorization", f"Digest {key}"),)),
        Shown("no-scheme", "a key without its scheme", (("Authorization", key),)),
        Shown("empty-bearer", "nothing at all", (("Authorization", "Bearer "),)),
        _bearer("ten-thousand", "a header that takes long to read", "unb_key_" + "0" * 10_000),
    ]  # fmt: skip


def flipped(text: str, at: int) -> str:
    """The text with one character changed into another of the same kind."""
    place = at % len(text)
    return text[:place] + ("1" if text[place] != "1" else "2") + text[place + 1 :]


def resealed(text: str) -> str:
    """An opaque credential with the checksum that fits."""
    return text + f"{zlib.crc32(text.encode()):08x}"


def relabelled(text: str, kind: Kind) -> str:
    """A credential under the name of another kind, with a checksum that fits where there is one."""
    own = kind_of(text)
    body = f"unb_{kind}_" + text[len(f"unb_{own}_") :]
    return body if own in {Kind.USER_TOKEN, Kind.LINK_TICKET} else resealed(body[:-8])


def renamed(token: str, id_: str, at: int = 12) -> str:
    """A token that names another install, or another app (at 0), under its old signature."""
    return _changed(token, at, bytes.fromhex(id_))


def relived(token: str) -> str:
    """A token that ends ten years later, under its old signature."""
    content = _content(token)
    later = int.from_bytes(content[24:32], "big") + 315_360_000_000
    return _changed(token, 24, later.to_bytes(8, "big"))


def _changed(token: str, at: int, by: bytes) -> str:
    content = _content(token)
    new = content[:at] + by + content[at + len(by) :]
    return "unb_user_" + base64.urlsafe_b64encode(new).rstrip(b"=").decode()


def _content(token: str) -> bytes:
    text = token.removeprefix("unb_user_")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
