"""Which Android apps are the customer's, as a setting: names of packages, and the certificates they are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_DIGEST_BYTES: Final = 32


def package_names(packages: Iterable[str]) -> frozenset[str]:
    """The names as a set that does not change any more.

    Raises:
        ValueError: it is one name, whose letters would be taken for names.
    """
    if isinstance(packages, str):
        raise ValueError("packages are a set of names; parts of one name would do")  # noqa: TRY004 - of a setting
    return frozenset(packages)


def signer_digests(signers: Iterable[bytes]) -> frozenset[bytes]:
    """The digests as a set that does not change any more.

    Raises:
        ValueError: one of them is not a SHA-256: hex perhaps, or a SHA-1.
    """
    kept = frozenset(signers)
    if not all(isinstance(signer, bytes) and len(signer) == _DIGEST_BYTES for signer in kept):
        raise ValueError("a signer is the SHA-256 of a certificate: 32 bytes")
    return kept
