"""Other pins without an update of the app: signed by a key whose private half no server has.

An update is text: `unb_pins_`, the base64url of its JSON, a dot, the base64url of an Ed25519 signature. Where it comes
from does not matter; what makes it count is the signature, the host it names, its number and its dates.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from unbroken.sdk.errors import SdkError
from unbroken.sdk.pins import KEY_PREFIX, PINS_MIN, Pins, is_pin, read_update_key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PREFIX: Final = "unb_pins_"
_SIGNED_AS: Final = b"unbroken pin update 1\n"
"""Before what is signed, so that a signature made for anything else is none."""


class PinUpdateIssue(Enum):
    """Why an update of the pins was refused; nothing has changed then."""

    NO_UPDATE_KEY = "NO_UPDATE_KEY"
    MALFORMED = "MALFORMED"
    FORGED = "FORGED"
    OTHER_HOST = "OTHER_HOST"
    NOT_NEWER = "NOT_NEWER"
    NOT_YET = "NOT_YET"
    EXPIRED = "EXPIRED"
    TOO_FEW_PINS = "TOO_FEW_PINS"


class PinUpdateRefused(SdkError):
    """An update of the pins was refused; `issue` says why."""

    def __init__(self, issue: PinUpdateIssue, details: str) -> None:
        super().__init__(f"{issue.value}: {details}")
        self.issue = issue


class PinUpdate(Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed.

    Args:
        number: greater than that of whatever it replaces.
        host: whose pins they are.
        pins: at least two.
        not_before_ms: it is refused before (epoch milliseconds).
        not_after_ms: it is refused from then on, and its pins expire then; those of an app whose pins never do hold on.
    """

    number: int
    host: str
    pins: tuple[str, ...]
    not_before_ms: int
    not_after_ms: int


def sign_update(update: PinUpdate, key: Ed25519PrivateKey) -> str:
    """The update as text."""
    body = msgspec.json.encode(update)
    return f"{PREFIX}{_to_text(body)}.{_to_text(key.sign(_SIGNED_AS + body))}"


def update_key_of(key: Ed25519PrivateKey) -> str:
    """What `Pins.update_key` is for updates that this key signs."""
    return KEY_PREFIX + base64.b64encode(key.public_key().public_bytes_raw()).decode()


def accept_update(text: str, built_in: Pins | None, accepted: str | None, host: str, now_ms: int) -> None:
    """Refuse an update that is not to be kept.

    Args:
        text: what came.
        built_in: the pins the app was made with.
        accepted: the update that was kept last.
        host: whose pins they are.
        now_ms: the device's time.

    Raises:
        PinUpdateRefused: with the issue.
    """
    if built_in is None or built_in.update_key is None:
        raise PinUpdateRefused(PinUpdateIssue.NO_UPDATE_KEY, "this app has no key for updates of its pins")
    update = read_update(text, built_in.update_key)
    number = pins_in_force(built_in, accepted, host).number
    issue = _issue_of(update, host, number, now_ms)
    if issue is not None:
        raise PinUpdateRefused(issue, f"{update}, for {host}, after number {number}, at {now_ms}")


def pins_in_force(built_in: Pins, accepted: str | None, host: str) -> Pins:
    """The pins of the update that was kept, or the built-in ones where they are as new: the app was updated meanwhile.

    An update that this app's key has not signed counts for nothing.
    """
    if accepted is None or built_in.update_key is None:
        return built_in
    try:
        update = read_update(accepted, built_in.update_key)
    except PinUpdateRefused:
        return built_in
    if update.host != host or update.number <= built_in.number:
        return built_in
    expires_at_ms = None if built_in.expires_at_ms is None else update.not_after_ms
    return replace(built_in, keys=update.pins, number=update.number, expires_at_ms=expires_at_ms)


@functools.lru_cache(maxsize=4)  # asked at every handshake
def read_update(text: str, update_key: str) -> PinUpdate:
    """What an update says.

    Raises:
        PinUpdateRefused: MALFORMED, FORGED, TOO_FEW_PINS.
    """
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - an extra

    body, signature = _parts_of(text)
    try:
        Ed25519PublicKey.from_public_bytes(read_update_key(update_key)).verify(signature, _SIGNED_AS + body)
    except InvalidSignature:
        raise PinUpdateRefused(PinUpdateIssue.FORGED, "the signature is not of this app's key for updates") from None
    try:
        update = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise PinUpdateRefused(PinUpdateIssue.MALFORMED, str(error)) from None
    if not all(map(is_pin, update.pins)):
        raise PinUpdateRefused(PinUpdateIssue.MALFORMED, "a pin is not of the form")
    if len(set(update.pins)) < PINS_MIN:
        raise PinUpdateRefused(PinUpdateIssue.TOO_FEW_PINS, "at least two pins")
    return update


def _issue_of(update: PinUpdate, host: str, number: int, now_ms: int) -> PinUpdateIssue | None:
    if update.host != host:
        return PinUpdateIssue.OTHER_HOST
    if update.number <= number:
        return PinUpdateIssue.NOT_NEWER
    if now_ms < update.not_before_ms:
        return PinUpdateIssue.NOT_YET
    return PinUpdateIssue.EXPIRED if now_ms >= update.not_after_ms else None


def _parts_of(text: str) -> tuple[bytes, bytes]:
    body, dot, signature = text.removeprefix(PREFIX).partition(".")
    if not (text.startswith(PREFIX) and dot):
        raise PinUpdateRefused(PinUpdateIssue.MALFORMED, f"not {PREFIX}, two parts and a dot between them")
    try:
        return _from_text(body), _from_text(signature)
    except ValueError:
        raise PinUpdateRefused(PinUpdateIssue.MALFORMED, "not base64url") from None


def _to_text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _from_text(text: str) -> bytes:
    content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _to_text(content) != text:
        raise ValueError("another text of the same bytes")
    return content


_DECODER: Final = msgspec.json.Decoder(PinUpdate)
