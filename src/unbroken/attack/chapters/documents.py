"""Bodies that two readers would read in two ways, on every call that takes one; and types that are not JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, refused, sending
from unbroken.attack.exchange import Request, with_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from unbroken.attack.operations import Operation
    from unbroken.attack.world import World

_UPLOAD: Final = "POST /sdk/payloads"
"""In uploads a member may be named twice (http-api.md, conventions)."""

_ODD: Final[dict[str, bytes]] = {
    "cut": b'{"a":',
    "two": b"{}{}",
    "trailing-comma": b'{"a":1,}',
    "comment": b'{"a":1}/**/',
    "single-quotes": b"{'a':1}",
    "bare-name": b"{a:1}",
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":-Infinity}',
    "hex": b'{"a":0x10}',
    "leading-zero": b'{"a":01}',
    "plus": b'{"a":+1}',
    "raw-newline": b'{"a":"\n"}',
    "raw-nul": b'{"a":"\x00"}',
    "bad-escape": b'{"a":"\\x41"}',
    "not-utf-8": b'{"a":"\xff\xfe"}',
    "overlong-utf-8": b'{"a":"\xc0\xaf"}',
    "utf-16": '{"a":1}'.encode("utf-16"),
    "byte-order-mark": b'\xef\xbb\xbf{"a":1}',
    "form": b"a=1&b=2",
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "yaml": b"a: !!python/object/apply:os.system [id]",
    "list": b"[]",
    "text": b'"a"',
    "number": b"1",
    "null": b"null",
    "true": b"true",
    "nothing-but-space": b"   ",
}
_TYPES: Final = (
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml",
    "application/json; charset=utf-16", "application/json; charset=utf-7", "application/x-yaml", "application/jsonp",
    "text/json",
)  # fmt: skip
_ENCODINGS: Final = ("br", "deflate", "compress", "gzip, zstd", "identity, gzip", "x-unknown")


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for operation in world.operations:
        if operation.body is None or not set(operation.parameters) <= set(world.me.ids):
            continue
        for name, body in _odd_bodies(operation).items():
            yield _sent(world, operation, name, body, ())
        usual = json.dumps(operation.body).encode()
        for kind in _TYPES:
            yield _sent(world, operation, f"type-{kind.partition(';')[0].replace('/', '-')}-{len(kind)}", usual,
                        (("Content-Type", kind),), 415)  # fmt: skip
        for encoding in _ENCODINGS:
            headers = (("Content-Encoding", encoding),)
            yield _sent(world, operation, f"encoding-{encoding.replace(', ', '-')}", usual, headers, 415)
        for name in ("Content-Type", "Content-Encoding"):
            twice = ((name, "application/json"), (name, "text/plain"))
            yield _sent(world, operation, f"two-{name.lower()}s", usual, twice, 400, 415)


def _odd_bodies(operation: Operation) -> dict[str, bytes]:
    odd = dict(_ODD)
    if operation.name != _UPLOAD:
        odd |= {
            "member-twice": b'{"a":1,"a":2}',
            "member-twice-escaped": b'{"a":1,"\\u0061":2}',
            "member-twice-inside": b'{"x":{"a":1,"a":2}}',
        }
    return odd


def _sent(
    world: World, operation: Operation, name: str, body: bytes, headers: tuple[tuple[str, str], ...], *statuses: int
) -> Attack:
    target = with_query(operation.target(world.me.ids), operation.query)
    if not any(known == "Content-Type" for known, _ in headers):
        headers = (*headers, ("Content-Type", "application/json"))
    request = Request(operation.method, target, (("Authorization", _authorization(world, operation)), *headers), body)
    return sending(
        world.caller,
        f"documents/{operation.slug}/{name}",
        request,
        refused(*(statuses or (400, 413))),
        wins=f"a body of {operation.name} that a proxy reads as something else, or a failure",
        defence=" or ".join(map(str, statuses or (400, 413))),
    )


def _authorization(world: World, operation: Operation) -> str:
    if "appSecret" in operation.kinds:
        return world.a.basic
    return world.me.device.bearer if "userToken" in operation.kinds else world.a.key()
