"""History: what the tables keep beside the fold of the ledger, and so may hold though the fold says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.domain.ledger.facts import Registered, Unlinked
from unbroken.store import inspection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.store.contract import Transaction


class Key(NamedTuple):
    """Which row: of an install's spans, `part` is where it begins; of carriers, the external id."""

    table: str
    owner: bytes
    part: Any = None


Rows = dict[Key, dict[str, Any]]


class History:
    """What the tables keep beside the fold, as it is history.

    An undo says of everybody it reached that they were named when it was made; an erasure takes such facts away. An id
    keeps its age when an undo gives it to somebody else, and one that redirected once may go on through others.
    """

    def __init__(self, tx: Transaction, app_id: AppId, facts: Sequence[Fact], actual: Rows) -> None:
        self._tx = tx
        self._app_id = app_id
        self._actual = actual
        self._undone_at = _undone_at(facts)
        self._births = {fact.at for fact in facts if isinstance(fact.said, Registered)} if self._undone_at else set()

    async def allowing(self, key: Key, found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
        """What is expected, with what was found where that is history; of an adopted person the fold has all."""
        allowed = self._touched(key, expected)
        for column, value in allowed.items():
            is_expected = found[column] in {value, expected[column]}
            if is_expected or await self._is_history(column, found[column], value):
                allowed[column] = found[column]
        return allowed

    def _touched(self, key: Key, expected: dict[str, Any]) -> dict[str, Any]:
        at = self._undone_at.get(key.owner)
        if at is None or key.table not in {"installs", "users"}:
            return dict(expected)
        is_alias = key.table == "users" and expected["redirect"] is not None and expected["holder"] is None
        times = {name: expected[name] for name in ("named_at", "touched_at") if name in expected}
        if is_alias and not self._is_own(key.owner):
            return {**expected, **dict.fromkeys(times, at)}  # nothing names it any more
        return {**expected, **{name: max(time, at) for name, time in times.items()}}

    def _is_own(self, user_id: bytes) -> bool:
        """Whether it is the own user of an install, which had its time of being named when that was linked."""
        return any(key.table == "installs" and row["own_user"] == user_id for key, row in self._actual.items())

    async def _is_history(self, column: str, found: Any, expected: Any) -> bool:
        match column:
            case "created_at" if found in self._births:
                return True
            case "named_at" | "touched_at" | "created_at":
                return isinstance(found, int) and await inspection.is_time_out_of_sight(self._tx, self._app_id, found)
            case "redirect":
                return found is not None and expected is not None and self._leads_to(found, expected)
            case _:
                return False

    def _leads_to(self, user_id: Any, expected: Any) -> bool:
        for _ in self._actual:
            row = self._actual.get(Key("users", user_id))
            if user_id == expected or row is None or row["redirect"] is None:
                break
            user_id = row["redirect"]
        return bool(user_id == expected)


def _undone_at(facts: Sequence[Fact]) -> dict[bytes, int]:
    """When the last undo was made that reached an install or a user, by the facts that there were then."""
    reached: dict[bytes, int] = {}
    for undo in facts:  # in order
        if isinstance(undo.said, Unlinked):
            names = _names(undo)
            before = [fact for fact in facts if fact.position < undo.position]
            while new := {name for fact in before if names & _names(fact) for name in _names(fact)} - names:
                names |= new
            reached |= {bytes(name): undo.at for name in names if isinstance(name, bytes)}
    return reached


def _names(fact: Fact) -> set[Any]:
    """Everything by which a fact leads to others."""
    said: Any = fact.said
    names = {getattr(said, name, None) for name in ("install_id", "user_id", "external_id", "subject", "fresh_user")}
    return ({fact.fact_id, *getattr(said, "aliases", ())} | names) - {None}
