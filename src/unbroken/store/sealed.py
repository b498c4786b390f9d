"""Sealed: how external ids stand in the database. Everything above this layer sees them in clear (docs/decisions/0025).

At every instant an id has exactly one sealed text in the tables that are searched by it (facts, carriers, auth_codes):
so the database itself keeps accounts apart (law 1), also while a key takes the place of another. Which of the two keys
an id is under then follows from how far that has come, a row that is read in the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

from unbroken.domain.ids import ExternalId
from unbroken.sealing import KeyMissing, KeyRing, NotSealed, begins
from unbroken.store.contract import CallRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from unbroken.store.contract import Call, Transaction

T = TypeVar("T")

COLUMNS: Final = "s.key_no, s.key_mark, s.old_key_no, s.done_app, s.done_id"
"""Of the one row of `sealing`, for statements that read it beside something else."""

IN_CLEAR: Final = 0
"""The number of no key."""

_STATE: Final = f"SELECT {COLUMNS} FROM sealing s WHERE s.only_row = 1"


class KeyNotHere(StoreUnavailable):
    """Something is sealed under a key that this process does not have; or a damaged text says so."""


@dataclass(frozen=True, slots=True)
class State:
    """The row of `sealing`.

    Args:
        key_no: the key that external ids are sealed under.
        key_mark: `KeyRing.mark` of it.
        old_key_no: the key whose place it takes; None where that is done.
        done_app: the app whose ids are being sealed anew; those of apps before it are.
        done_id: up to which of them, as it was under the old key.
    """

    key_no: int
    key_mark: bytes | None
    old_key_no: int | None
    done_app: bytes
    done_id: str

    def is_done(self, app_id: bytes, old: str) -> bool:
        """Whether an id is under the new key already."""
        return (app_id, old.encode()) <= (self.done_app, self.done_id.encode())


class Keyed(Generic[T]):
    """A call whose transaction knows the keys."""

    __slots__ = ("__code__", "_call", "_keys")

    def __init__(self, call: Call[T], keys: KeyRing | None) -> None:
        self._call = call
        self._keys = keys
        self.__code__ = getattr(call, "__code__", type(call))  # what calls of one kind have in common

    def __call__(self, tx: Transaction) -> Awaitable[T]:
        """Begin the call."""
        tx.keys = self._keys
        return self._call(tx)


@lru_cache(maxsize=16)  # it changes with a rotation only
def state_of(row: tuple[Any, ...]) -> State:
    """The state in the columns `COLUMNS`."""
    mark, app_id = (None if value is None else bytes(value) for value in (row[1], row[3]))
    return State(int(row[0]), mark, row[2], app_id or b"", row[4] or "")


async def read(tx: Transaction) -> State:
    """The state, from the database."""
    row = await tx.one(_STATE)
    assert row is not None, "a migration wrote it, and nothing deletes it"
    return state_of(row)


def know(tx: Transaction, state: State) -> None:
    """Tell a call the state that it has read beside something else, which spares it a statement."""
    if tx.keys is not None and _why_not(tx.keys, state) is None:  # else whoever names an external id learns why
        tx.sealing = state


def _why_not(keys: KeyRing, state: State) -> StoreUnavailable | None:
    if state.key_no == IN_CLEAR:
        return StoreUnavailable("The external ids of this database were not sealed yet. Start a server on it.")
    try:
        is_that_key = keys.mark(state.key_no) == state.key_mark
    except KeyMissing as missing:
        return _unavailable(missing)
    return None if is_that_key else KeyNotHere(_OTHER_KEY.format(number=state.key_no))


async def in_force(tx: Transaction) -> State:
    """The state that holds for a call.

    Raises:
        StoreUnavailable: this process does not have that key.
    """
    if tx.sealing is None:
        state = await read(tx)
        if (trouble := _why_not(ring(tx), state)) is not None:
            raise trouble
        tx.sealing = state
    known: State = tx.sealing
    return known


async def seal(tx: Transaction, app_id: bytes, external_id: str) -> str:
    """What stands for an external id in the tables at this instant.

    Raises:
        StoreUnavailable: this process does not have the key.
    """
    state = tx.sealing or await in_force(tx)
    if state.old_key_no is not None:
        try:
            old = ring(tx).seal(state.old_key_no, app_id, external_id)
        except KeyMissing as missing:
            raise _unavailable(missing) from missing
        if not state.is_done(app_id, old):
            return old
    return ring(tx).seal(state.key_no, app_id, external_id)


async def other_seal(tx: Transaction, app_id: bytes, external_id: str, sealed: str) -> str:
    """What else may stand for it in the tables that are not searched, while one key takes the place of another.

    Args:
        sealed: what `seal` said, and what this says too at all other times.
    """
    state = await in_force(tx)
    if state.old_key_no is None:
        return sealed
    other = state.old_key_no if sealed.startswith(begins(state.key_no)) else state.key_no
    return ring(tx).seal(other, app_id, external_id)


async def seal_if_any(tx: Transaction, app_id: bytes, external_id: str | None) -> str | None:
    """The same, where there may be none."""
    return None if external_id is None else await seal(tx, app_id, external_id)


def unseal(tx: Transaction, app_id: bytes, sealed: str) -> ExternalId:
    """The external id that a text stands for.

    Raises:
        NotSealed: it was damaged.
        StoreUnavailable: this process does not have the key.
    """
    try:
        return ExternalId(ring(tx).open(app_id, sealed))
    except KeyMissing as missing:
        raise _unavailable(missing) from missing


def unseal_if_any(tx: Transaction, owner: bytes, sealed: str | None) -> ExternalId | None:
    """The same, where there may be none."""
    return None if sealed is None else unseal(tx, owner, sealed)


class Damaged(str):
    """In the place of an external id: why a column does not say one, for whoever checks it.

    Args:
        raw: what the column holds.
    """

    __slots__ = ("raw",)
    raw: Any

    def __new__(cls, why: str, raw: Any) -> Self:
        """Make one."""
        made = super().__new__(cls, f"\0{why}: {raw!r}")  # no external id has a control character
        made.raw = raw
        return made


async def as_found(tx: Transaction, app_id: bytes, raw: Any, *, is_searched: bool = True) -> Any:
    """What a column says to those who check it: an external id, nothing, or `Damaged`.

    Args:
        is_searched: it must be sealed as it is looked for; else under any key, while one takes the place of another.
    """
    if raw is None:
        return None
    try:
        plain = ring(tx).open(app_id, raw)
    except (NotSealed, KeyMissing, TypeError):
        return Damaged("not sealed, or damaged", raw)
    is_strict = is_searched or (await in_force(tx)).old_key_no is None
    if is_strict and await seal(tx, app_id, plain) != raw:
        return Damaged("not under the key in force", raw)
    return plain


def body_as_found(tx: Transaction, owner: bytes, body: Any) -> bytes | None:
    """The same of a document; None where it cannot be opened."""
    try:
        return ring(tx).open_body(owner, bytes(body))
    except (NotSealed, KeyMissing, TypeError):
        return None


async def seal_kept(tx: Transaction, owner: bytes, text: str | None) -> str | None:
    """A secret of an owner that is compared and never searched, as it is kept; None for none.

    Raises:
        StoreUnavailable: this process does not have the key.
    """
    return None if text is None else ring(tx).seal((await in_force(tx)).key_no, owner, text)


async def seal_body(tx: Transaction, owner: bytes, body: bytes) -> bytes:
    """A document that may name external ids, as it is kept.

    Raises:
        StoreUnavailable: this process does not have the key.
    """
    return ring(tx).seal_body((await in_force(tx)).key_no, owner, body) if body else b""


def unseal_body(tx: Transaction, owner: bytes, sealed: bytes) -> bytes:
    """See `seal_body`, and `unseal`."""
    try:
        return ring(tx).open_body(owner, bytes(sealed))
    except KeyMissing as missing:
        raise _unavailable(missing) from missing


def ring(tx: Transaction) -> KeyRing:
    """The keys of the store.

    Raises:
        CallRefused: it was opened without.
    """
    if tx.keys is None:
        raise CallRefused("This store was opened without the keys of external ids.")
    return tx.keys


def _unavailable(missing: KeyMissing) -> KeyNotHere:
    return KeyNotHere(_NO_KEY.format(number=missing.number))


_NO_KEY: Final = (
    "External ids are sealed under key {number}, which keys.json of this process does not have. Copy keys.json (mode"
    " 0600) from the data directory in which `unbroken rotate external-ids` was run; nothing needs to be started again."
)
_OTHER_KEY: Final = (
    "External ids are sealed under another key {number} than that in keys.json of this process. Copy keys.json from the"
    " data directory of a server that works on it, then start this process again."
)
