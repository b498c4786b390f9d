"""What a device sends as proof: the member `attestation` of POST /install, one form for each kind.

Bytes travel as standard base64 with padding. The tokens of Play Integrity are text already.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, Struct

from unbroken import wire
from unbroken.backend.attestation.refused import Reason, Refused

OBJECT_MAX_BYTES: Final = 16_384
"""Of an object of App Attest. Those of real devices have about 5,500, most of it the receipt."""

CERTIFICATE_MAX_BYTES: Final = 8_192
CHAIN_MAX_CERTIFICATES: Final = 10


class Kind(StrEnum):
    """The value of the member `kind`."""

    PLAY_CLASSIC = "play_classic"
    PLAY_STANDARD = "play_standard"
    APP_ATTEST = "app_attest"
    APP_ATTEST_ASSERTION = "app_attest_assertion"
    ANDROID_KEY = "android_key"


_Token = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._=-]+\Z")]
_Object = Annotated[bytes, Meta(min_length=1, max_length=OBJECT_MAX_BYTES)]
_KeyId = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Certificate = Annotated[bytes, Meta(min_length=1, max_length=CERTIFICATE_MAX_BYTES)]


class PlayClassic(Struct, frozen=True, tag_field="kind", tag=Kind.PLAY_CLASSIC.value):
    """A token of a classic request to Play Integrity, whose nonce is the binding's digest in base64url."""

    kind: ClassVar[Kind] = Kind.PLAY_CLASSIC
    token: _Token


class PlayStandard(Struct, frozen=True, tag_field="kind", tag=Kind.PLAY_STANDARD.value):
    """A token of a standard request to Play Integrity, whose request hash is the binding's digest in base64url."""

    kind: ClassVar[Kind] = Kind.PLAY_STANDARD
    token: _Token


class AppAttestation(Struct, frozen=True, tag_field="kind", tag=Kind.APP_ATTEST.value):
    """What `DCAppAttestService.attestKey` gave for the key with that id and the binding's digest."""

    kind: ClassVar[Kind] = Kind.APP_ATTEST
    key_id: _KeyId
    attestation: _Object


class AppAssertion(Struct, frozen=True, tag_field="kind", tag=Kind.APP_ATTEST_ASSERTION.value):
    """What `DCAppAttestService.generateAssertion` gave for a key that was attested before, and the digest."""

    kind: ClassVar[Kind] = Kind.APP_ATTEST_ASSERTION
    key_id: _KeyId
    assertion: _Object


class AndroidKey(Struct, frozen=True, tag_field="kind", tag=Kind.ANDROID_KEY.value):
    """`KeyStore.getCertificateChain` of a key made with the binding's digest as attestation challenge, leaf first."""

    kind: ClassVar[Kind] = Kind.ANDROID_KEY
    chain: Annotated[tuple[_Certificate, ...], Meta(min_length=2, max_length=CHAIN_MAX_CERTIFICATES)]


Evidence = PlayClassic | PlayStandard | AppAttestation | AppAssertion | AndroidKey


def read_evidence(value: Any) -> Evidence:
    """The evidence in a decoded JSON value.

    Raises:
        Refused: `malformed`; it is of no form above.
    """
    try:
        evidence: Evidence = wire.convert(value, Evidence)  # type: ignore[arg-type]  # msgspec takes a union
    except (ValueError, RecursionError) as error:
        raise Refused(Reason.MALFORMED, str(error)) from None
    return evidence
