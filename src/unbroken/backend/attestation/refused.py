"""Why a proof was refused: one exception with a closed set of reasons. Nothing else leaves a verifier or a reader."""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final

_DETAIL_MAX: Final = 300


@unique
class Reason(StrEnum):
    """Stable: alerts and dashboards are built on these. `docs/reference/attestation.md` says what to do about each."""

    # Of any proof
    MISSING = "missing"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    NOT_VERIFIABLE = "not_verifiable"
    BINDING_MISMATCH = "binding_mismatch"
    WRONG_APP = "wrong_app"
    BAD_SIGNATURE = "bad_signature"
    VERIFIER_FAILED = "verifier_failed"

    # Of a chain of certificates
    UNTRUSTED_ROOT = "untrusted_root"
    BROKEN_CHAIN = "broken_chain"
    CERTIFICATE_NOT_VALID_NOW = "certificate_not_valid_now"

    # App Attest
    KEY_MISMATCH = "key_mismatch"
    KEY_UNKNOWN = "key_unknown"
    WRONG_ENVIRONMENT = "wrong_environment"
    COUNTER_NOT_GREATER = "counter_not_greater"

    # Android Key Attestation
    EXTENSION_MISPLACED = "extension_misplaced"
    REVOKED = "revoked"
    REVOCATION_LIST_STALE = "revocation_list_stale"
    SECURITY_LEVEL = "security_level"
    KEY_NOT_GENERATED = "key_not_generated"
    KEY_OF_ALL_APPLICATIONS = "key_of_all_applications"
    BOOT_NOT_VERIFIED = "boot_not_verified"
    PATCH_LEVEL_TOO_OLD = "patch_level_too_old"

    # Play Integrity, and the signer for Android too
    WRONG_SIGNER = "wrong_signer"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    NOT_DECRYPTED = "not_decrypted"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    APP_NOT_RECOGNIZED = "app_not_recognized"
    DEVICE_NOT_RECOGNIZED = "device_not_recognized"
    NOT_LICENSED = "not_licensed"
    VERSION_TOO_OLD = "version_too_old"
    TEST_RESPONSE = "test_response"
    TOKEN_REPEATED = "token_repeated"  # noqa: S105 - the name of a reason
    DECODER_REFUSED = "decoder_refused"
    DECODER_QUOTA_EXCEEDED = "decoder_quota_exceeded"
    DECODER_UNREACHABLE = "decoder_unreachable"


class Refused(Exception):
    """A proof that proves nothing.

    Args:
        code: the reason, for programs.
        detail: what was seen, for the log; no secret, and nothing that an app is told. Some of it is a stranger's own
            words, so it is cut, and what a line of a log should not hold is replaced.
    """

    def __init__(self, code: Reason, detail: str = "") -> None:
        self.code = code
        self.detail = "".join(character if character.isprintable() else "?" for character in detail[:_DETAIL_MAX])
        super().__init__(f"{code}: {self.detail}" if detail else str(code))
