"""People: the tables installs, users, carriers and spans must be what the ledger's fold says (linking.md, the fold).

The facts of everybody that an install ever had to do with are folded anew, and compared row by row. What differs is
proved wrong only if everything else agrees: a damaged fact shows in several rows, a damaged row in itself alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.domain.ledger.facts import Linked, Renamed
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.flow.person_facts import facts_of_person
from unbroken.flow.verify.finding import Finding, Mend, Rule, key_of, shown
from unbroken.flow.verify.history import History, Key
from unbroken.store import inspection
from unbroken.store.sealed import KeyNotHere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId, ExternalId, InstallId, UserId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.ledger.people import People, Span
    from unbroken.domain.user import User
    from unbroken.flow.verify.history import Rows
    from unbroken.store.contract import Transaction


class Differs(NamedTuple):
    """A row that is not as the fold says; None where it is not there, or should not be."""

    key: Key
    found: dict[str, Any] | None
    expected: dict[str, Any] | None

    @property
    def unit(self) -> Key:
        """What one damaged row can touch: itself, all spans of an install, all external ids of these people."""
        owner = b"" if self.key.table == "carriers" else self.key.owner
        return Key(self.key.table, owner)


@dataclass(slots=True)
class Looked:
    """Everybody that an install ever had to do with, as the ledger has them.

    Args:
        seed: some install of them.
        differs: rows that are not as they should be.
        unreadable: why the facts could not be folded, if they could not.
    """

    app_id: AppId
    seed: InstallId
    installs: list[InstallId] = field(default_factory=list)
    users: list[UserId] = field(default_factory=list)
    differs: list[Differs] = field(default_factory=list)
    expected: Rows = field(default_factory=dict)
    refused: list[bytes] = field(default_factory=list)
    unreadable: str | None = None

    @property
    def is_proved(self) -> bool:
        """Whether the ledger proves what is right: it can be folded, and all but one row agrees."""
        is_whole = self.unreadable is None and not self.refused
        return is_whole and len({one.unit for one in self.differs}) == 1 and not any(map(_is_lost, self.differs))


def _is_lost(one: Differs) -> bool:
    """An install or a user holds more than the ledger says, so a row that is gone cannot be made again."""
    return one.key.table in {"installs", "users"} and (one.found is None or one.expected is None)


async def look(tx: Transaction, app_id: AppId, seed: InstallId) -> Looked:
    """Fold the facts of everybody whom `seed` ever had to do with, and compare the rows."""
    looked = Looked(app_id, seed)
    try:
        facts = await facts_of_person(tx, app_id, seed)
        folded = refold(facts)
        people = labelled(folded)
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError, KeyNotHere) as error:
        looked.unreadable = f"{type(error).__name__}: {error}"
        looked.installs = [seed]
        return looked
    looked.refused = [bytes(fact_id) for fact_id in folded.refused]
    looked.installs, looked.users = sorted(people.installs), sorted(people.users)
    looked.expected = _expected(app_id, people)
    await _compare(tx, looked, facts)
    return looked


def findings_of(looked: Looked) -> list[Finding]:
    """What is wrong with these people."""
    if looked.unreadable is not None:
        return [Finding(Rule.LEDGER_FOLDS, "facts", key_of(looked.seed), looked.unreadable, "facts that fold")]
    refused = [
        Finding(Rule.LEDGER_FOLDS, "facts", shown(fact_id), "a fact that the rules refuse", "one they allow")
        for fact_id in looked.refused
    ]
    mend = Mend("people", looked.app_id, looked.installs[0]) if looked.is_proved else None
    return refused + [finding for one in looked.differs for finding in _told(one, mend)]


def _told(one: Differs, mend: Mend | None) -> list[Finding]:
    table, row = one.key.table, key_of(one.key.owner, *([] if one.key.part is None else [one.key.part]))
    if one.found is None:
        return [Finding(Rule.TABLES_ARE_FOLD, table, row, "no row", _row(one.expected), mend)]
    if one.expected is None:
        return [Finding(Rule.TABLES_ARE_FOLD, table, row, _row(one.found), "no row", mend)]
    return [
        Finding(Rule.TABLES_ARE_FOLD, table, f"{row} {column}", shown(one.found[column]), shown(value), mend)
        for column, value in one.expected.items()
        if one.found[column] != value
    ]


def _row(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{column} {shown(value)}" for column, value in (values or {}).items())


# What should be


def _expected(app_id: AppId, people: People) -> Rows:
    rows: Rows = {
        Key("installs", one.install_id): {"app_id": app_id} | _install(one) for one in people.installs.values()
    }
    rows |= {Key("users", one.user_id): {"app_id": app_id} | _user(one) for one in people.users.values()}
    rows |= {Key("carriers", app_id, name): {"user_id": user_id} for name, user_id in people.carriers.items()}
    for install_id, spans in people.spans.items():
        rows |= {Key("spans", install_id, span.from_ms): _span(span) for span in spans}
    return rows


def _install(install: Install) -> dict[str, Any]:
    return {
        "own_user": install.own_user,
        "user_id": install.user,
        "form": install.form.value,
        "registered_at": install.registered_at,
        "place": install.place,
        "named_at": install.named_at,
        "link": install.link,
        "external_id": install.external_id,
        "linked_at": install.linked_at,
        "standing": install.standing.value,
        "is_disabled": install.is_disabled,
    }


def _user(user: User) -> dict[str, Any]:
    return {
        "created_at": user.created_at,
        "named_at": user.named_at,
        "touched_at": user.touched_at,
        "external_id": user.external_id,
        "holder": user.holder,
        "is_disabled": user.is_disabled,
        "redirect": user.redirect,
    }


def _span(span: Span) -> dict[str, Any]:
    return {
        "user_id": span.user_id,
        "state": span.state.value,
        "outcome": span.outcome.value,
        "to_ms": span.to_ms,
        "cause": span.cause,
        "rival": span.rival,
    }


# What is


async def _actual(tx: Transaction, looked: Looked, external_ids: set[ExternalId]) -> Rows:
    rows: Rows = {}
    for install_id in looked.installs:
        row = await inspection.install(tx, install_id)
        if row is not None:
            rows[Key("installs", install_id)] = dict(zip(inspection.INSTALL, row, strict=True))
        for from_ms, *rest in await inspection.spans(tx, install_id):
            rows[Key("spans", install_id, from_ms)] = dict(zip(inspection.SPAN, rest, strict=True))
    for user_id in looked.users:
        row = await inspection.user(tx, user_id)
        if row is not None:
            rows[Key("users", user_id)] = dict(zip(inspection.USER, row, strict=True))
        for external_id, carrier in await inspection.carried(tx, user_id):
            rows[Key("carriers", looked.app_id, external_id)] = {"user_id": carrier}
    for external_id in external_ids:
        carrier = await inspection.carrier(tx, looked.app_id, external_id)
        if carrier is not None:
            rows[Key("carriers", looked.app_id, external_id)] = {"user_id": carrier}
    return rows


async def _compare(tx: Transaction, looked: Looked, facts: Sequence[Fact]) -> None:
    named = {fact.said.external_id for fact in facts if isinstance(fact.said, Linked | Renamed)}
    actual = await _actual(tx, looked, named)
    history = History(tx, looked.app_id, facts, actual)
    for key in sorted(actual.keys() | looked.expected.keys(), key=str):
        found, expected = actual.get(key), looked.expected.get(key)
        if found is not None and expected is not None:
            expected = await history.allowing(key, found, expected)
        if found != expected:
            looked.differs.append(Differs(key, found, expected))
            if expected is not None:
                looked.expected[key] = expected
