"""Paths that a filter in front would read in another way: escapes, dots, slashes, ids in other spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.attack.attack import Attack, sending
from unbroken.attack.exchange import asking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import World


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for name, target in {**_ways(world), **_spellings(world)}.items():
        for holder, authorization in {"key": world.a.key(), "token": world.me.device.bearer}.items():
            yield sending(
                world.caller,
                f"paths/{name}/{holder}",
                asking("GET", target, authorization),
                lambda reply: 400 <= reply.status < 500 and not _tells(reply),
                wins="a call that a rule for its path does not see, or a file",
                defence="one spelling for each path: any other is 404 or 400",
            )


def _tells(reply: Reply) -> bool:
    return b"root:" in reply.body or b"[Install]" in reply.body or b"PRIVATE KEY" in reply.body


def _ways(world: World) -> dict[str, str]:
    """Around the path of one's own profile."""
    user, victim = world.me.device.user_id, world.victim.device.user_id
    return {
        "dots": f"/v2/users/x/../{user}",
        "dots-escaped": f"/v2/users/x/%2e%2e/{user}",
        "dots-to-victim": f"/v2/users/{user}/../{victim}",
        "dots-escaped-to-victim": f"/v2/users/{user}/%2e%2e/{victim}",
        "dots-escaped-twice": f"/v2/users/{user}/%252e%252e/{victim}",
        "slash-escaped": f"/v2/users%2f{user}",
        "slash-escaped-in-id": f"/v2/users/{user}%2fevents",
        "backslash": f"/v2/users\\{user}",
        "backslash-escaped": f"/v2/users%5c{user}",
        "two-slashes": f"//v2/users/{user}",
        "two-slashes-inside": f"/v2//users/{user}",
        "slash-at-the-end": f"/v2/users/{user}/",
        "dot": f"/./v2/users/{user}",
        "dot-inside": f"/v2/./users/{user}",
        "parameter": f"/v2/users/{user};a=b",
        "parameter-jsessionid": f"/v2/users;jsessionid=1/{user}",
        "capitals": f"/V2/USERS/{user}",
        "suffix": f"/v2/users/{user}.json",
        "nul": f"/v2/users/{user}%00",
        "nul-and-suffix": f"/v2/users/{user}%00.json",
        "newline": f"/v2/users/{user}%0a",
        "carriage-return": f"/v2/users/{user}%0d%0aX-Injected:%201",
        "tab": f"/v2/users/{user}%09",
        "space": f"/v2/users/{user}%20",
        "half-escape": f"/v2/users/{user}%2",
        "no-escape": f"/v2/users/{user}%zz",
        "overlong-slash": f"/v2/users%c0%af{user}",
        "overlong-dot": f"/v2/users/x/%c0%ae%c0%ae/{user}",
        "not-utf-8": f"/v2/users/{user}%ff",
        "fullwidth-slash": f"/v2/users%ef%bc%8f{user}",
        "hash": f"/v2/users/{user}%23",
        "question-escaped": f"/v2/users/{user}%3fdry_run=true",
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


def _spellings(world: World) -> dict[str, str]:
    """The same id, written in another way."""
    user = world.me.device.user_id
    fullwidth = "".join(f"%ef%bc%{0x90 + int(digit):02x}" if digit.isdigit() else digit for digit in user)
    return {
        "id-in-capitals": f"/v2/users/{user.upper()}" if user.upper() != user else "/v2/users/A",
        "id-with-hyphens": f"/v2/users/{user[:8]}-{user[8:]}",
        "id-with-0x": f"/v2/users/0x{user}",
        "id-with-space": f"/v2/users/%20{user}",
        "id-with-plus": f"/v2/users/+{user}",
        "id-fullwidth": f"/v2/users/{fullwidth}",
        "id-cut": f"/v2/users/{user[:-1]}",
        "id-and-more": f"/v2/users/{user}0",
        "id-in-braces": f"/v2/users/%7b{user}%7d",
        "id-list": f"/v2/users/{user},{world.victim.device.user_id}",
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
