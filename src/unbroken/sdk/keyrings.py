"""A key for the state in the keyring of the operating system, where there is a real one.

`keyring` answers with a backend on every machine: one that fails, one that forgets, one that writes plain files. Real
ones are known by their class. Nothing waits for a person: an unlock prompt that stays open counts as locked.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from unbroken.randomness import Randomness, SystemRandomness
from unbroken.sdk.errors import StateDamaged, StateLocked
from unbroken.sdk.listeners import report
from unbroken.sdk.sealing import KEY_BYTES, Seal, SealLevel, Unsealed, is_sealed, opened_with, sealed_under

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

SERVICE: Final = "unbroken.sdk"
ANSWER_MAX_S: Final = 2.0
_REAL: Final = frozenset({"macOS", "Windows", "SecretService", "libsecret", "kwallet"})
_PENDING, _SETTLED = "pending:", "sealed:"
_DRAWN: Final[dict[str, Entry]] = {}
"""First keys that a keyring has not confirmed yet, by name."""


class Backend(Protocol):
    """What is used of a `keyring.backend.KeyringBackend`."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """What was set."""

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Keep it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key in a keyring. Until it is settled, a state that is not sealed is one that was there before the key."""

    key: bytes
    is_settled: bool

    def to_text(self) -> str:
        """As it stands in the keyring."""
        return (_SETTLED if self.is_settled else _PENDING) + base64.b64encode(self.key).decode()

    @classmethod
    def of(cls, text: str) -> Entry:
        """Raises StateLocked where somebody else wrote it."""
        kind, colon, encoded = text.partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if kind + colon not in {_PENDING, _SETTLED} or len(key) != KEY_BYTES:
            raise StateLocked("what the keyring holds for this storage is not a key of the SDK")
        return cls(key, kind + colon == _SETTLED)


class KeyringSeal(Seal):
    """Sealed under a key in a keyring; made when something is sealed for the first time.

    A state from before is opened as it is and sealed at once; from then on one that is not sealed is refused.

    Args:
        backend: a real one.
        name: of the key: the storage's directory.
        randomness: makes key and nonces.
        answer_max_s: how long the keyring may take.
    """

    level = SealLevel.KEYRING

    def __init__(
        self, backend: Backend, name: str, randomness: Randomness | None = None, answer_max_s: float = ANSWER_MAX_S
    ) -> None:
        self._backend = backend
        self._name = name
        self._randomness = randomness or SystemRandomness()
        self._answer_max_s = answer_max_s
        self._known: Entry | None = None

    def close(self, plain: bytes, context: bytes) -> bytes:
        """See `Seal.close`."""
        entry = self._entry() or self._put_first()
        return sealed_under(entry.key, plain, context, self._randomness)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """See `Seal.open`."""
        entry = self._entry()
        if is_sealed(sealed):
            if entry is None:
                raise StateLocked(f"the state is sealed, and the keyring has no key {self._name!r} of {SERVICE}")
            return opened_with(entry.key, sealed, context)
        if entry is not None and entry.is_settled:
            raise StateDamaged("the state is not sealed, though this device had sealed it")
        return sealed

    def settle(self) -> None:
        """See `Seal.settle`; a keyring that does not take it now is asked again at the next save."""
        entry = self._known
        if entry is None or entry.is_settled:
            return
        try:
            self._put(Entry(entry.key, is_settled=True))
        except StateLocked as error:
            report("the keyring did not take that the state is sealed", error)

    def _entry(self) -> Entry | None:
        if self._known is None:
            text = self._ask(lambda: self._backend.get_password(SERVICE, self._name))
            self._known = None if text is None else Entry.of(text)
        return self._known

    def _put_first(self) -> Entry:
        """The same key at every try of this process: a put that took too long may still come to be, after another."""
        fresh = Entry(self._randomness.secret(KEY_BYTES), is_settled=False)
        entry = self._put(_DRAWN.setdefault(self._name, fresh))
        _DRAWN.pop(self._name, None)
        return entry

    def _put(self, entry: Entry) -> Entry:
        self._ask(lambda: self._backend.set_password(SERVICE, self._name, entry.to_text()))
        self._known = entry
        return entry

    def _ask(self, call: Callable[[], T]) -> T:
        return within(self._answer_max_s, call)


def seal_for(directory: Path) -> Seal:
    """A key in the keyring where there is a real one and the extra is installed; else nothing, and its level says so.

    Raises:
        StateLocked: looking for a keyring did not end in time. What it may hold is not guessed.
    """
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra
        import keyring  # noqa: PLC0415 - an extra
    except ImportError:
        return Unsealed()
    backend = within(ANSWER_MAX_S, lambda: real_backend(keyring.get_keyring()))
    return Unsealed() if backend is None else KeyringSeal(backend, str(directory.resolve()))


def real_backend(backend: Any) -> Backend | None:
    """The backend, or the first of a chain, that keeps secrets in a keyring of the operating system."""
    for candidate in getattr(backend, "backends", (backend,)):
        package, _, module = type(candidate).__module__.rpartition(".")
        if package == "keyring.backends" and module in _REAL:
            found: Backend = candidate
            return found
    return None


def within(limit_s: float, call: Callable[[], T]) -> T:
    """What `call` answers, on a thread that is left behind where it takes longer.

    Raises:
        StateLocked: it took longer, or failed.
    """
    answers: list[T] = []
    failures: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(call())
        except Exception as error:  # noqa: BLE001 - backends raise what they like
            failures.append(error)

    asking = threading.Thread(target=ask, name="unbroken-keyring", daemon=True)
    asking.start()
    asking.join(limit_s)
    if answers:
        return answers[0]
    if failures:
        raise StateLocked(f"the keyring failed: {type(failures[0]).__name__}: {failures[0]}") from failures[0]
    raise StateLocked(f"the keyring did not answer within {limit_s} s: it may wait to be unlocked")
