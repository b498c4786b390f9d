"""Receipts: an erasure is proved by a signature that anybody can check who has the platform's public key (Ed25519).

What is signed is the receipt without its `signature`, as JSON with sorted members, no white space, in UTF-8. So a
receipt can be checked without this software, and not one member of it can be changed, left out or added.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from unbroken import wire
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.credentials import Vault

_KEY_ID_CHARACTERS: Final = 16


class NotGenuine(Exception):
    """A receipt that this key has not signed, or not in this form; the message says which."""


def signed(vault: Vault, receipt: wire.Receipt) -> wire.Receipt:
    """The receipt with the platform's signature."""
    members = sign(vault, wire.plain(receipt))
    return msgspec.structs.replace(receipt, key_id=members["key_id"], signature=members["signature"])


def sign(vault: Vault, members: Mapping[str, Any]) -> dict[str, Any]:
    """Members of a JSON object, signed as a receipt is: with `key_id` and `signature` among them."""
    private = _private(vault)
    named = {**members, "key_id": key_id(private.public_key())}
    return {**named, "signature": base64.b64encode(private.sign(_content(named))).decode()}


def verify(receipt: bytes, public: Ed25519PublicKey) -> wire.Receipt:
    """The receipt in a file, if it is genuine.

    Raises:
        NotGenuine: it is no receipt, was signed by another key, or was changed.
    """
    found, members = _read(receipt)
    check(members, public)
    return found


def check(members: Mapping[str, Any], public: Ed25519PublicKey) -> None:
    """Let members of a JSON object pass that `sign` signed.

    Raises:
        NotGenuine.
    """
    signer, signature = members.get("key_id"), members.get("signature")
    if signer != key_id(public):
        raise NotGenuine(f"It was signed with the key {signer or '(none)'}, not with {key_id(public)}.")
    try:
        public.verify(_bytes_of(signature if isinstance(signature, str) else ""), _content(members))
    except (InvalidSignature, ValueError):
        raise NotGenuine("It was changed after it was signed.") from None


def public_key(vault: Vault) -> Ed25519PublicKey:
    """The key that the platform's receipts are checked with."""
    return _private(vault).public_key()


def key_id(public: Ed25519PublicKey) -> str:
    """What a key is called: the beginning of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:_KEY_ID_CHARACTERS]


def pem(public: Ed25519PublicKey) -> str:
    """The key as a file that other programs read, too."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def read_pem(text: bytes) -> Ed25519PublicKey:
    """The key of such a file.

    Raises:
        InvalidRequest: it is none.
    """
    try:
        found = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        found = None
    if not isinstance(found, Ed25519PublicKey):
        raise InvalidRequest("This is no Ed25519 public key in PEM form, as `unbroken receipt public-key` prints it.")
    return found


def _private(vault: Vault) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(vault.receipt_seed()[:32])


def _read(receipt: bytes) -> tuple[wire.Receipt, dict[str, Any]]:
    members = members_of(receipt)
    try:
        return wire.convert(members, wire.Receipt), members
    except msgspec.ValidationError:
        raise NotGenuine("This is no receipt.") from None


def members_of(text: bytes) -> dict[str, Any]:
    """The members of a JSON object.

    Raises:
        NotGenuine: it is none, or one stands there twice.
    """
    try:
        members = json.loads(text, object_pairs_hook=_once_each)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        raise NotGenuine("This is no receipt.")
    return members


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a member that stands there twice one reader believes the first, another the last: so none may."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A member stands there twice.")
    return members


def _bytes_of(signature: str) -> bytes:
    """The signature, where it is written in the one way in which it is given out."""
    found = base64.b64decode(signature, validate=True)
    return found if base64.b64encode(found).decode() == signature else b""


def _content(members: Mapping[str, Any]) -> bytes:
    """What is signed; every member is in it, also one that does not belong there."""
    rest = {name: value for name, value in members.items() if name != "signature"}
    return json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")
