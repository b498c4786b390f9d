"""Where a request comes from, as far as limits need to know. An address is kept in memory only, and never logged.

Behind a proxy every connection is the proxy's, so what it says in `X-Forwarded-For` is believed; but only of those
named in `UNBROKEN_TRUSTED_PROXIES`, as anybody can write that header. It is read from its end, where the nearest
proxy wrote: the first address that is no trusted proxy's is the caller's, whatever stands before it.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.server.reply import Scope

log = structlog.get_logger()

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_HEADER: Final = b"x-forwarded-for"
_HEADER_READ_BYTES: Final = 512
"""From its end: more proxies than anybody has. What is remembered of a stranger is no longer than this."""

_KNOWN: Final = 10_000
_SITE_BYTES: Final = 8
"""Of an IPv6 address: whoever has one has all of its /64."""


class Addresses:
    """See the module."""

    def __init__(self, trusted: Iterable[Network] = ()) -> None:
        self._trusted = tuple(trusted)
        self._has_warned = bool(self._trusted)
        self._is_proxy = lru_cache(_KNOWN)(self._find_proxy)
        self._of_peer = lru_cache(_KNOWN)(self._find_peer)
        self._of_request = lru_cache(_KNOWN)(self._find)

    def of(self, scope: Scope) -> bytes | None:
        """What a request is counted by; None where it comes from this machine, or nobody knows."""
        client = scope.get("client")
        if client is None:
            return None
        if not self._trusted or not self._is_proxy(client[0]):
            found = self.of_peer(client[0])
            if found is None and not self._has_warned:
                self._warn_of_proxy(scope)
            return found
        forwarded = b",".join(value for name, value in scope["headers"] if name == _HEADER)
        if len(forwarded) > _HEADER_READ_BYTES:
            forwarded = forwarded[-_HEADER_READ_BYTES:].partition(b",")[2]  # no part of an address
        return self._of_request(client[0], forwarded)

    def of_peer(self, host: str) -> bytes | None:
        """The same of a connection; None also where it is a trusted proxy's, which speaks for many."""
        return self._of_peer(host)

    def _warn_of_proxy(self, scope: Scope) -> None:
        """Once, where a proxy on this machine calls for others and nobody has named it: then nobody is counted."""
        if any(name == _HEADER for name, _ in scope["headers"]):
            self._has_warned = True
            log.warning("callers are not counted", cause="a proxy on this machine is not in UNBROKEN_TRUSTED_PROXIES")

    def _find_proxy(self, host: str) -> bool:
        peer = read(host)
        return peer is not None and self._is_trusted(peer)

    def _find_peer(self, host: str) -> bytes | None:
        peer = read(host)
        return None if peer is None or self._is_trusted(peer) else _counted(peer)

    def _find(self, host: str, forwarded: bytes) -> bytes | None:
        nearest = read(host)
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            if nearest is None or not self._is_trusted(nearest):
                break
            before = read(_without_port(hop.strip()))
            if before is None:  # nothing more is said, or nothing that makes sense
                break
            nearest = before
        return None if nearest is None else _counted(nearest)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def read(text: str) -> Address | None:
    """An address; an IPv4 one that comes as IPv6 is itself again."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def networks(text: str) -> tuple[Network, ...]:
    """Networks with commas between: `10.0.0.0/8, fd00::/8`.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ip_network(each.strip()) for each in text.split(",") if each.strip())


def _counted(address: Address) -> bytes | None:
    if address.is_loopback:
        return None
    return address.packed if isinstance(address, IPv4Address) else address.packed[:_SITE_BYTES]


def _without_port(text: str) -> str:
    """Some proxies write `192.0.2.7:51034` or `[2001:db8::7]:51034`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
