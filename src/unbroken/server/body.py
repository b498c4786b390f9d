"""Reading a request body within the limits of http-api.md: its size on the wire, its encoding, its size unpacked.

Nothing is unpacked further than the limit, so that a small body cannot become a large one in memory.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import zstandard

from unbroken.domain.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from unbroken.wire import BODY_MAX_ANONYMOUS_BYTES, BODY_MAX_BYTES, BODY_MAX_DECOMPRESSED_BYTES

if TYPE_CHECKING:
    from unbroken.server.reply import Receive

_WINDOW_MAX_BYTES: Final = 8 << 20  # RFC 9659: what a receiver of Content-Encoding zstd must be able to hold
_UNZSTD: Final = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX_BYTES)  # used on the loop's thread only
_RLE_BLOCK: Final = 1
_CHECKSUM_BYTES: Final = 4
_GZIP: Final = 16 + zlib.MAX_WBITS
_TOO_LARGE: Final = "The body is larger than 1 MiB."
_TOO_LARGE_UNPACKED: Final = "The body is larger than 8 MiB when decompressed."
_GZIP_MEMBERS_MAX: Final = 256  # block gzip makes 128 of 8 MiB; each costs a pass over those behind it
_ENCODINGS: Final = frozenset({b"", b"identity", b"zstd", b"gzip", b"x-gzip"})
_JSON_TYPES: Final = frozenset({b"application/json", b"application/json;charset=utf-8"})


class Disconnected(Exception):
    """The caller went away before its request was whole; nobody waits for a reply."""


async def read_body(receive: Receive, length: bytes) -> bytes:
    """The body as it came.

    `length` is what Content-Length says, empty where it is absent.

    Raises:
        TooLarge: over 1 MiB, said by Content-Length or counted; the rest is not read.
        Disconnected: the caller went away.
    """
    check_length(length)
    message = await receive()
    if message["type"] != "http.request":
        raise Disconnected
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        _check_size(body)
        return body
    return await _read_rest(receive, bytearray(message.get("body", b"")))


async def _read_rest(receive: Receive, body: bytearray) -> bytes:
    more = True
    while more:
        _check_size(body)
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
    _check_size(body)
    return bytes(body)


def _check_size(body: bytes | bytearray) -> None:
    if len(body) > BODY_MAX_BYTES:
        raise TooLarge(_TOO_LARGE)


def check_length(length: bytes) -> None:
    """Refuse a body that is too large by its Content-Length, which is empty where it is absent.

    Raises:
        TooLarge: over 1 MiB.
        InvalidRequest: it is not a number.
    """
    if length and declared_bytes(length) > BODY_MAX_BYTES:
        raise TooLarge(_TOO_LARGE)


def declared_bytes(length: bytes) -> int:
    """What Content-Length says.

    Raises:
        InvalidRequest: it is not a number.
    """
    if not length.isdigit() or len(length) > 18:
        raise InvalidRequest("Content-Length is not a number.")
    return int(length)


def check_media_type(content_type: bytes) -> None:
    """Refuse what is not JSON in UTF-8; an absent type is taken as JSON.

    Raises:
        UnsupportedMediaType: another type, or another charset.
    """
    if not content_type or content_type in _JSON_TYPES:
        return
    kind, *parameters = content_type.lower().split(b";")
    if kind.strip() != b"application/json":
        raise UnsupportedMediaType("The body must be JSON.", hint="Send Content-Type: application/json.")
    for parameter in parameters:
        name, _, value = parameter.strip().partition(b"=")
        if name.strip() == b"charset" and value.strip().strip(b'"') not in {b"utf-8", b"utf8"}:
            raise UnsupportedMediaType("The body must be JSON in UTF-8.")


def check_encoding(encoding: bytes) -> None:
    """Refuse an encoding that cannot be undone, before the body is read.

    Raises:
        UnsupportedMediaType: other than gzip, zstd, identity.
    """
    if encoding.strip().lower() not in _ENCODINGS:
        raise UnsupportedMediaType(
            "This Content-Encoding is not known.", hint="Send gzip, zstd, or no Content-Encoding."
        )


def unpack(body: bytes, encoding: bytes) -> bytes:
    """The body without its content encoding.

    Raises:
        TooLarge: more than 8 MiB would come out.
        InvalidRequest: it is not what the header says.
    """
    match encoding.strip().lower():
        case b"zstd":
            return _unpack_zstd(body)
        case b"gzip" | b"x-gzip":
            return _unpack_gzip(body)
        case _:
            return body


def check_anonymous(body: bytes) -> None:
    """Refuse what nobody with a credential sends: reading 8 MiB of any JSON costs the other callers seconds.

    Raises:
        TooLarge: over 64 KiB, decompressed.
    """
    if len(body) > BODY_MAX_ANONYMOUS_BYTES:
        raise TooLarge("The body is larger than 64 KiB, which is for callers with an Authorization header.")


def can_be_kept(body: bytes, encoding: bytes) -> bool:
    """Whether a body that was unpacked without error came as one zstd frame that tells its size."""
    return encoding.strip().lower() == b"zstd" and zstandard.frame_content_size(body) > 0


def _unpack_zstd(body: bytes) -> bytes:
    try:
        if zstandard.frame_content_size(body) > BODY_MAX_DECOMPRESSED_BYTES:
            raise TooLarge(_TOO_LARGE_UNPACKED)
        unpacked: bytes = _UNZSTD.decompress(body, BODY_MAX_DECOMPRESSED_BYTES, allow_extra_data=False)
    except zstandard.ZstdError as error:
        if _overflows(body):
            raise TooLarge(_TOO_LARGE_UNPACKED) from error
        raise InvalidRequest("The body is not valid zstd.") from error
    if zstandard.frame_content_size(body) < 0 and _frame_bytes(body) != len(body):
        raise InvalidRequest("Something follows the zstd frame of the body.")
    return unpacked


def _frame_bytes(body: bytes) -> int:
    """How long a valid zstd frame is (RFC 8878, 3.1.1); behind one that tells no size the library does not look."""
    at, is_last = zstandard.frame_header_size(body), False
    while not is_last:
        header = int.from_bytes(body[at : at + 3], "little")
        is_last = bool(header & 1)
        at += 3 + (1 if header >> 1 & 3 == _RLE_BLOCK else header >> 3)
    return at + (_CHECKSUM_BYTES if zstandard.get_frame_parameters(body).has_checksum else 0)


def _overflows(body: bytes) -> bool:
    """Whether a zstd frame that does not tell its size is one that is too large, and not merely broken."""
    try:
        return len(_UNZSTD.stream_reader(body).read(BODY_MAX_DECOMPRESSED_BYTES + 1)) > BODY_MAX_DECOMPRESSED_BYTES
    except zstandard.ZstdError:
        return False


def _unpack_gzip(body: bytes) -> bytes:
    """All members of a gzip body; RFC 1952 allows several."""
    whole = bytearray()
    members = 0
    while body:
        members += 1
        if members > _GZIP_MEMBERS_MAX:
            raise TooLarge(f"The gzip body has more than {_GZIP_MEMBERS_MAX} members.")
        member = zlib.decompressobj(_GZIP)
        try:
            whole += member.decompress(body, BODY_MAX_DECOMPRESSED_BYTES + 1 - len(whole))
        except zlib.error as error:
            raise InvalidRequest("The body is not valid gzip.") from error
        if len(whole) > BODY_MAX_DECOMPRESSED_BYTES:
            raise TooLarge(_TOO_LARGE_UNPACKED)
        if not member.eof:
            raise InvalidRequest("The gzip body ends too early.")
        body = member.unused_data
    return bytes(whole)
