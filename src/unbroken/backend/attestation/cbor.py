"""CBOR, read strictly: the part of RFC 8949 that App Attest uses, in its one shortest encoding, or `Refused`.

Whole numbers, byte strings, text, arrays and maps of definite length. No tags, floats or simple values; no map key
twice; at most four levels; nothing left over.
"""

from __future__ import annotations

from typing import Final

from unbroken.backend.attestation.refused import Reason, Refused

DEPTH_MAX: Final = 4

Value = int | bytes | str | list["Value"] | dict["int | str", "Value"]

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP = range(6)


def read(data: bytes) -> Value:
    """The one value that `data` is.

    Raises:
        Refused: `malformed`; it is not one in the form above, or there is more.
    """
    value, end = _value_at(data, 0, DEPTH_MAX)
    if end != len(data):
        raise _unreadable("bytes after the end")
    return value


def _value_at(data: bytes, at: int, levels: int) -> tuple[Value, int]:
    major, argument, at = _head_at(data, at)
    if major == _UNSIGNED:
        return argument, at
    if major == _NEGATIVE:
        return -1 - argument, at
    if major in {_BYTES, _TEXT}:
        return _string_at(data, at, argument, is_text=major == _TEXT)
    if levels == 0:
        raise _unreadable("too deep")
    if major == _ARRAY:
        return _array_at(data, at, argument, levels - 1)
    if major == _MAP:
        return _map_at(data, at, argument, levels - 1)
    raise _unreadable("a tag, float or simple value")


def _head_at(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, and where what follows begins."""
    if at >= len(data):
        raise _unreadable("cut off")
    major, short, at = data[at] >> 5, data[at] & 0x1F, at + 1
    if short < 24:
        return major, short, at
    if short > 27:
        raise _unreadable("an indefinite or reserved length")
    size = 1 << short - 24
    argument = int.from_bytes(data[at : at + size], "big")
    if at + size > len(data) or argument < (24 if size == 1 else 1 << 4 * size):
        raise _unreadable("a head that is cut off, or longer than it needs to be")
    return major, argument, at + size


def _string_at(data: bytes, at: int, size: int, *, is_text: bool) -> tuple[bytes | str, int]:
    end = at + size
    if end > len(data):
        raise _unreadable("cut off")
    if not is_text:
        return data[at:end], end
    try:
        return data[at:end].decode(), end
    except UnicodeDecodeError:
        raise _unreadable("text that is not UTF-8") from None


def _array_at(data: bytes, at: int, count: int, levels: int) -> tuple[list[Value], int]:
    values = []
    for _ in range(count):
        value, at = _value_at(data, at, levels)
        values.append(value)
    return values, at


def _map_at(data: bytes, at: int, count: int, levels: int) -> tuple[dict[int | str, Value], int]:
    entries: dict[int | str, Value] = {}
    for _ in range(count):
        key, at = _value_at(data, at, 0)
        if isinstance(key, bytes | list | dict) or key in entries:
            raise _unreadable("a map key that is no number or text, or is there twice")
        entries[key], at = _value_at(data, at, levels)
    return entries, at


def _unreadable(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, f"CBOR: {detail}")
