"""What the SDK remembers, and the file it is kept in: atomic, locked, damage detected and never guessed around.

The file is a header (magic, sequence number, length, CRC-32) and the sealed JSON of `State`. It is replaced whole:
a killed process leaves the old or the new one. The outbox is not here (`outbox.py`).
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from unbroken.sdk.errors import SdkError, StateDamaged, StateLocked, StorageInUse
from unbroken.sdk.forks import Opener
from unbroken.sdk.keyrings import seal_for
from unbroken.sdk.sealing import Seal, SealLevel, others_may
from unbroken.sdk.secret import Secret


class Farewell(Struct, frozen=True):
    """An install that was reset here and of which the platform is to be told; the keys as in `State`."""

    install_id: str
    credential: Secret
    renewal_key: str | None = None
    install_key: Secret | None = None


class State(Struct, frozen=True):
    """Everything that must survive the process. The app secret is never part of it.

    `install_key` is what the install's own pair of keys is made from, written before a registration tells the public
    half; None where the app keeps the key, or there is none.

    The three other keys are idempotency keys: written before their request is sent, cleared with the reply, so that a
    request whose reply was lost is repeated as itself. `registration_code` and `link_code` are SHA-256 of the code
    a key was made for: the code of another account must not get the answer meant for the first.

    `pin_update` and `pin_misses` are of the device, not of an install: a reset keeps them, or it would bring back pins
    that were given up.

    `token_expires_at_ms` is of the platform's clock, `token_received_at_ms` of the device's: its age is told by the
    latter alone, because the two clocks may be days apart (linking.md, which items count).
    """

    app_id: str
    install_id: str | None = None
    user_id: str | None = None
    credential: Secret | None = None
    install_key: Secret | None = None
    token: Secret | None = None
    token_expires_at_ms: int = 0
    token_received_at_ms: int = 0
    linked: bool = False
    install_state: str = "active"
    state_reason: str | None = None
    linking: Literal["off", "on", "required"] = "on"
    registration_key: str | None = None
    registration_code: str | None = None
    renewal_key: str | None = None
    link_key: str | None = None
    link_code: str | None = None
    restored_from: str | None = None
    farewells: tuple[Farewell, ...] = ()
    detections_enabled: bool = True
    detections_until_ms: int | None = None
    pin_update: str | None = None
    pin_misses: int = 0


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the SDK keeps its things: a directory of its own, and how the state in it is sealed.

    Exclude it from device backups; a restored copy is noticed (`INSTALL_CLONED`) and becomes a new install.

    Args:
        path: the directory.
        seal: protects the state; None: a key in the system's keyring where there is a real one and `keyring` and
            `cryptography` are installed, else nothing beyond the file's mode.
    """

    path: Path | str
    seal: Seal | None = None

    @property
    def directory(self) -> Path:
        """The directory, wherever the process goes from here: a daemon leaves the one it was started in."""
        return Path(self.path).absolute()


