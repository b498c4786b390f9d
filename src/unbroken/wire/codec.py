"""JSON of these types, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


def encode(value: Any) -> bytes:
    """JSON of a reply or request."""
    return msgspec.json.encode(value)


def decode(body: bytes, type_: type[T]) -> T:
    """A reply, or a request that was checked before; raises `msgspec.ValidationError` or `msgspec.DecodeError`."""
    return msgspec.json.decode(body, type=type_)


def plain(value: Struct) -> Mapping[str, Any]:
    """The JSON object of `value` as builtins."""
    builtins: Mapping[str, Any] = msgspec.to_builtins(value)
    return builtins
