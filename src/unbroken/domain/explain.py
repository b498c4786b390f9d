"""Explain: why an install stood as it did at an instant, in words a support person can read aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.domain.app import Precedence
from unbroken.domain.ledger.facts import KINDS, FactKind
from unbroken.domain.standing import STATES, Standing

if TYPE_CHECKING:
    from unbroken.domain.install import Install, State
    from unbroken.domain.ledger.deciding import Decision


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


def explain(decided: Decision, *, is_erased: bool = False) -> Explanation:
    """Explain how an install stood.

    Args:
        is_erased: the install was erased, by its operator or a customer; not reset by itself.
    """
    install = decided.install
    rule, sentence = _told(decided, is_erased=is_erased)
    inputs: dict[str, Any] = {
        "form": install.form.value,
        "registered_at": install.registered_at,
        "linked_at": install.linked_at,
        "since": decided.since,
        "decided_by": _kind(decided).value,
    }
    if decided.unlinked_at is not None:
        inputs["unlinked_at"] = decided.unlinked_at
    if (rival := decided.rival) is not None:
        inputs["other"] = {
            "install_id": rival.install_id.hex(),
            "form": rival.form.value,
            "registered_at": rival.registered_at,
            "linked_at": rival.linked_at,
        }
    return Explanation(STATES[decided.standing], install.is_linked, rule, inputs, sentence)


def _kind(decided: Decision) -> FactKind:
    return KINDS[type(decided.cause.said)]


_PRECEDENCE = "activation: precedence(I) against precedence(A)"
_ON_PURPOSE = "activation: on purpose"
_TAKEOVER = "activation: takeover = standby"


def _told(decided: Decision, *, is_erased: bool) -> tuple[str, str]:
    this = f"This {decided.install.form.value}"
    match decided.standing:
        case Standing.DELETED:
            how = "was erased, with all that it captured" if is_erased else "was reset"
            return "states: reset, user erased", f"{this} {how}: it is gone for ever."
        case Standing.USER_DISABLED:
            return "states: user disabled", f"{this} is disabled because its user is disabled."
        case Standing.INSTALL_DISABLED:
            return "states: disabled", f"{this} was disabled by the operator."
        case Standing.ACTIVE:
            return _active(this, decided)
        case Standing.STANDBY:
            return _beaten(this, "is on standby", decided)
        case Standing.SUPERSEDED:
            return _beaten(this, "was superseded", decided)


def _active(this: str, decided: Decision) -> tuple[str, str]:
    kind, rival = _kind(decided), decided.rival
    if not decided.install.is_linked:
        undone = "" if decided.unlinked_at is None else "its link was undone, and "
        return "registering: not linked", f"{this} is not linked: {undone}it is active on a user of its own."
    if kind is FactKind.ACTIVATED:
        return _ON_PURPOSE, f"{this} is the active one: it was made so on purpose."
    if kind in {FactKind.RESET, FactKind.DISABLED}:
        return _TAKEOVER, f"{this} is the active one: it took over when the one before it went away."
    if kind is FactKind.ENABLED and rival is None:
        return _TAKEOVER, f"{this} is the active one: it was on standby, and when it was enabled no other was active."
    if rival is not None:
        return _PRECEDENCE, f"{this} is the active one: {_why(decided.install, rival, decided.precedence)}"
    return _PRECEDENCE, f"{this} is the active one: no other install of this person was active when it came."


def _beaten(this: str, how: str, decided: Decision) -> tuple[str, str]:
    rival = decided.rival
    if _kind(decided) is FactKind.ACTIVATED:
        return _ON_PURPOSE, f"{this} {how}: another install was made the active one on purpose."
    if rival is not None:
        return _PRECEDENCE, f"{this} {how}: {_why(rival, decided.install, decided.precedence)}"
    return _PRECEDENCE, f"{this} {how}: another install of this person went before it."


def _why(winner: Install, loser: Install, precedence: Precedence) -> str:
    """Why one goes before the other: by form, else by the time that the policy compares."""
    if winner.form is not loser.form:
        return "of a phone and a tablet of one person the phone is active, whichever is newer."
    if precedence is Precedence.LAST_LINKED:
        return f"of two {winner.form.value}s the one that was linked last is active."
    return f"of two {winner.form.value}s the newer is active, the one that was installed last."
