"""Unseal: an archive is read line by line, each checked for itself, and the whole by its seal at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct

from unbroken import wire
from unbroken.domain.errors import InvalidRequest
from unbroken.flow import archive

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_MAX_BYTES: Final = 32 << 20
"""Above what the largest upload needs (8 MiB of JSON, or of its base64)."""

_DECODER: Final = msgspec.json.Decoder(archive.AnyLine)
_RANK: Final = {kind: rank for rank, kinds in enumerate(archive.ORDER) for kind in kinds}


class File(Protocol):
    """What an archive is read from: binary, in one pass."""

    def readline(self, limit: int, /) -> bytes:
        """The next line with its end, or `limit` bytes of it; nothing at the end."""
        ...


class Numbered(Struct, frozen=True):
    """A line that was read: its number, from 1, and its bytes."""

    number: int
    text: bytes
    line: archive.AnyLine


def read(file: File) -> Iterator[Numbered]:
    """Every line but the seal, each checked for itself, and the whole by the seal once all were read.

    Raises:
        InvalidRequest: with the number of the line; after it nothing of the file is worth anything.
    """
    seal, number, rank = archive.Seal(), 0, 0
    while True:
        number += 1
        text = file.readline(LINE_MAX_BYTES)
        line = _line(text, number)
        if (number == 1) != isinstance(line, archive.Header) or _RANK[type(line)] < rank:
            raise refused(number, f"A line of kind {archive.kind_of(text)!r} cannot stand here.")
        rank = _RANK[type(line)]
        if isinstance(line, archive.End):
            _check_seal(file, number, line, seal)
            return
        seal.add(text)
        yield Numbered(number, text, line)


def _line(text: bytes, number: int) -> archive.AnyLine:
    if not text:
        raise refused(number, "The file ends before its last line: it was cut off.")
    if not text.endswith(b"\n"):
        raise refused(number, "The line has no end: the file was cut off, or is none of ours.")
    if number == 1:
        _check_format(text)
    try:
        line: archive.AnyLine = _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refused(number, f"The line is not as it was written: {error}.") from None
    return line


class _Format(Struct):
    format: int


def _check_format(text: bytes) -> None:
    """Asked before all else: another format may have other members."""
    try:
        told = wire.decode(text, _Format).format
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise refused(1, "This is no archive of a person.") from None
    if told != archive.FORMAT:
        raise refused(1, f"The archive is of format {told}, and this release reads format {archive.FORMAT}.")


def _check_seal(file: File, number: int, told: archive.End, seal: archive.Seal) -> None:
    counted = seal.end()
    if told.lines != counted.lines:
        raise refused(number, f"The seal speaks of {told.lines} lines, and there are {counted.lines}.")
    if told.sha256 != counted.sha256:
        raise refused(number, "The checksum is another: a line before this one was changed.")
    if file.readline(1):
        raise refused(number + 1, "Something follows the last line.")


def refused(number: int, why: str) -> InvalidRequest:
    """The refusal of a file, for one of its lines."""
    return InvalidRequest(f"Line {number}: {why}", details=((f"line {number}", why),))
