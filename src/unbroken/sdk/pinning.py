"""TLS that talks to a pinned key only: the classes that an `ssl.SSLContext` makes its connections with.

OpenSSL checks chain and host name as always; then the verified chain is asked for a pinned key, before a byte of the
application moves. The chain that was sent would not do: a hostile server may append the genuine certificate to its own.
"""

from __future__ import annotations

import functools
import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from unbroken.sdk.errors import InvalidConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.clock import Clock
    from unbroken.sdk.pins import Pins

Connection = ssl.SSLSocket | ssl.SSLObject
C = TypeVar("C", bound=type[Connection])


class PinMismatch(ssl.SSLCertVerificationError):
    """The other end has none of the pinned keys, or it could not be made sure that it has one. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """Asked once a handshake has succeeded.

    Args:
        host: the only one that may be talked to; a redirect elsewhere fails.
        pins: those in force now; they may change while a process runs.
    """

    host: str
    pins: Callable[[], Pins]
    clock: Clock

    def __call__(self, connection: Connection) -> None:
        """Raise PinMismatch where the other end is not to be talked to."""
        _require_verification(connection.context)
        host = str(connection.server_hostname)
        if host.lower() != self.host:
            raise PinMismatch(f"there are no pins for {host}")
        pins = self.pins()
        if pins.hold(self.clock.now_ms()) and not pins.allow(verified_chain(connection)):
            raise PinMismatch(f"{host} has none of the pinned keys")


def pin(context: ssl.SSLContext | None, check: KeyCheck) -> ssl.SSLContext:
    """Let `context`, or a new one on the system's CA store, make connections that `check` has agreed to.

    Raises:
        InvalidConfig: the context would not ask: it wraps another one, or does not verify.
    """
    context = _system_context() if context is None else context
    if type(context) is not ssl.SSLContext:
        raise InvalidConfig(f"{type(context).__module__}.SSLContext cannot be pinned, only that of the module ssl")
    try:
        _require_verification(context)
    except PinMismatch as error:
        raise InvalidConfig(str(error)) from None
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.sslsocket_class = type("PinnedSocket", (_PinnedSocket,), {"check": staticmethod(check)})
    context.sslobject_class = type("PinnedObject", (_PinnedObject,), {"check": staticmethod(check)})
    return context


def _system_context() -> ssl.SSLContext:
    """As `ssl.create_default_context`, but for `SSLKEYLOGFILE`: whoever can set a variable must not read along."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    return context


def _require_verification(context: ssl.SSLContext) -> None:
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise PinMismatch("pins stand beside the check of chain and host name, and this context does not do it")


def verified_chain(connection: Connection) -> list[bytes]:
    """From the host's own certificate to the root, in DER; empty where a session was resumed, so that fails."""
    if sys.version_info >= (3, 13):
        return connection.get_verified_chain()
    inner = cast("Any", connection)._sslobj  # noqa: SLF001 - public from 3.13 on
    return [certificate.public_bytes(_DER) for certificate in inner.get_verified_chain() or ()]


def _guarded(*names: str) -> Callable[[C], C]:
    """Let these methods work after a checked handshake only: OpenSSL shakes hands inside a read or a write, too."""

    def guard(class_: C) -> C:
        for name in names:
            setattr(class_, name, _after_check(getattr(class_, name)))
        return class_

    return guard


def _after_check(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(connection: Any, *arguments: Any, **named: Any) -> Any:
        if connection._sslobj is not None and not connection.is_checked:  # noqa: SLF001 - None: no TLS yet, or no more
            raise PinMismatch("no handshake has been checked on this connection")
        return method(connection, *arguments, **named)

    return checked


@_guarded("send", "sendall", "sendfile", "write", "recv", "recv_into", "read", "unwrap")
class _PinnedSocket(ssl.SSLSocket):
    """For code that blocks: http.client, urllib3, requests, httpx."""

    check: Callable[[ssl.SSLSocket], None]
    is_checked = False

    def do_handshake(self, block: bool = False) -> None:
        """See `ssl.SSLSocket.do_handshake`; raises PinMismatch."""
        super().do_handshake(block)
        try:
            self.check(self)
        except BaseException:
            self.close()
            raise
        self.is_checked = True


@_guarded("write", "read", "unwrap")
class _PinnedObject(ssl.SSLObject):
    """For event loops: asyncio, anyio, uvloop, and what stands on them."""

    check: Callable[[ssl.SSLObject], None]
    is_checked = False

    def do_handshake(self) -> None:
        """See `ssl.SSLObject.do_handshake`; raises PinMismatch."""
        super().do_handshake()
        self.check(self)
        self.is_checked = True


_DER: Final = 2  # _ssl.ENCODING_DER
