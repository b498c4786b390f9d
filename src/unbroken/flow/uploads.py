"""Uploads as they came and as they are read: one JSON body of up to 32 payloads, taken whole, judged item by item.

An upload is checked when it is taken, kept as it came, and read again whenever a timeline is computed. What was not
valid then is left out then and ever after, so the same rules stand here once for both.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import zstandard
from msgspec import Meta, Raw, Struct

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, TooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator


class LoosePayload(Struct):
    """A payload of which each item is looked at alone."""

    payload_id: str
    items: list[Raw]


class LooseUpload(Struct):
    """An upload with such payloads."""

    sent_at: wire.Instant
    payloads: list[LoosePayload]


_STRICT: Final = msgspec.json.Decoder(wire.Upload)
_LOOSE: Final = msgspec.json.Decoder(LooseUpload)
_ITEM: Final = msgspec.json.Decoder(wire.Item)
_HEX: Final = "[0-9a-fA-F]"
_UUID: Final = re.compile(rf"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}")


class _PlainLocation(wire.Location, frozen=True, forbid_unknown_fields=True):
    pass


class _PlainActivity(wire.Activity, frozen=True, forbid_unknown_fields=True):
    pass


class _PlainPayload(Struct, forbid_unknown_fields=True):
    payload_id: Annotated[str, Meta(pattern=rf"^{_UUID.pattern}\Z")]
    items: Annotated[list[_PlainLocation | _PlainActivity], Meta(max_length=wire.ITEMS_MAX)]


class _PlainUpload(Struct, forbid_unknown_fields=True):
    sent_at: wire.Instant
    payloads: Annotated[list[_PlainPayload], Meta(min_length=1, max_length=wire.PAYLOADS_MAX)]


_PLAIN: Final = msgspec.json.Decoder(_PlainUpload)
_REASON_MAX: Final = 300
"""Characters of a reason that an item or an upload is told to be invalid for."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An upload that may be kept: the device's clock at sending, and per payload its id and what is not valid in it."""

    sent_at: int
    results: list[wire.PayloadResult]


def take_plain(body: bytes) -> Taken | None:
    """Check an upload as nearly all are, in one pass: all of it valid, no custom data, no member that is not known.

    Returns:
        None where it is otherwise, which `take` judges. In a plain one nothing can be nested too deeply.
    """
    try:
        upload = _PLAIN.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    results = [wire.PayloadResult(payload.payload_id, "stored", []) for payload in upload.payloads]
    return Taken(upload.sent_at, results)


def take(body: bytes) -> Taken:
    """Check an upload.

    Raises:
        InvalidRequest: it is not of the contract's form.
        TooLarge: too many payloads, or too many items in one.
    """
    _refuse_other_than_utf8(body)
    try:
        upload = _STRICT.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _take_loosely(body)
    for payload in upload.payloads:
        for item in payload.items:
            if type(item) is wire.Custom and reason_against(item) is not None:
                return _take_loosely(body)
    _check_sizes([len(payload.items) for payload in upload.payloads])
    results = [wire.PayloadResult(_payload_id(payload.payload_id), "stored", []) for payload in upload.payloads]
    return Taken(upload.sent_at, results)


