"""Explain: why an install stood as it did at an instant, in words a support person can read aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.domain.app import Precedence
from unbroken.domain.install import Install, State
from unbroken.domain.ledger.facts import KINDS, FactKind
from unbroken.domain.payload import Outcome
from unbroken.domain.standing import Standing

if TYPE_CHECKING:
    from unbroken.domain.ledger.deciding import Decision
    from unbroken.domain.ledger.people import Span


@dataclass(frozen=True, slots=True)
class Explanation:
    """What was decided, by which rule of linking.md, on what.

    Args:
        state: how the install stood.
        linked: whether it was linked then.
        rule: the rule, with its place in linking.md.
        inputs: what the rule looked at.
        sentence: the same in plain words.
    """

    state: State
    linked: bool
    rule: str
    inputs: dict[str, Any]
    sentence: str


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked: an install, the stretch of its life that holds the instant, and what decided its state then."""

    install: Install
    span: Span
    decided: Decision

    @property
    def cause(self) -> FactKind:
        """The kind of the fact that decided."""
        return KINDS[type(self.decided.cause.said)]


def explain(case: Case, at: int) -> Explanation:
    """Explain how the install stood at `at`."""
    install, span = case.install, case.span
    is_linked = install.linked_at is not None and install.linked_at <= at and span.outcome is not Outcome.BEFORE_LINK
    rule, sentence = _told(case, is_linked=is_linked)
    inputs: dict[str, Any] = {
        "form": install.form.value,
        "registered_at": install.registered_at,
        "linked_at": install.linked_at if is_linked else None,
        "since": span.from_ms,
        "decided_by": case.cause.value,
    }
    if (rival := case.decided.rival) is not None:
        inputs["other"] = {
            "install_id": rival.install_id.hex(),
            "form": rival.form.value,
            "registered_at": rival.registered_at,
            "linked_at": rival.linked_at,
        }
    return Explanation(span.state, is_linked, rule, inputs, sentence)


_PRECEDENCE = "activation: precedence(I) against precedence(A)"
_ON_PURPOSE = "activation: on purpose"
_TAKEOVER = "activation: takeover = standby"


def _told(case: Case, *, is_linked: bool) -> tuple[str, str]:
    this = f"This {case.install.form.value}"
    if case.span.outcome is Outcome.BEFORE_LINK or (case.span.state is State.ACTIVE and not is_linked):
        return "registering: not linked", f"{this} is not linked: it is active on a user of its own."
    match case.span.state:
        case State.DELETED:
            return "states: reset, user erased", f"{this} was reset: it is gone for ever."
        case State.DISABLED:
            return _disabled(this, case)
        case State.ACTIVE:
            return _active(this, case)
        case State.STANDBY:
            return _beaten(this, "is on standby", case)
        case State.SUPERSEDED:
            return _beaten(this, "was superseded", case)


def _disabled(this: str, case: Case) -> tuple[str, str]:
    if case.decided.standing is Standing.USER_DISABLED:
        return "states: user disabled", f"{this} is disabled because its user is disabled."
    return "states: disabled", f"{this} was disabled by the operator."


def _active(this: str, case: Case) -> tuple[str, str]:
    rival = case.decided.rival
    if case.cause is FactKind.ACTIVATED:
        return _ON_PURPOSE, f"{this} is the active one: it was made so on purpose."
    if case.cause in {FactKind.RESET, FactKind.DISABLED}:
        return _TAKEOVER, f"{this} is the active one: it took over when the one before it went away."
    if case.cause is FactKind.ENABLED and rival is None:
        return _TAKEOVER, f"{this} is the active one: it was on standby, and when it was enabled no other was active."
    if rival is not None:
        return _PRECEDENCE, f"{this} is the active one: {_why(case.install, rival, case.decided.precedence)}"
    return _PRECEDENCE, f"{this} is the active one: no other install of this person was active when it came."


def _beaten(this: str, how: str, case: Case) -> tuple[str, str]:
    rival = case.decided.rival
    if case.cause is FactKind.ACTIVATED:
        return _ON_PURPOSE, f"{this} {how}: another install was made the active one on purpose."
    if rival is not None:
        return _PRECEDENCE, f"{this} {how}: {_why(rival, case.install, case.decided.precedence)}"
    return _PRECEDENCE, f"{this} {how}: another install of this person went before it."


def _why(winner: Install, loser: Install, precedence: Precedence) -> str:
    """Why one goes before the other: by form, else by the time that the policy compares."""
    if winner.form is not loser.form:
        return "of a phone and a tablet of one person the phone is active, whichever is newer."
    if precedence is Precedence.LAST_LINKED:
        return f"of two {winner.form.value}s the one that was linked last is active."
    return f"of two {winner.form.value}s the newer is active, the one that was installed last."
