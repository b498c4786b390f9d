"""What Google's verdict of Play Integrity must say, whichever way it was decoded.

The members are those of https://developer.android.com/google/play/integrity/verdicts. What is missing, or was not
evaluated, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from unbroken import wire
from unbroken.backend.attestation.jose import from_base64url
from unbroken.backend.attestation.proof import Level
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.backend.attestation.signed_apps import package_names, signer_digests
from unbroken.backend.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from unbroken.backend.attestation.binding import Binding

OLDEST_MS: Final = 300_000
NEWEST_MS: Final = 30_000

_LEVELS: Final = {
    "MEETS_STRONG_INTEGRITY": Level.PLAY_STRONG,
    "MEETS_DEVICE_INTEGRITY": Level.PLAY_DEVICE,
    "MEETS_BASIC_INTEGRITY": Level.PLAY_BASIC,
}
"""Labels of devices, the strongest first."""

_RANKS: Final = {level: rank for rank, level in enumerate(reversed(_LEVELS.values()))}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayRules:
    """Which verdicts count.

    Args:
        packages: names of the app's packages.
        signers: SHA-256 of the certificates they are signed with.
        level_min: the weakest device: `play_basic`, `play_device` or `play_strong`.
        is_side_loading_allowed: whether a version that Google Play does not know counts, if its signer is listed.
        is_licence_required: whether the account must have got the app from Google Play.
        version_min: the oldest version code. None takes any.
        are_test_responses_allowed: whether verdicts count that the Play Console was told to give to testers.

    Raises:
        ValueError: a rule that no app, or any app, would meet.
    """

    packages: AbstractSet[str]
    signers: AbstractSet[bytes]
    level_min: Level = Level.PLAY_DEVICE
    is_side_loading_allowed: bool = False
    is_licence_required: bool = False
    version_min: int | None = None
    are_test_responses_allowed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "packages", package_names(self.packages))
        object.__setattr__(self, "signers", signer_digests(self.signers))
        if self.level_min not in _RANKS:
            raise ValueError(f"{self.level_min} is no level of Play Integrity")


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Request(_Part, frozen=True):
    """`requestDetails`. The time is a number in a string, as in every 64-bit number of Google's."""

    request_package_name: str = ""
    nonce: str | None = None
    request_hash: str | None = None
    timestamp_millis: str | int = ""


class App(_Part, frozen=True):
    """`appIntegrity`."""

    app_recognition_verdict: str = ""
    package_name: str = ""
    certificate_sha256_digest: tuple[str, ...] = msgspec.field(name="certificateSha256Digest", default=())
    version_code: str | int = ""


class Device(_Part, frozen=True):
    """`deviceIntegrity`."""

    device_recognition_verdict: tuple[str, ...] = ()


class Account(_Part, frozen=True):
    """`accountDetails`."""

    app_licensing_verdict: str = ""


class Testing(_Part, frozen=True):
    """`testingDetails`."""

    is_testing_response: bool = False


class Verdict(_Part, frozen=True):
    """The payload of a token."""

    request_details: Request = Request()
    app_integrity: App = App()
    device_integrity: Device = Device()
    account_details: Account = Account()
    testing_details: Testing = Testing()


def read_verdict(payload: bytes) -> Verdict:
    """The payload of a token; raises `Refused`, `malformed`."""
    try:
        return wire.convert(read_strict_json(payload), Verdict)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
        raise Refused(Reason.MALFORMED, f"verdict: {error}") from None


def judge(verdict: Verdict, bound_to: str | None, binding: Binding, rules: PlayRules, now_ms: int) -> Level:
    """How much a verdict proves.

    Args:
        bound_to: its nonce or request hash, by the kind of request.

    Raises:
        Refused: nothing.
    """
    _require_request(verdict.request_details, bound_to, binding, rules, now_ms)
    if verdict.testing_details.is_testing_response and not rules.are_test_responses_allowed:
        raise Refused(Reason.TEST_RESPONSE, "the Play Console was told to give this verdict")
    _require_app(verdict.app_integrity, rules)
    level = _level_of(verdict.device_integrity, rules)
    if rules.is_licence_required and verdict.account_details.app_licensing_verdict != "LICENSED":
        raise Refused(Reason.NOT_LICENSED, verdict.account_details.app_licensing_verdict)
    version = _number(verdict.app_integrity.version_code)
    if rules.version_min is not None and (version is None or version < rules.version_min):
        raise Refused(Reason.VERSION_TOO_OLD, f"version {version}")
    return level


def _require_request(request: Request, bound_to: str | None, binding: Binding, rules: PlayRules, now_ms: int) -> None:
    if request.request_package_name not in rules.packages:
        raise Refused(Reason.WRONG_APP, f"asked for by {request.request_package_name!r}")
    if bound_to is None or not binding.is_said_by(bound_to):
        raise Refused(Reason.BINDING_MISMATCH, "the token was asked for with another nonce or hash")
    asked_at_ms = _number(request.timestamp_millis)
    if asked_at_ms is None or asked_at_ms < now_ms - OLDEST_MS:
        raise Refused(Reason.TOO_OLD, f"asked for at {asked_at_ms}")
    if asked_at_ms > now_ms + NEWEST_MS:
        raise Refused(Reason.FROM_THE_FUTURE, f"asked for at {asked_at_ms}")


def _require_app(app: App, rules: PlayRules) -> None:
    """The verdict before the name: Google leaves the name out where it did not evaluate the app."""
    recognized = {"PLAY_RECOGNIZED"} | ({"UNRECOGNIZED_VERSION"} if rules.is_side_loading_allowed else set())
    if app.app_recognition_verdict not in recognized:
        raise Refused(Reason.APP_NOT_RECOGNIZED, app.app_recognition_verdict)
    if app.package_name not in rules.packages:
        raise Refused(Reason.WRONG_APP, f"it is {app.package_name!r}")
    signers = {from_base64url(digest.rstrip("=")) for digest in app.certificate_sha256_digest}
    if not signers or not signers <= rules.signers:
        raise Refused(Reason.WRONG_SIGNER, " ".join(app.certificate_sha256_digest))


def _level_of(device: Device, rules: PlayRules) -> Level:
    """The strongest level that a label stands for; labels of no level (emulators have their own) count nothing."""
    for label, level in _LEVELS.items():
        if label in device.device_recognition_verdict and _RANKS[level] >= _RANKS[rules.level_min]:
            return level
    raise Refused(Reason.DEVICE_NOT_RECOGNIZED, " ".join(device.device_recognition_verdict))


def _number(value: str | int) -> int | None:
    if isinstance(value, int):
        return value
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None