_HEADER: Final = struct.Struct(">8sQII")
_MAGIC: Final = b"UNBRKST1"
_AS_IT_IS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class StateFile:
    """The state of one storage, held under an exclusive lock from opening to closing.

    Raises:
        StorageInUse: when somebody else holds it.
        StateLocked: looking for a keyring did not end in time.
    """

    def __init__(self, storage: Storage) -> None:
        self._directory = storage.directory
        self._seal = storage.seal or seal_for(self._directory)
        _make_directory(self._directory, mode=0o700)
        self._path = self._directory / "state"
        self._opener = Opener()
        self._lock = _lock(self._directory / "lock")
        self._sequence: int | None = None
        try:
            for left_by_a_kill in self._directory.glob("state.new*"):
                left_by_a_kill.unlink()
        except BaseException:  # the disk refuses
            self.close()
            raise

    @property
    def seal_level(self) -> SealLevel:
        """What protects the state."""
        return self._seal.level

    def load(self) -> State | None:
        """The state that was saved last, or None where there is none yet. One that was not sealed yet is, by this.

        Raises:
            StateDamaged: the file is not one that `save` wrote.
            StateLocked: others may read it, or the key of its seal is not to be had.
            OSError: the disk refuses.
        """
        try:
            content = _read_private(self._path)
        except FileNotFoundError:
            self._sequence = 0
            return None
        sequence, sealed = _unframe(content)
        state = _decode(self._seal.open(sealed, _seal_context(sequence)))
        self._sequence = sequence
        if self._seal.level is not SealLevel.SOFTWARE:
            self._seal_at_last(state, sealed)
        return state

    def _seal_at_last(self, state: State, sealed: bytes) -> None:
        """Seal what was not; and tell the seal, as a kill may have come between the save and that."""
        if _is_plain(sealed):
            self.save(state)
        else:
            self._seal.settle()

    def save(self, state: State) -> None:
        """Replace the state; durable when this returns.

        Raises:
            SdkError: the file was closed; it may be somebody else's by now.
            StateDamaged: the file changed since this process read it: somebody writes beside the lock.
        """
        self._refuse_closed()
        if self._sequence is None or self._sequence != self._sequence_on_disk():
            raise StateDamaged("the state on disk is not the one this process read")
        sequence = self._sequence + 1
        self._replace(_frame(sequence, self._seal.close(_encode(state), _seal_context(sequence))))
        self._sequence = sequence
        _sync_directory(self._directory)
        self._seal.settle()

    def remove(self) -> None:
        """Forget everything, damaged or not.

        Raises:
            SdkError: the file was closed.
        """
        self._refuse_closed()
        self._path.unlink(missing_ok=True)
        _sync_directory(self._directory)
        self._sequence = 0

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _refuse_closed(self) -> None:
        if self._lock < 0:
            raise SdkError("the state file is closed")
        self._opener.require()  # the lock is of both, and keeps neither from writing

    def _sequence_on_disk(self) -> int:
        try:
            with self._path.open("rb") as file:
                head = file.read(_HEADER.size)
        except FileNotFoundError:
            return 0
        return int(_HEADER.unpack(head)[1]) if len(head) == _HEADER.size else -1

    def _replace(self, content: bytes) -> None:
        new = self._directory / "state.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _AS_IT_IS
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


def _frame(sequence: int, sealed: bytes) -> bytes:
    return _HEADER.pack(_MAGIC, sequence, len(sealed), zlib.crc32(_context(sequence) + sealed)) + sealed


def _unframe(content: bytes) -> tuple[int, bytes]:
    if len(content) < _HEADER.size:
        raise StateDamaged("the state on disk is shorter than its header")
    magic, sequence, length, crc = _HEADER.unpack_from(content)
    sealed = content[_HEADER.size :]
    if magic != _MAGIC or length != len(sealed) or crc != zlib.crc32(_context(sequence) + sealed):
        raise StateDamaged("the state on disk is damaged: its checksum does not match")
    return sequence, sealed


def _context(sequence: int) -> bytes:
    return _MAGIC + sequence.to_bytes(8, "big")


def _seal_context(sequence: int) -> bytes:
    """The file's name too, so that no other file that is sealed under the same key can stand for it."""
    return _context(sequence) + b"state"


def _is_plain(content: bytes) -> bool:
    """Whether this is JSON as it is, which no seal makes."""
    return content.startswith(b"{")


def _read_private(path: Path) -> bytes:
    """The file, if it is one and its owner's alone."""
    with os.fdopen(os.open(path, os.O_RDONLY | _AS_IT_IS), "rb") as file:
        open_to = others_may(os.fstat(file.fileno()))
        if open_to is not None:
            raise StateLocked(f"others may read or write the state on disk: {open_to}; chmod 600 {path}")
        return file.read()


def _encode(state: State) -> bytes:
    return msgspec.json.encode(state, enc_hook=_reveal)


def _decode(plain: bytes) -> State:
    try:
        return _DECODER.decode(plain)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateDamaged(f"the state on disk is not readable: {error}") from error


def _reveal(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} is not part of a state")


def _conceal(type_: type, value: Any) -> Any:
    if type_ is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"{type_.__name__} is not part of a state")


def _lock(path: Path) -> int:
    """An open, exclusively locked file; the system releases it when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        _lock_exclusively(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise StorageInUse(f"{path.parent} is in use by another SDK") from error
    return descriptor


def _lock_exclusively(descriptor: int) -> None:
    if os.name == "nt":
        import msvcrt  # noqa: PLC0415 - exists on Windows only

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl  # noqa: PLC0415 - exists on POSIX only

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _make_directory(directory: Path, mode: int = 0o777) -> None:
    """A directory that is still there after a power cut: its entry, too, is on disk when this returns."""
    if directory.is_dir():
        return
    if directory.parent != directory:
        _make_directory(directory.parent)
    directory.mkdir(mode, exist_ok=True)
    _sync_directory(directory.parent)


def _sync_directory(directory: Path) -> None:
    """Make a rename or removal in `directory` durable; Windows offers no way and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_DECODER: Final = msgspec.json.Decoder(State, dec_hook=_conceal)
