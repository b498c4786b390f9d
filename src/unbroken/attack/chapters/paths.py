"""Paths that a filter in front would read in another way: escapes, dots, slashes, ids in other spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, sending
from unbroken.attack.exchange import asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import World


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    ids = _written(world.me.device.user_id, world.victim.device.user_id)
    for name, target in {**_WAYS, **_SPELLINGS}.items():
        for holder, authorization in {"key": world.a.key(), "token": world.me.device.bearer}.items():
            yield sending(
                world.caller,
                f"paths/{name}/{holder}",
                asking("GET", target.format_map(ids), authorization),
                lambda reply: 400 <= reply.status < 500 and not _tells(reply),
                wins="a call that a rule for its path does not see, or a file",
                defence="one spelling for each path: any other is 404 or 400",
            )


def _tells(reply: Reply) -> bool:
    return b"root:" in reply.body or b"[Install]" in reply.body or b"PRIVATE KEY" in reply.body


def _written(user: str, victim: str) -> dict[str, str]:
    """An id of one's own in all the spellings that the table below has, and the victim's as it is."""
    return {
        "user": user,
        "victim": victim,
        "capitals": user.upper() if user.upper() != user else "A",
        "front": user[:8],
        "back": user[8:],
        "cut": user[:-1],
        "fullwidth": "".join(f"%ef%bc%{0x90 + int(digit):02x}" if digit.isdigit() else digit for digit in user),
    }


_WAYS: Final[Mapping[str, str]] = {
    "dots": "/v2/users/x/../{user}",
    "dots-escaped": "/v2/users/x/%2e%2e/{user}",
    "dots-to-victim": "/v2/users/{user}/../{victim}",
    "dots-escaped-to-victim": "/v2/users/{user}/%2e%2e/{victim}",
    "dots-escaped-twice": "/v2/users/{user}/%252e%252e/{victim}",
    "slash-escaped": "/v2/users%2f{user}",
    "slash-escaped-in-id": "/v2/users/{user}%2fevents",
    "backslash": "/v2/users\\{user}",
    "backslash-escaped": "/v2/users%5c{user}",
    "two-slashes": "//v2/users/{user}",
    "two-slashes-inside": "/v2//users/{user}",
    "slash-at-the-end": "/v2/users/{user}/",
    "dot": "/./v2/users/{user}",
    "dot-inside": "/v2/./users/{user}",
    "parameter": "/v2/users/{user};a=b",
    "parameter-jsessionid": "/v2/users;jsessionid=1/{user}",
    "capitals": "/V2/USERS/{user}",
    "suffix": "/v2/users/{user}.json",
    "nul": "/v2/users/{user}%00",
    "nul-and-suffix": "/v2/users/{user}%00.json",
    "newline": "/v2/users/{user}%0a",
    "carriage-return": "/v2/users/{user}%0d%0aX-Injected:%201",
    "tab": "/v2/users/{user}%09",
    "space": "/v2/users/{user}%20",
    "half-escape": "/v2/users/{user}%2",
    "no-escape": "/v2/users/{user}%zz",
    "overlong-slash": "/v2/users%c0%af{user}",
    "overlong-dot": "/v2/users/x/%c0%ae%c0%ae/{user}",
    "not-utf-8": "/v2/users/{user}%ff",
    "fullwidth-slash": "/v2/users%ef%bc%8f{user}",
    "hash": "/v2/users/{user}%23",
    "question-escaped": "/v2/users/{user}%3fdry_run=true",
    "file": "/../../../../etc/passwd",
    "file-escaped": "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "file-escaped-slashes": "/..%2f..%2f..%2fetc%2fpasswd",
    "file-in-schema": "/schema/../../../../etc/passwd",
    "file-in-schema-escaped": "/schema/%2e%2e%2f%2e%2e%2fetc/passwd",
    "file-by-name": "/schema/file:///etc/passwd",
    "data-directory": "/unbroken-data/keys.json",
    "keys": "/keys.json",
    "database": "/unbroken.db",
    "dot-env": "/.env",
    "dot-git": "/.git/config",
    "manage": "/manage/apps",
    "admin": "/admin",
    "debug": "/debug/pprof/",
    "actuator": "/actuator/env",
    "docs": "/docs",
    "well-known": "/.well-known/",
    "lab-settle": "/lab/settle",
    "metrics-of-somebody": "/metrics/unbroken",
    "long-segment": "/v2/users/" + "a" * 1_001,
    "unicode": "/v2/users/%e2%80%ae",
}
"""Around the path of one's own profile."""

_SPELLINGS: Final[Mapping[str, str]] = {
    "id-in-capitals": "/v2/users/{capitals}",
    "id-with-hyphens": "/v2/users/{front}-{back}",
    "id-with-0x": "/v2/users/0x{user}",
    "id-with-space": "/v2/users/%20{user}",
    "id-with-plus": "/v2/users/+{user}",
    "id-fullwidth": "/v2/users/{fullwidth}",
    "id-cut": "/v2/users/{cut}",
    "id-and-more": "/v2/users/{user}0",
    "id-in-braces": "/v2/users/%7b{user}%7d",
    "id-list": "/v2/users/{user},{victim}",
    "id-star": "/v2/users/*",
    "id-percent": "/v2/users/%25",
    "id-sql": "/v2/users/'%20OR%20'1'='1",
    "id-sql-union": "/v2/users/x'%20UNION%20SELECT%20*%20FROM%20users--",
    "id-sql-sleep": "/v2/users/x';SELECT%20pg_sleep(10)--",
    "id-nosql": "/v2/users/[$ne]=x",
    "id-template": "/v2/users/%7b%7b7*7%7d%7d",
    "id-jndi": "/v2/users/$%7bjndi:ldap:%2f%2f127.0.0.1%2fx%7d",
    "id-shell": "/v2/users/%60id%60",
    "id-zero": "/v2/users/" + "0" * 24,
    "id-all-f": "/v2/users/" + "f" * 24,
    "id-negative": "/v2/users/-1",
    "id-null": "/v2/users/null",
}
"""The same id, written in another way."""
