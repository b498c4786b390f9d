"""The signature over the checksums, by OpenSSH: made with the key that signs tags, checked with what everybody has."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

SUMS: Final = "SHA256SUMS"
SIGNER: Final = "unbroken"
_NAMESPACE: Final = "unbroken-release"
"""What is signed under it is a release: a signature over a commit or a letter by the same key is none."""


class NotGenuine(Exception):
    """What lies there is not what a signer released; the message says what differs."""


def sign(directory: Path, key: Path) -> Path:
    """Sign the checksums of a release; the file of the signature.

    Args:
        key: a private key of OpenSSH, or the public half of one that an agent holds.

    Raises:
        CalledProcessError: OpenSSH does not.
    """
    sums, signature = directory / SUMS, directory / f"{SUMS}.sig"
    signature.unlink(missing_ok=True)
    _ssh_keygen("-q", "-Y", "sign", "-n", _NAMESPACE, "-f", str(key), str(sums)).check_returncode()
    return signature


def verify(directory: Path, signers: Path) -> list[str]:
    """The names of the files of a release, each of which is as it was signed.

    Args:
        signers: OpenSSH's list of allowed signers: a line `unbroken` and the public key.

    Raises:
        NotGenuine: by none of them, or a file is missing, another, or one too many.
    """
    content = (directory / SUMS).read_bytes()
    of = ["-n", _NAMESPACE, "-f", str(signers), "-I", SIGNER, "-s", str(directory / f"{SUMS}.sig")]
    checked = _ssh_keygen("-Y", "verify", *of, content=content)
    if checked.returncode:
        raise NotGenuine(f"{SUMS} is signed by nobody who may: {checked.stderr.decode().strip()}")
    told = {name: sum_ for sum_, _, name in (line.partition("  ") for line in content.decode().splitlines())}
    there = {path.name for path in directory.iterdir()} - {SUMS, f"{SUMS}.sig", ".gitignore"}
    if there != told.keys():
        raise NotGenuine(f"not in both places: {', '.join(sorted(there ^ told.keys()))}")
    wrong = [name for name, sum_ in told.items() if _sum(directory / name) != sum_]
    if wrong:
        raise NotGenuine(f"not as they were signed: {', '.join(sorted(wrong))}")
    return sorted(told)


def write_sums(directory: Path, files: list[Path]) -> Path:
    """Write the checksums of these files; the file of them, as `sha256sum --check` reads it."""
    sums = directory / SUMS
    sums.write_text("".join(f"{_sum(path)}  {path.name}\n" for path in files), encoding="utf-8")
    return sums


def _ssh_keygen(*words: str, content: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["ssh-keygen", *words], input=content, capture_output=True, check=False)  # noqa: S603, S607


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
