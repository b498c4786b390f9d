"""Small bodies that would become large, and large ones: refused within the limits, while others are served."""

from __future__ import annotations

import gzip
import zlib
from functools import cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Attack, Seen
from unbroken.attack.exchange import NoReply, Request, asking
from unbroken.attack.world import REGISTER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from unbroken.attack.world import World

_MIB: Final = 1 << 20
_IN_TIME_S: Final = 10.0
_IN_TIME_PROXIED_S: Final = 40.0
"""A proxy may wait for a whole body before it asks; how long, the slow attacks find out."""

_ZSTD_MAGIC: Final = (0xFD2FB528).to_bytes(4, "little")
_BLOCK_BYTES: Final = 128 << 10


async def attacks(world: World) -> AsyncIterator[Attack]:
    """The attacks of this chapter."""
    for attack in [*_packed(world), *_nested(world), *_large(world), *_counted(world), *_heads(world)]:
        yield attack


def _one(
    world: World, name: str, make: Callable[[], Request], *statuses: int, wins: str = "", may_hang_up: bool = False
) -> Attack:
    """One bomb. It is made when it is thrown, so that the suite itself stays small.

    Args:
        may_hang_up: a body that is far over the limit may meet a closed connection.
    """

    async def run() -> Seen:
        request, started_s = make(), perf_counter()
        try:
            reply = await world.caller.send(request)
        except NoReply as error:
            reply = None
            said = str(error)
        else:
            said = str(reply)
        took_s = perf_counter() - started_s
        await world.caller.send(asking("GET", "/sdk/install"))
        held = (reply is None and may_hang_up) or (reply is not None and reply.status in statuses)
        limit_s = _IN_TIME_PROXIED_S if world.caller.proxied else _IN_TIME_S
        return Seen(held and took_s < limit_s, f"{said} after {took_s:.2f} s")

    allowed = " or ".join(map(str, statuses))
    return Attack(
        f"bombs/{name}", wins or "memory or time that nobody else has then", f"{allowed} in {_IN_TIME_S:g} s", run
    )


def _as_it_is(request: Request) -> Request:
    return request


# Packed


def _packed(world: World) -> list[Attack]:
    bodies: dict[str, tuple[str, Callable[[], bytes], tuple[int, ...]]] = {
        "gzip-thousandfold": ("gzip", lambda: gzip_of_zeros(500), (413,)),
        "gzip-just-over": ("gzip", lambda: gzip_of_zeros(9), (413,)),
        "gzip-in-gzip": ("gzip", lambda: gzip.compress(gzip_of_zeros(64)), (400, 413)),
        "gzip-members": ("gzip", lambda: gzip.compress(b"") * 300, (400, 413)),
        "gzip-members-large": ("gzip", lambda: gzip.compress(b"0" * _MIB) * 100, (413,)),
        "gzip-cut": ("gzip", lambda: gzip.compress(b"{}")[:-4], (400,)),
        "gzip-with-more": ("gzip", lambda: gzip.compress(b"{}") + b"more", (400,)),
        "gzip-wrong-checksum": ("gzip", lambda: gzip.compress(b"{}")[:-8] + b"00000000", (400,)),
        "gzip-that-is-none": ("gzip", lambda: b"{}", (400,)),
        "gzip-empty": ("gzip", lambda: b"", (400,)),
        "gzip-raw-deflate": ("gzip", lambda: zlib.compress(b"{}"), (400,)),
        "zstd-endless": ("zstd", lambda: zstd_of_zeros(1_600), (400, 413)),
        "zstd-just-over": ("zstd", lambda: zstd_of_zeros(65), (413,)),
        "zstd-says-much": ("zstd", lambda: _ZSTD_MAGIC + b"\xe0" + (1 << 40).to_bytes(8, "little"), (400, 413)),
        "zstd-window": ("zstd", lambda: _ZSTD_MAGIC + b"\x00\xf8\x01\x00\x00", (400, 413)),
        "zstd-that-is-none": ("zstd", lambda: b"{}", (400,)),
        "zstd-with-more": ("zstd", lambda: zstd_of_zeros(1) + b"more", (400,)),
        "zstd-cut": ("zstd", lambda: zstd_of_zeros(3)[:-2], (400,)),
        "zstd-skippable": ("zstd", lambda: b"\x50\x2a\x4d\x18\xff\xff\xff\x7f", (400, 413)),
        "encoded-twice": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"{}")), (400, 415)),
        "brotli": ("br", lambda: b"\x0b\x02\x80{}\x03", (415,)),
        "deflate": ("deflate", lambda: zlib.compress(b"{}"), (415,)),
    }  # fmt: skip
    me = world.me.device

    def thrown(where: str, encoding: str, make: Callable[[], bytes]) -> Callable[[], Request]:
        if where == "upload":
            return lambda: asking("POST", "/sdk/payloads", me.bearer, make(), Content_Encoding=encoding)
        if where == "registration":
            return lambda: asking("POST", "/sdk/installs", world.a.basic, make(), Content_Encoding=encoding)
        return lambda: asking("POST", "/sdk/installs", None, make(), Content_Encoding=encoding)

    return [
        _one(world, f"{where}/{name}", thrown(where, encoding, make), *statuses)
        for where in ("upload", "registration", "anybody")
        for name, (encoding, make, statuses) in bodies.items()
    ]


