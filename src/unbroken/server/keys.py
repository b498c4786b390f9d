"""The keys that live outside the database, in `keys.json`: who copies the database alone can forge nothing."""

from __future__ import annotations

import fcntl
import hmac
import os
import stat
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from unbroken import wire
from unbroken.credentials import Peppers, Vault
from unbroken.sealing import KEY_BYTES as SEALING_KEY_BYTES
from unbroken.sealing import KeyRing
from unbroken.server import whole_files
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from unbroken.randomness import Randomness

KEYS_FILE: Final = "keys.json"
_KEY_BYTES: Final = 32
_DIFFERENT_BYTES_MIN: Final = 16
"""Of 32 bytes of chance so few differ that it happens once in 10^16 times."""


class Keys(msgspec.Struct, frozen=True):
    """The content of the file; bytes are written as base64. Files of earlier versions lack the last ones.

    Args:
        external_id_keys: by number; see `external_id_keys_of`.
        secret_peppers: those that secrets are kept under, by number; see `peppers_of`.
        pepper_no: which of them is used for what is kept from now on.
    """

    pepper: bytes
    signing_key: bytes
    receipt_key: bytes = b""
    external_id_keys: dict[int, bytes] = {}
    secret_peppers: dict[int, bytes] = {}
    pepper_no: int = 1


def open_vault(data: Path, randomness: Randomness, *, is_new: bool = False) -> Vault:
    """The keys of a data directory.

    Args:
        is_new: nothing was ever stored in it, so that keys may be made. Found out before this is called: the keys are
            there before a database is, also where two processes make both at once.

    Raises:
        CannotStart: the file is missing beside what was stored under it, is damaged, or others can read it.
    """
    path = data / KEYS_FILE
    if not path.exists():
        if not is_new:
            raise CannotStart(
                f"{path} is missing beside a database. Restore it from a backup: without it every key, secret and code"
                " is unknown, and what was erased cannot be told from what never was."
            )
        pepper, signing_key, receipt_key = (randomness.secret(_KEY_BYTES) for _ in range(3))
        made = Keys(pepper, signing_key, receipt_key, {1: randomness.secret(SEALING_KEY_BYTES)})
        whole_files.create_once(path, msgspec.json.encode(made))
    keys = _read_for_owner_only(path)
    _refuse_short(path, keys)
    if not keys.receipt_key:
        keys = _with_receipt_key(path, randomness)
    return Vault(keys.pepper, keys.signing_key, keys.receipt_key, _Watched(path, keys))


class _Watched:
    """Tells the peppers in the file, also when it was changed since: a look at its time for each secret."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._peppers = peppers_of(keys)
        self._seen: tuple[int, int] | None = None

    def __call__(self) -> Peppers:
        try:
            found = self._path.stat()
            if self._seen != (found.st_mtime_ns, found.st_ino):
                self._peppers = peppers_of(_read_for_owner_only(self._path))
                self._seen = (found.st_mtime_ns, found.st_ino)
        except (OSError, CannotStart):
            pass  # what was read last holds, until there is a file again
        return self._peppers


def peppers_of(keys: Keys) -> Peppers:
    """The peppers of secrets: the first one alone, as long as there was never another."""
    return Peppers(keys.pepper_no, keys.secret_peppers or {1: keys.pepper})


def open_key_ring(data: Path) -> KeyRing:
    """The keys of external ids, of a data directory whose vault was opened. Of keys that come later it learns itself.

    Raises:
        CannotStart: the file is damaged, or others can read it.
    """
    path = data / KEYS_FILE

    def known() -> Mapping[int, bytes]:
        keys = external_id_keys_of(_read_for_owner_only(path))
        if any(len(key) != SEALING_KEY_BYTES for key in keys.values()):
            raise CannotStart(f"A key in {path} is not {SEALING_KEY_BYTES} bytes long. Restore the file from a backup.")
        return keys

    def reread() -> Mapping[int, bytes]:
        try:
            return known()
        except (OSError, CannotStart):
            return {}  # whoever needs the key is told that it is not there

    return KeyRing(known(), reread)


def external_id_keys_of(keys: Keys) -> dict[int, bytes]:
    """By number. The first one of an earlier version's file follows from what is in it, alike on every host."""
    return keys.external_id_keys or {1: hmac.digest(keys.pepper, b"external ids", "sha512")}


def _read(path: Path) -> Keys:
    try:
        return wire.decode(path.read_bytes(), Keys)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CannotStart(
            f"{path} is damaged. Restore it from a backup: without it no stored secret can be checked."
        ) from error


def _read_for_owner_only(path: Path) -> Keys:
    if is_readable_by_others(path):
        raise CannotStart(f"Others can read {path}, which holds the platform's keys. Run: chmod 600 {path}")
    return _read(path)


def _with_receipt_key(path: Path, randomness: Randomness) -> Keys:
    """Give an older file the key that it lacks: once, whoever else tries the same."""

    def completed(keys: Keys) -> Keys:
        return keys if keys.receipt_key else replace(keys, receipt_key=randomness.secret(_KEY_BYTES))

    return _change(path, completed)


def add_external_id_key(data: Path, randomness: Randomness, present: int) -> int:
    """Make a key that external ids can be sealed under after the present one, unless there is one; its number."""

    def added(keys: Keys) -> Keys:
        known = external_id_keys_of(keys)
        if max(known) > present:
            return keys
        return replace(keys, external_id_keys={**known, present + 1: randomness.secret(SEALING_KEY_BYTES)})

    return max(external_id_keys_of(_change(data / KEYS_FILE, added)))


