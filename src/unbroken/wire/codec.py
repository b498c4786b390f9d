"""JSON of these types, and back."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What `decode` may raise for a body that somebody else made; the last where that is nested too deeply."""


def encode(value: Any) -> bytes:
    """JSON of a reply or request."""
    return msgspec.json.encode(value)


def decode(body: bytes | str, type_: type[T]) -> T:
    """A reply, or what was checked before; raises one of `UNREADABLE`."""
    return _decoder(type_).decode(body)


def convert(value: Any, type_: type[T]) -> T:
    """The same from builtins."""
    _decoder(type_)
    return msgspec.convert(value, type_)


def _decoder(type_: type[T]) -> msgspec.json.Decoder[T]:
    """The one decoder of a type, and with it what msgspec knows of the type.

    Found out by two threads at once, as `msgspec.json.decode(body, type=...)` does at its first use, that ends the
    process: it is found out under a lock.
    """
    made = _DECODERS.get(type_)
    if made is None:
        with _MAKING:
            made = _DECODERS.setdefault(type_, msgspec.json.Decoder(type_))
    return made


_DECODERS: Final[dict[Any, msgspec.json.Decoder[Any]]] = {}
_MAKING: Final = Lock()


def plain(value: Struct) -> Mapping[str, Any]:
    """The JSON object of `value` as builtins."""
    builtins: Mapping[str, Any] = msgspec.to_builtins(value)
    return builtins
