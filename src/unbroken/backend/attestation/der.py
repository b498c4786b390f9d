"""DER, read strictly: one encoding for one value, or `Refused`. For extensions; certificates are cryptography's.

The rules are those of X.690, chapters 8, 10 and 11: definite lengths in the fewest bytes, tag numbers and integers in
the fewest bytes, booleans that are 00 or FF, nothing left over.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from unbroken.backend.attestation.refused import Reason, Refused

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT: Final = 0xA0

_HIGH_NUMBER: Final = 0x1F
_NUMBER_MAX: Final = 1 << 21
_INTEGER_MAX_BYTES: Final = 9


class Element(NamedTuple):
    """One element.

    Args:
        identifier: the first byte: class, form, and the number if it is below 31.
        number: the number of the tag.
        content: without the header.
    """

    identifier: int
    number: int
    content: bytes


def read_element(data: bytes) -> Element:
    """The one element that `data` is.

    Raises:
        Refused: `malformed`; it is not one, or there is more.
    """
    element, end = _element_at(data, 0)
    if end != len(data):
        raise _unreadable("bytes after the end")
    return element


def read_elements(content: bytes) -> list[Element]:
    """All elements in the content of a SEQUENCE or SET; raises `Refused` as above."""
    elements, at = [], 0
    while at < len(content):
        element, at = _element_at(content, at)
        elements.append(element)
    return elements


def content_of(element: Element, identifier: int) -> bytes:
    """The content, if the element has this identifier; raises `Refused` as above."""
    if element.identifier != identifier:
        raise _unreadable(f"tag {element.identifier:#04x} in place of {identifier:#04x}")
    return element.content


def members_of(element: Element, identifier: int = SEQUENCE) -> list[Element]:
    """The elements in a SEQUENCE or SET; raises `Refused` as above."""
    return read_elements(content_of(element, identifier))


def integer_of(element: Element, identifier: int = INTEGER) -> int:
    """A number of at most 64 bits without a sign, or a negative one; raises `Refused` as above."""
    content = content_of(element, identifier)
    if not 0 < len(content) <= _INTEGER_MAX_BYTES:
        raise _unreadable("an integer without bytes, or with too many")
    if len(content) > 1 and content[0] == (0xFF if content[1] & 0x80 else 0x00):
        raise _unreadable("an integer in more bytes than it needs")
    return int.from_bytes(content, "big", signed=True)


def boolean_of(element: Element) -> bool:
    """True or false; raises `Refused` as above."""
    content = content_of(element, BOOLEAN)
    if content not in {b"\x00", b"\xff"}:
        raise _unreadable("a boolean that is neither")
    return content == b"\xff"


def _element_at(data: bytes, at: int) -> tuple[Element, int]:
    identifier, at = _byte_at(data, at)
    number = identifier & _HIGH_NUMBER
    if number == _HIGH_NUMBER:
        number, at = _high_number_at(data, at)
    length, at = _length_at(data, at)
    if length > len(data) - at:
        raise _unreadable("longer than what holds it")
    return Element(identifier, number, data[at : at + length]), at + length


def _high_number_at(data: bytes, at: int) -> tuple[int, int]:
    """A tag number of 31 or more: seven bits a byte, the last without the top bit."""
    byte, at = _byte_at(data, at)
    number = byte & 0x7F
    while byte & 0x80 and 0 < number < _NUMBER_MAX:
        byte, at = _byte_at(data, at)
        number = number << 7 | byte & 0x7F
    if byte & 0x80 or number < _HIGH_NUMBER:
        raise _unreadable("a tag number that is too large, or in more bytes than it needs")
    return number, at


def _length_at(data: bytes, at: int) -> tuple[int, int]:
    first, at = _byte_at(data, at)
    if first < 0x80:
        return first, at
    size = first & 0x7F
    length = int.from_bytes(data[at : at + size], "big")
    if length < 0x80 or length >> 8 * (size - 1) == 0:
        raise _unreadable("a length that is indefinite, cut, or in more bytes than it needs")
    return length, at + size


def _byte_at(data: bytes, at: int) -> tuple[int, int]:
    if at >= len(data):
        raise _unreadable("cut off")
    return data[at], at + 1


def _unreadable(detail: str) -> Refused:
    return Refused(Reason.MALFORMED, f"DER: {detail}")
