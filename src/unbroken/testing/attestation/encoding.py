"""DER and CBOR, written: the little that fake authorities need. Nothing is checked, so that faults can be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.backend.attestation import der

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIGH = 0x1F


def element(identifier: int, content: bytes) -> bytes:
    """One element of DER with a tag number below 31."""
    return bytes([identifier]) + _length(len(content)) + content


def integer(value: int, identifier: int = der.INTEGER) -> bytes:
    """A number in the fewest bytes."""
    size = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return element(identifier, value.to_bytes(size, "big", signed=True))


def boolean(value: bool) -> bytes:
    """True or false."""
    return element(der.BOOLEAN, b"\xff" if value else b"\x00")


def octets(value: bytes) -> bytes:
    """An OCTET STRING."""
    return element(der.OCTET_STRING, value)


def sequence(members: Iterable[bytes], identifier: int = der.SEQUENCE) -> bytes:
    """A SEQUENCE, or a SET in the order given."""
    return element(identifier, b"".join(members))


def tagged(number: int, content: bytes) -> bytes:
    """An explicit context tag of any number."""
    if number < _HIGH:
        return element(der.CONTEXT | number, content)
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes([der.CONTEXT | _HIGH, *reversed(groups)]) + _length(len(content)) + content


def cbor(value: Any) -> bytes:
    """Numbers, bytes, text, lists and dicts as CBOR, each in its shortest form."""
    match value:
        case int():
            return _head(0, value) if value >= 0 else _head(1, -1 - value)
        case bytes():
            return _head(2, len(value)) + value
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list():
            return _head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            return _head(5, len(value)) + b"".join(cbor(key) + cbor(entry) for key, entry in value.items())
    raise TypeError(f"no CBOR for {type(value).__name__}")


def _length(size: int) -> bytes:
    if size < 0x80:
        return bytes([size])
    content = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(content)]) + content


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    power = next(power for power in range(4) if argument < 1 << (8 << power))
    return bytes([major << 5 | 24 + power]) + argument.to_bytes(1 << power, "big")