def _refuse_other_than_utf8(body: bytes) -> None:
    """Members that nobody knows are kept and told as they came, and the decoder does not look into them."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 (byte {error.start}).") from None


def _take_loosely(body: bytes) -> Taken:
    """Item by item: one that is not valid is refused alone."""
    upload = _decode_loosely(body)
    _check_sizes([len(payload.items) for payload in upload.payloads])
    results = [
        wire.PayloadResult(_payload_id(payload.payload_id), "stored", list(_invalid(payload.items)))
        for payload in upload.payloads
    ]
    return Taken(upload.sent_at, results)


def _decode_loosely(body: bytes) -> LooseUpload:
    try:
        return _LOOSE.decode(body)
    except RecursionError:
        raise TooLarge("The body is nested too deeply.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message, _, path = str(error).partition(" - at `")
        raise InvalidRequest(
            details=((path.rstrip("`").removeprefix("$").removeprefix("."), _short(message)),)
        ) from None


def _invalid(items: list[Raw]) -> Iterator[wire.InvalidItem]:
    for index, raw in enumerate(items):
        item = item_of(raw)
        if isinstance(item, str):
            yield wire.InvalidItem(index, item)


def item_of(raw: Raw | bytes) -> wire.Item | str:
    """An item, or the reason why it is none."""
    try:
        item = _ITEM.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _short(str(error))
    except RecursionError:
        return "the item is nested too deeply"
    return reason_against(item) or item


def _short(message: str) -> str:
    """What a decoder says, which may quote a value of any length."""
    return message if len(message) <= _REASON_MAX else f"{message[: _REASON_MAX - 1]}…"


def reason_against(item: wire.Item) -> str | None:
    """What the types do not check: the size of custom data."""
    if isinstance(item, wire.Custom) and len(wire.encode(item.data)) > wire.CUSTOM_DATA_MAX_BYTES:
        return f"Custom data may have {wire.CUSTOM_DATA_MAX_BYTES} bytes."
    return None


def _check_sizes(items: list[int]) -> None:
    if not items:
        raise InvalidRequest(details=(("payloads", "An upload carries at least one payload."),))
    if len(items) > wire.PAYLOADS_MAX:
        raise TooLarge(f"An upload carries at most {wire.PAYLOADS_MAX} payloads.")
    if max(items) > wire.ITEMS_MAX:
        raise TooLarge(f"A payload carries at most {wire.ITEMS_MAX} items.")


def _payload_id(text: str) -> str:
    if _UUID.fullmatch(text) is None:
        raise InvalidRequest(details=(("payloads[...].payload_id", "A payload id is a UUID."),))
    return text


# Keeping and reading again


class _Zstd(threading.local):
    """One of each for each thread: they are not to be shared, and dear to make."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=1)
        self.decompressor = zstandard.ZstdDecompressor()


_ZSTD: Final = _Zstd()


def compress(body: bytes) -> bytes:
    """The body as it is kept."""
    return _ZSTD.compressor.compress(body)


def decompress(kept: bytes) -> bytes:
    """The body as it came; a client's own compression may not tell the size."""
    return _ZSTD.decompressor.decompressobj().decompress(kept)


@dataclass(frozen=True, slots=True)
class KeptItem:
    """A valid item of a kept upload: decoded, as it came, and as what makes it equal to its copies."""

    item: wire.Item
    raw: bytes
    identity: bytes
    payload_id: str


class _Instant(Struct):
    t: wire.Instant


class _TimedPayload(Struct):
    items: list[_Instant]


class _TimedUpload(Struct):
    sent_at: int
    payloads: list[_TimedPayload]


_TIMED: Final = msgspec.json.Decoder(_TimedUpload)


def times_of(kept: bytes) -> tuple[int, int, int]:
    """When an upload was sent, and bounds of the capture times in it, all by the device's clock.

    The bounds hold every valid item; where all items have a readable time they hold the others too.
    """
    body = decompress(kept)
    try:
        upload = _TIMED.decode(body)
        times = [item.t for payload in upload.payloads for item in payload.items]
    except msgspec.MsgspecError:  # some item is not valid: only the valid ones have a time
        times = [item.item.t for item in items_of(kept)]
    sent_at = _LOOSE.decode(body).sent_at
    return sent_at, min(times, default=sent_at), max(times, default=sent_at)


def reopen(kept: bytes) -> LooseUpload:
    """A kept upload, which was taken once."""
    return _LOOSE.decode(decompress(kept))


def items_of(kept: bytes) -> Iterator[KeptItem]:
    """The valid items of a kept upload, in the order they came in."""
    for payload in reopen(kept).payloads:
        for raw in payload.items:
            item = item_of(raw)
            if not isinstance(item, str):
                yield KeptItem(item, bytes(raw), identity_of(item), payload.payload_id)


def identity_of(item: wire.Item) -> bytes:
    """Equal for items that are equal in every field, whatever the order of their members."""
    content = msgspec.to_builtins(item) if isinstance(item, wire.Custom) else item
    return msgspec.json.encode(content, order="sorted")
