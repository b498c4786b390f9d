"""Texts that would become something else where they are written: a header, a line of a log, a statement, a script."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from unbroken.attack.attack import Attack, Seen, judged, sending
from unbroken.attack.exchange import Request, asking, with_query
from unbroken.attack.world import REGISTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import World

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REF: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TEXTS: Final = {
    "crlf-header": "x\r\nX-Injected: 1",
    "crlf-reply": "x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "newline-log": 'x\n{"level":"info","event":"forged"}',
    "terminal-title": "\x1b]0;owned\x07",
    "terminal-clear": "\x1b[2J",
    "c1-escape": "\x9b2J",
    "nul": "x\x00y",
    "right-to-left": "\u202eannaA",
    "script": "<script>alert(1)</script>",
    "image": '"><img src=x onerror=alert(1)>',
    "sql": "x'); DROP TABLE users;--",
    "sql-sleep": "x' OR pg_sleep(10)--",
    "template": "{{7*7}}${7*7}",
    "jndi": "${jndi:ldap://127.0.0.1/x}",
    "format": "%s%s%n{0.__class__}",
    "formula": "=HYPERLINK(1)",
    "path": "../../etc/passwd",
    "credential": "unb_key_" + "0" * 75,
}


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for name, text in _TEXTS.items():
        for place, request in _places(world, text).items():
            yield _in_body(world, f"{place}/{name}", request, text)
    for attack in [*_headers(world), _reference(world), _names(world)]:
        yield attack


def _places(world: World, text: str) -> dict[str, Request]:
    """Wherever a caller's text goes in."""
    me, key = world.me.device, world.a.key()
    device = REGISTER["device"] | {"model": text[:255], "time_zone": text[:255]}
    link = f"/v2/users/{me.install_id}/link"
    return {
        "external-id": asking("POST", f"{link}?dry_run=true", key, {"external_id": text}),
        "code-for": asking("POST", "/users/auth-code", key, {"external_id": text}),
        "look-up": asking("GET", with_query("/v3/users", {"external_id": text}), key),
        "model": asking("POST", "/sdk/installs", world.a.basic, REGISTER | {"device": device}),
        "sdk-name": asking("POST", "/sdk/installs", world.a.basic, REGISTER | {"sdk": {"name": text, "version": text}}),
        "metadata": asking("PUT", "/sdk/metadata", me.bearer, {text: text}),
        "reason": asking("POST", f"/v3/links/{world.me.link_id}/undo?dry_run=true", key, {"reason": text}),
        "cursor": asking("GET", with_query(f"/v3/users/{me.user_id}/items", {"cursor": text}), key),
        "parameter": asking("GET", with_query(f"/v2/users/{me.user_id}/events", {"types": text, text: "1"}), key),
        "code": asking("POST", "/sdk/link", me.bearer, {"authentication_code": text}),
        "member": asking("POST", link, key, {text: text}),
    }


def _in_body(world: World, name: str, request: Request, text: str) -> Attack:
    return sending(
        world.caller, f"injection/{name}", request, lambda reply: is_clean(reply, text),
        wins="a header, a log line or a script of one's own in somebody else's screen",
        defence="it stays text: JSON escapes it, no header holds it, nothing is executed",
    )  # fmt: skip


def is_clean(reply: Reply, text: str = "") -> bool:
    """Whether a reply holds nothing but what the platform meant to say."""
    said = b"".join(value.encode("latin-1") for _, value in reply.headers)
    headers_hold = _CONTROL.search(said) or (text and text.encode("utf-8") in said) or reply.header("x-injected")
    is_json = reply.header("content-type").startswith("application/json") or not reply.body
    return not headers_hold and is_json and not _CONTROL.search(reply.body) and _is_ours(reply)


def _is_ours(reply: Reply) -> bool:
    return b"Traceback" not in reply.body and b"sqlite3" not in reply.body and b"asyncpg" not in reply.body


def _headers(world: World) -> list[Attack]:
    """Request headers that could come back, or get into a log."""
    found = []
    texts = {"escape": "\x1b]0;owned\x07", "high": "\xff\xfe", "long": "a" * 8_000, "key": "unb_key_" + "0" * 75}
    for header in ("User-Agent", "Referer", "X-Request-Id", "X-Forwarded-For", "Accept", "Accept-Language", "Origin",
                   "Idempotency-Key", "Traceparent", "X-Forwarded-Proto", "X-Forwarded-Host", "Lab-Time"):  # fmt: skip
        for name, text in texts.items():
            request = asking("GET", "/sdk/install", world.me.device.bearer).having((header, text))
            found.append(_in_body(world, f"header-{header.lower()}/{name}", request, text))
    return found


def _reference(world: World) -> Attack:
    async def run() -> Seen:
        wanted = "11111111-1111-4111-8111-111111111111"
        replies = [
            await world.caller.send(asking("GET", "/nowhere", None, X_Request_Id=wanted)),
            await world.caller.send(asking("GET", "/sdk/install", None, X_Request_Id=wanted)),
        ]
        refs = [reply.header("x-request-id") for reply in replies]
        held = all(_REF.fullmatch(ref) and ref != wanted for ref in refs)
        return judged(
            replies[0],
            lambda _: held and all(reply.json["ref"] == ref for reply, ref in zip(replies, refs, strict=True)),
        )

    return Attack("injection/request-id", "log lines under another's reference", "the platform makes its own", run)


def _names(world: World) -> Attack:
    """What one person writes about himself must come back as the text that it is."""

    async def run() -> Seen:
        device = await world.a.linked(world.word("text"))
        said: dict[str, Any] = {f"note{index}": text for index, text in enumerate(_TEXTS.values())}
        wrote = await world.caller.send(asking("PUT", "/sdk/metadata", device.bearer, said))
        read = await world.caller.send(asking("GET", "/v2/users/me", device.bearer))
        if wrote.status != 200:
            return judged(wrote, lambda reply: reply.status == 400)
        return judged(read, lambda reply: reply.json["metadata"] == said and is_clean(reply))

    return Attack(
        "injection/metadata-comes-back", "texts that change on their way", "what was said, byte for byte", run
    )
