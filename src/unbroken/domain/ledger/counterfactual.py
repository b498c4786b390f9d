"""Counterfactuals: what would have had to differ for an install to stand otherwise, proven by folding that ledger.

Each candidate is one change of the facts: another form, another time of installing, or the fact that decided left out.
It is told only if the fold of the changed facts gives another state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.install import Form, State
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    Linked,
    Registered,
    Reset,
    UserDisabled,
    UserEnabled,
)
from unbroken.domain.ledger.people import status_of
from unbroken.domain.ledger.refold import refold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken.domain.ids import InstallId
    from unbroken.domain.ledger.deciding import Decision
    from unbroken.domain.ledger.facts import Said


_HAPPENED: Final[dict[type[Said], str]] = {
    Linked: "linked",
    Reset: "reset",
    Disabled: "disabled",
    Enabled: "enabled",
    Activated: "made the active one",
    UserDisabled: "disabled",
    UserEnabled: "enabled",
}
"""What a fact that can decide did to the install or the user it names."""


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """One thing that would have had to differ.

    Args:
        change: what differs, by name: `form`, `registered_at`, or `without` (a fact).
        then: how the install would stand.
        sentence: the same in plain words.
    """

    change: dict[str, Any]
    then: State
    sentence: str


def counterfactuals(decided: Decision) -> list[Counterfactual]:
    """What would have had to differ for the install to have stood otherwise then."""
    install_id = decided.install.install_id
    now = state_at_end(decided.facts, install_id)
    told = []
    for change, sentence, changed in _candidates(decided):
        then = state_at_end(changed, install_id)
        if then is not None and then is not now:
            told.append(Counterfactual(change, then, sentence.format(then=then.value)))
    return told


def state_at_end(facts: Sequence[Fact], install_id: InstallId) -> State | None:
    """How an install stands after some facts; None where it is not among them."""
    people = refold(facts).people
    if install_id not in people.installs:
        return None
    install = people.installs[install_id]
    return status_of(install, people.resolve(install.user))


def _candidates(decided: Decision) -> Iterator[tuple[dict[str, Any], str, list[Fact]]]:
    facts, install_id = decided.facts, decided.install.install_id
    registered = _registration(facts, install_id)
    assert isinstance(registered.said, Registered)
    other = Form.TABLET if registered.said.form is Form.PHONE else Form.PHONE
    as_other = registered._replace(said=replace(registered.said, form=other))
    sentence = f"Had it been a {other.value}, it would be {{then}}."
    yield {"form": other.value}, sentence, _with(facts, as_other)
    if decided.rival is not None:
        at = _registration(facts, decided.rival.install_id).at
        for moved, word in ((at + 1, "after"), (at - 1, "before")):
            if moved != registered.at and _is_possible(facts, install_id, moved):
                sentence = f"Had it been installed {word} the other one, it would be {{then}}."
                yield {"registered_at": moved}, sentence, _with(facts, registered._replace(at=moved))
        latest = max(f.at for f in facts if isinstance(f.said, Registered)) + 1
        if _is_possible(facts, install_id, latest):
            newest_phone = registered._replace(at=latest, said=replace(registered.said, form=Form.PHONE))
            change = {"form": Form.PHONE.value, "registered_at": latest}
            yield change, "Had it been the phone installed last, it would be {then}.", _with(facts, newest_phone)
    cause = decided.cause
    if cause.fact_id != registered.fact_id:
        without = [fact for fact in facts if fact.fact_id != cause.fact_id]
        yield {"without": cause.fact_id.hex()}, f"{_had_not(cause, install_id)}, it would be {{then}}.", without


def _had_not(cause: Fact, install_id: InstallId) -> str:
    """The fact that decided, denied."""
    named = getattr(cause.said, "install_id", None)
    whom = "its user" if named is None else "it" if named == install_id else f"the install {named.hex()}"
    return f"Had {whom} not been {_HAPPENED[type(cause.said)]}"


def _registration(facts: Sequence[Fact], install_id: InstallId) -> Fact:
    return next(f for f in facts if isinstance(f.said, Registered) and f.said.install_id == install_id)


def _with(facts: Sequence[Fact], changed: Fact) -> list[Fact]:
    return [changed if fact.fact_id == changed.fact_id else fact for fact in facts]


def _is_possible(facts: Sequence[Fact], install_id: InstallId, registered_at: int) -> bool:
    """Whether it can have been registered then: before everything else that names it."""
    later = [f.at for f in facts if getattr(f.said, "install_id", None) == install_id]
    return all(at > registered_at for at in later[1:])