@cache
def gzip_of_zeros(mib: int) -> bytes:
    """A gzip body of so many MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    part = b"0" * _MIB
    return b"".join(packer.compress(part) for _ in range(mib)) + packer.flush()


def zstd_of_zeros(blocks: int) -> bytes:
    """A zstd frame of so many blocks of 128 KiB, four bytes each, that does not tell its size (RFC 8878)."""
    header = _ZSTD_MAGIC + b"\x00" + b"\x38"  # no content size; a window of 128 KiB
    body = b"".join(
        ((_BLOCK_BYTES << 3) | (1 << 1) | (number == blocks - 1)).to_bytes(3, "little") + b"0"
        for number in range(blocks)
    )
    return header + body


# Nested


def _nested(world: World) -> list[Attack]:
    me = world.me.device
    found = []
    for depth in (17, 1_000, 100_000, 400_000):
        for name, (opens, closes) in {"lists": (b"[", b"]"), "objects": (b'{"a":', b"}")}.items():
            deep = opens * depth + b"0" + closes * depth
            if len(deep) > _MIB:
                continue
            item = (
                b'{"sent_at":1,"payloads":[{"payload_id":"x","items":[{"kind":"custom","t":1,"name":"x","data":%b}]}]}'
            )
            calls = {
                "registration": asking("POST", "/sdk/installs", world.a.basic, b'{"device":%b}' % deep),
                "link": asking("POST", f"/v2/users/{me.install_id}/link", world.a.key(), b'{"external_id":%b}' % deep),
                "upload": asking("POST", "/sdk/payloads", me.bearer, item % deep),
                "metadata": asking("PUT", "/sdk/metadata", me.bearer, b'{"a":%b}' % deep),
            }
            found += [
                _one(world, f"nested/{call}/{name}-{depth}", partial(_as_it_is, request), 400, 413)
                for call, request in calls.items()
            ]
    return found


# Large

_LARGE: Final[dict[str, Callable[[Callable[[bytes], Request]], Request]]] = {
    "one-byte-over": lambda call: call(b"[" + b" " * _MIB),
    "thirty-mib": lambda call: call(b"[" + b" " * (30 * _MIB)),
    "said-only": lambda call: call(b"[").having(("Content-Length", str(1 << 40))),
    "chunked": lambda call: _chunked(call(b" " * (2 * _MIB))),
}
"""How a body is too large."""


def _large(world: World) -> list[Attack]:
    me = world.me.device
    calls: dict[str, Callable[[bytes], Request]] = {
        "upload": lambda body: asking("POST", "/sdk/payloads", me.bearer, body),
        "registration": lambda body: asking("POST", "/sdk/installs", world.a.basic, body),
        "link": lambda body: asking("POST", f"/v2/users/{me.install_id}/link", world.a.key(), body),
        "metadata": lambda body: asking("PUT", "/sdk/metadata", me.bearer, body),
        "reading": lambda body: asking("GET", "/sdk/install", me.bearer, body),
    }
    found = []
    for name, call in calls.items():
        statuses = (413,) if name != "reading" else (200, 413)
        for size, make in _LARGE.items():
            allowed = statuses if size != "said-only" else (400, *statuses)
            found.append(_one(world, f"large/{name}/{size}", partial(make, call), *allowed, may_hang_up=True))
    anybody = asking("POST", "/sdk/installs", None, b"{" + b" " * (65 << 10) + b"}")
    return [*found, _one(world, "large/anybody/over-64-kib", lambda: anybody, 413)]


def _chunked(request: Request) -> Request:
    chunks = b"".join(
        b"10000\r\n" + request.body[at : at + 0x10000] + b"\r\n" for at in range(0, len(request.body), 0x10000)
    )
    return Request(
        request.method, request.target, (*request.headers, ("Transfer-Encoding", "chunked")), chunks + b"0\r\n\r\n"
    )


# Many


def _counted(world: World) -> list[Attack]:
    me, now_ms = world.me.device, world.clock.now_ms()
    place = {"kind": "location", "t": now_ms, "lat": 1, "lon": 1}

    def upload(payloads: list[dict[str, object]]) -> Callable[[], Request]:
        return lambda: asking("POST", "/sdk/payloads", me.bearer, {"sent_at": now_ms, "payloads": payloads})

    def payload(items: list[object]) -> dict[str, object]:
        return {"payload_id": world.randomness.uuid(now_ms), "items": items}

    def metadata(said: object) -> Callable[[], Request]:
        return lambda: asking("PUT", "/sdk/metadata", me.bearer, said)

    names = ",".join(f'"{number}":0' for number in range(60_000))
    many = ("{" + names + ',"x":1,"x":2}').encode()
    digits = b'{"external_id":' + b"1" * 500_000 + b"}"
    link = f"/v2/users/{me.install_id}/link"
    return [
        _one(world, "counted/items", upload([payload([place] * 2_001)]), 400, 413),
        _one(world, "counted/payloads", upload([payload([place])] * 33), 400, 413),
        _one(world, "counted/metadata-keys", metadata({str(number): "" for number in range(51)}), 400, 413),
        _one(world, "counted/metadata-value", metadata({"a": "x" * 501}), 400, 413),
        _one(world, "counted/metadata-key", metadata({"x" * 501: ""}), 400, 413),
        _one(world, "counted/device-model", lambda: asking("POST", "/sdk/installs", world.a.basic, REGISTER | {
            "app_version": "x" * 256}), 400),
        _one(world, "counted/names", lambda: asking("POST", "/sdk/installs", world.a.basic, many), 400, 413),
        _one(world, "counted/digits", lambda: asking("POST", link, world.a.key(), digits), 400),
        _one(world, "counted/exponent", lambda: asking("POST", link, world.a.key(), b'{"external_id":1e999999999}'),
             400),
        _one(world, "counted/reason", lambda: asking("POST", f"/v3/links/{world.me.link_id}/undo?dry_run=true",
             world.a.key(), {"reason": "x" * 100_000}), 400),
        _one(world, "counted/limit", lambda: asking("GET", f"/v3/users/{me.user_id}/items?limit=1000000",
             world.a.key()), 400),
        _one(world, "counted/cursor", lambda: asking("GET", f"/v3/users/{me.user_id}/items?cursor=" + "A" * 1_001,
             world.a.key()), 400),
    ]  # fmt: skip


# Heads


def _heads(world: World) -> list[Attack]:
    usual = asking("GET", "/sdk/install")
    long = {
        "path": asking("GET", "/" + "a" * 100_000),
        "query": asking("GET", "/sdk/install?" + "a" * 100_000),
        "segments": asking("GET", "/a" * 30_000),
        "parameters": asking("GET", "/sdk/install?" + "&".join(f"{number}=1" for number in range(6_000))),
        "header": usual.having(("X-Long", "a" * 100_000)),
        "headers": usual.having(*((f"X-{number}", "1") for number in range(10_000))),
        "cookies": usual.having(*(("Cookie", "a=" + "b" * 4_000) for _ in range(40))),
        "ranges": usual.having(("Range", "bytes=" + ",".join(f"{number}-" for number in range(10_000)))),
        "encodings": usual.having(("Accept-Encoding", ",".join(["gzip;q=0.1"] * 10_000))),
        "method": asking("A" * 100_000, "/sdk/install"),
    }
    allowed = (400, 401, 404, 413, 414, 431)
    return [
        _one(world, f"heads/{name}", partial(_as_it_is, request), *allowed, may_hang_up=True)
        for name, request in long.items()
    ]