def has_external_id_key_after(data: Path, present: int) -> bool:
    """Whether there is a key that external ids can be sealed under after the present one."""
    return max(external_id_keys_of(_read(data / KEYS_FILE))) > present


def drop_external_id_keys(data: Path, before: int) -> list[int]:
    """Take the keys out of the file that nothing is sealed under any more; their numbers."""
    dropped: list[int] = []

    def kept(keys: Keys) -> Keys:
        known = external_id_keys_of(keys)
        dropped[:] = [number for number in known if number < before]
        return replace(keys, external_id_keys={number: key for number, key in known.items() if number >= before})

    _change(data / KEYS_FILE, kept)
    return dropped


def add_pepper(data: Path, randomness: Randomness) -> int:
    """Make a pepper that secrets are accepted under, and not kept yet, unless there is one; its number."""

    def added(keys: Keys) -> Keys:
        present = peppers_of(keys)
        if max(present.keys) > present.number:
            return keys
        return replace(keys, secret_peppers={**present.keys, present.number + 1: randomness.secret(_KEY_BYTES)})

    return max(peppers_of(_change(data / KEYS_FILE, added)).keys)


def has_another_pepper(data: Path) -> bool:
    """Whether there is a pepper that secrets are accepted under, and not kept yet."""
    present = peppers_of(_read(data / KEYS_FILE))
    return max(present.keys) > present.number


def use_pepper(data: Path, number: int) -> None:
    """Keep secrets under a pepper from now on."""
    _change(data / KEYS_FILE, lambda keys: replace(keys, pepper_no=number))


def drop_peppers(data: Path) -> list[int]:
    """Accept no secret any more under a pepper before the one in use; the numbers of those."""
    dropped: list[int] = []

    def kept(keys: Keys) -> Keys:
        known = peppers_of(keys)
        dropped[:] = [number for number in known.keys if number < known.number]
        return replace(keys, secret_peppers={n: key for n, key in known.keys.items() if n >= known.number})

    _change(data / KEYS_FILE, kept)
    return dropped


def _change(path: Path, change: Callable[[Keys], Keys]) -> Keys:
    """Put a changed file in the place of the file, whole and durable; one process after the other."""
    while True:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.path.samestat(os.fstat(file.fileno()), path.stat()):
                continue  # while this one waited, another put a new file there: that one is to be locked
            keys = _read(path)
            changed = change(keys)
            if changed != keys:
                whole_files.put(path, msgspec.json.encode(changed))
            return changed


def refuse_others(source: Path, target: Path) -> None:
    """Let a target directory pass that has no keys yet, or those of the source, be they from before a rotation.

    Raises:
        CannotStart: it has others, or the source has none.
    """
    if not (source / KEYS_FILE).exists():
        raise CannotStart(
            f"{source / KEYS_FILE} is missing. Name the platform's data directory with --data, or restore it from a"
            " backup."
        )
    if (target / KEYS_FILE).exists() and not _are_earlier(_read(target / KEYS_FILE), _read(source / KEYS_FILE)):
        raise CannotStart(
            f"{target / KEYS_FILE} holds other keys than {source / KEYS_FILE}: under them every key, secret and code of"
            " the platform would be unknown. Name another directory, or move these keys out of the way."
        )


def _are_earlier(keys: Keys, later: Keys) -> bool:
    """Whether some keys are those of a file, or were before keys were added to it."""
    one, other = external_id_keys_of(keys), external_id_keys_of(later)
    before, after = peppers_of(keys).keys, peppers_of(later).keys
    same = (later.pepper, later.signing_key, later.receipt_key)
    return (
        (keys.pepper, keys.signing_key, keys.receipt_key) == same
        and one.items() <= other.items()
        and before.items() <= after.items()
        and keys.pepper_no <= later.pepper_no
    )


def carry(source: Path, target: Path) -> None:
    """Give a target directory the keys of the source, where it does not have them yet, or not all of them.

    Raises:
        CannotStart: as `refuse_others`.
    """
    refuse_others(source, target)
    if not (target / KEYS_FILE).exists():
        whole_files.create_once(target / KEYS_FILE, (source / KEYS_FILE).read_bytes())
        refuse_others(source, target)  # another process may have been faster with others
    keys = _read(source / KEYS_FILE)
    _change(target / KEYS_FILE, lambda _: keys)


def are_guessable(path: Path) -> bool:
    """Whether the keys of a file are a made-up text, such as one letter all along, or one key in several places.

    Raises:
        CannotStart: the file is damaged, or a key is too short.
    """
    keys = _read(path)
    later = [key for key in keys.secret_peppers.values() if key != keys.pepper]  # which is the first of them
    every = (keys.pepper, keys.signing_key, keys.receipt_key, *keys.external_id_keys.values(), *later)
    found = [key for key in every if key]
    _refuse_short(path, keys)
    return len(set(found)) < len(found) or any(len(set(key)) < _DIFFERENT_BYTES_MIN for key in found)


def _refuse_short(path: Path, keys: Keys) -> None:
    if min(len(keys.pepper), len(keys.signing_key), len(keys.receipt_key) or _KEY_BYTES) < _KEY_BYTES:
        raise CannotStart(f"The keys in {path} are too short. Restore the file from a backup.")


def is_readable_by_others(path: Path) -> bool:
    """Whether the mode lets anyone but the owner in."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
