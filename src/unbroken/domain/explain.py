"""Explain: why an install stood as it did at an instant, in words a support person can read aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken.domain.install import Install, State
from unbroken.domain.payload import Outcome

if TYPE_CHECKING:
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


def explain(install: Install, span: Span, rival: Install | None, at: int, *, user_is_disabled: bool) -> Explanation:
    """Explain how `install` stood at `at`.

    Args:
        span: the stretch of its life that holds `at`.
        rival: the install whose precedence decided, where one did.
        user_is_disabled: whether the user as such is disabled now.
    """
    is_linked = install.linked_at is not None and install.linked_at <= at
    rule, sentence = _told(install, span, rival, is_linked=is_linked, user_is_disabled=user_is_disabled)
    inputs: dict[str, Any] = {
        "form": install.form.value,
        "registered_at": install.registered_at,
        "linked_at": install.linked_at if is_linked else None,
        "since": span.from_ms,
    }
    if rival is not None:
        inputs["other"] = {
            "install_id": rival.install_id.hex(),
            "form": rival.form.value,
            "registered_at": rival.registered_at,
        }
    return Explanation(span.state, is_linked, rule, inputs, sentence)


def _told(  # noqa: PLR0911 - one return a state
    install: Install, span: Span, rival: Install | None, *, is_linked: bool, user_is_disabled: bool
) -> tuple[str, str]:
    this = f"This {install.form.value}"
    if span.outcome is Outcome.BEFORE_LINK:
        return "linking, row 12", f"{this} was not linked yet: what it captured belonged to a user of its own."
    match span.state:
        case State.DELETED:
            return (
                "states: reset, user erased",
                f"{this} was reset: it is gone for ever.",
            )
        case State.DISABLED if user_is_disabled:
            return "states: user disabled", f"{this} is disabled because its user is disabled."
        case State.DISABLED:
            return "states: disabled", f"{this} was disabled by the operator."
        case State.ACTIVE if not is_linked:
            return "registering", f"{this} is not linked: it is active on a user of its own."
        case State.ACTIVE:
            return "activation: precedence(I) > precedence(A)", _active(this, install, rival)
        case State.STANDBY:
            return "activation: precedence(I) < precedence(A)", _standby(this, install, rival)
        case State.SUPERSEDED:
            return "activation: precedence(I) > precedence(A)", _superseded(this, install, rival)


def _active(this: str, install: Install, rival: Install | None) -> str:
    if rival is None:
        return f"{this} is the active one: no other install of this person was active when it came."
    return f"{this} is the active one: {_why(install, rival)}"


def _standby(this: str, install: Install, rival: Install | None) -> str:
    if rival is None:
        return f"{this} is on standby."
    return f"{this} is on standby: {_why(rival, install)}"


def _superseded(this: str, install: Install, rival: Install | None) -> str:
    if rival is None:
        return f"{this} was superseded by another install of this person."
    return f"{this} was superseded by a newer or stronger one: {_why(rival, install)}"


def _why(winner: Install, loser: Install) -> str:
    """Why one goes before the other: by form, else by age."""
    if winner.form is not loser.form:
        return "of a phone and a tablet of one person the phone is active, whichever is newer."
    return f"of two {winner.form.value}s the newer is active, the one that was installed last."
