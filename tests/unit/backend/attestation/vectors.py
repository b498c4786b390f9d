"""Attestation objects of real devices.

The data lies beside the checkout (`../shared/data/attestation`) or where `UNBROKEN_SHARED` says; it is not part of the
product. Its README names where each file is from.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[4]
SHARED = Path(os.environ.get("UNBROKEN_SHARED", CHECKOUT.parent / "shared"))
APPLE = SHARED / "data" / "attestation" / "app_attest"
ANDROID = SHARED / "data" / "attestation" / "android"
HERE = APPLE.is_dir() and ANDROID.is_dir()

needed = pytest.mark.skipif(
    not HERE,
    reason="the real attestations (shared/data/attestation, or UNBROKEN_SHARED) are not here: none was verified",
)


@dataclass(frozen=True)
class Attestation:
    """What a device sent, for which app, and when."""

    name: str
    app_id: str
    is_production: bool
    key_id: bytes
    attestation: bytes
    client_data_hash: bytes
    at_ms: int


@dataclass(frozen=True)
class Assertion:
    """The same of a later signature."""

    name: str
    app_id: str
    public_key: bytes
    assertion: bytes
    client_data_hash: bytes
    counter: int


@dataclass(frozen=True)
class Chain:
    """A chain, leaf first; what is expected to be read in it (None: not given); an instant at which it was valid."""

    name: str
    chain: tuple[bytes, ...]
    expected: dict[str, Any] | None
    at_ms: int

    @property
    def challenge(self) -> bytes:
        return bytes_of(self.expected["attestationChallenge"]) if self.expected else b""

    @property
    def application(self) -> dict[str, Any]:
        return (self.expected or {}).get("softwareEnforced", {}).get("attestationApplicationId", {})

    @property
    def packages(self) -> set[str]:
        return {package["name"] for package in self.application.get("packages", [])}

    @property
    def signers(self) -> set[bytes]:
        return {bytes_of(digest) for digest in self.application.get("signatures", [])}


def attestations() -> list[Attestation]:
    found = [_attestation(name, entry) for name, entry in _entries("attestation")]
    for path in sorted(APPLE.glob("attestation-*.json")):
        entry = json.loads(path.read_text())
        found.append(
            Attestation(
                name=path.stem,
                app_id="V8H6LQ9448.io.uebelacker.AppAttestExample",
                is_production="production" in path.stem,
                key_id=bytes_of(entry["keyId"]),
                attestation=bytes_of(entry["attestation"]),
                client_data_hash=hashlib.sha256(bytes_of(entry["challenge"])).digest(),
                at_ms=ms("2024-02-08T00:00:00Z"),
            )
        )
    return found


def assertions() -> list[Assertion]:
    return [
        Assertion(
            name=name,
            app_id=f"{entry['teamIdentifier']}.{entry['bundleIdentifier']}",
            public_key=load_pem_public_key(entry["publicKey"].encode()).public_bytes(
                Encoding.DER, PublicFormat.SubjectPublicKeyInfo
            ),
            assertion=bytes_of(entry["assertionBase64"]),
            client_data_hash=bytes_of(entry["clientDataHashSha256Base64"]),
            counter=entry["counter"],
        )
        for name, entry in _entries("assertion")
    ]


def chains() -> list[Chain]:
    return [_chain(path) for path in sorted(ANDROID.glob("*/**/*.pem"))]


def bytes_of(text: str) -> bytes:
    return base64.b64decode(text)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def _entries(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(APPLE.glob("*.yaml")):
        for entry in yaml.safe_load_all(path.read_text()):
            if entry["type"] == kind:
                yield f"{path.stem}-{entry['id'][:8]}", entry


def _attestation(name: str, entry: dict[str, Any]) -> Attestation:
    return Attestation(
        name=name,
        app_id=f"{entry['teamIdentifier']}.{entry['bundleIdentifier']}",
        is_production=entry["environment"] == "production",
        key_id=bytes_of(entry["keyIdBase64"]),
        attestation=bytes_of(entry["attestationBase64"]),
        client_data_hash=bytes_of(entry["clientDataHashSha256Base64"]),
        at_ms=ms(entry["timestamp"]),
    )


def _chain(path: Path) -> Chain:
    read = x509.load_pem_x509_certificates(path.read_bytes())
    begun = max(certificate.not_valid_before_utc for certificate in read)
    expected = path.with_suffix(".json")
    return Chain(
        name=str(path.relative_to(ANDROID).with_suffix("")),
        chain=tuple(certificate.public_bytes(Encoding.DER) for certificate in read),
        expected=_json_with_comments(expected) if expected.exists() else None,
        at_ms=int(begun.timestamp() * 1000),
    )


def _json_with_comments(path: Path) -> dict[str, Any]:
    lines = [line for line in path.read_text().splitlines() if not line.strip().startswith("//")]
    return json.loads("\n".join(lines))
