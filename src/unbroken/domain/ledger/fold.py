"""The fold: what each fact does to the people it concerns (linking.md, "The fold, precisely").

Every function here changes `People` in place and nothing else: no clock, no chance, no I/O. A fact that the rules
refuse raises the refusal and must then be thrown away together with the `People` it was applied to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from unbroken.domain import errors
from unbroken.domain.activation import next_in_line, wins
from unbroken.domain.app import Linking, Policy, Takeover, UsedInstall
from unbroken.domain.install import Event, Install, Rule, State, next_state
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
from unbroken.domain.ledger.people import People, Span, status_of
from unbroken.domain.link import Effect, Row, Situation, Whose, decide_link
from unbroken.domain.payload import OUTCOMES, Outcome
from unbroken.domain.user import User

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import InstallId


def fold(facts: Iterable[Fact], policy: Policy) -> People:
    """All people of an app, from its live facts."""
    people = People(policy)
    for fact in sorted(facts, key=lambda fact: (fact.at, fact.position)):
        apply(people, fact)
    return people


def instant(now_ms: int, named: Iterable[int], touched: Iterable[int] = ()) -> int:
    """The time of a new fact: the clock's, but after every fact that names the same, and before none it touches.

    Args:
        now_ms: the server's clock, taken inside the transaction.
        named: `named_at` of the installs and users concerned.
        touched: `touched_at` of the users concerned; differs from it only where the clock ran back.
    """
    return max([now_ms, *(at + 1 for at in named), *touched])


def apply(people: People, fact: Fact) -> None:
    """Apply one fact.

    Raises:
        Refusal: a rule forbids it.
    """
    said = fact.said
    match said:
        case Registered():
            _register(people, fact, said)
        case Linked():
            _link(people, fact, said)
        case Reset():
            _reset(people, fact, said.install_id)
        case Disabled():
            _disable(people, fact, said.install_id)
        case Enabled():
            _enable(people, fact, said.install_id)
        case Activated():
            _activate(people, fact, said.install_id)
        case UserDisabled() | UserEnabled():
            _switch_user(people, fact, people.resolve(said.user_id), isinstance(said, UserDisabled))
        case _:
            assert_never(said)


def _register(people: People, fact: Fact, said: Registered) -> None:
    people.installs[said.install_id] = Install(
        install_id=said.install_id,
        own_user=said.user_id,
        user=said.user_id,
        form=said.form,
        registered_at=fact.at,
        place=fact.position,
        named_at=fact.at,
    )
    people.users[said.user_id] = User(
        said.user_id, created_at=fact.at, named_at=fact.at, touched_at=fact.at, holder=said.install_id
    )
    people.spans[said.install_id] = []
    people.touched_users.add(said.user_id)
    _settle(people, fact, said.install_id)


# Linking


def decide(people: People, said: Linked, situation: Situation | None = None) -> Row:
    """The row of the decision table for a link, from what the ledger says ("decided again from row 5 on")."""
    return decide_link(situation or situation_of(people, said), start="5")


def situation_of(people: People, said: Linked) -> Situation:
    """What the decision table asks, as far as the ledger knows; the caller adds what only the call knows."""
    install = people.install(said.install_id)
    carrier = people.carriers.get(said.external_id)
    person = people.resolve(carrier) if carrier is not None else None
    return Situation(
        external_id_is_valid=True,
        install_exists=True,
        same_app=True,
        linking=Linking.ON,
        state=status_of(install, people.resolve(install.user)),
        whose=_whose(install, said),
        person_exists=person is not None,
        person_is_disabled=person is not None and person.is_disabled,
        is_pristine=said.pristine,
        used_install=said.used_install,
    )


def _whose(install: Install, said: Linked) -> Whose:
    if install.external_id is None:
        return Whose.NOBODY
    return Whose.SAME if install.external_id == said.external_id else Whose.OTHER


def _link(people: People, fact: Fact, said: Linked) -> None:
    answer = decide(people, said).answer
    if isinstance(answer, type):
        raise answer
    if answer is Effect.NONE:
        return
    people.set_install(
        said.install_id, link=fact.fact_id, external_id=said.external_id, linked_at=fact.at, named_at=fact.at
    )
    if answer is Effect.CARRY:
        _carry(people, fact, said)
    else:
        _join(people, fact, said)


def _carry(people: People, fact: Fact, said: Linked) -> None:
    """Row 10: the install's own user is this person from now on; its activation goes on."""
    own_user = people.install(said.install_id).own_user
    people.carriers[said.external_id] = own_user
    people.set_user(own_user, external_id=said.external_id, named_at=fact.at, touched_at=fact.at)


def _join(people: People, fact: Fact, said: Linked) -> None:
    """Rows 12, 14 and 15: the own user is retired, what it had is void, and the activation rule decides."""
    if said.used_install is UsedInstall.CLAIM:
        raise errors.Conflict("the policy used_install = claim is not known to this version")
    install = people.install(said.install_id)
    user = people.resolve(people.carriers[said.external_id])
    people.set_user(install.own_user, redirect=user.user_id, holder=None, named_at=fact.at, touched_at=fact.at)
    people.set_user(user.user_id, named_at=fact.at, touched_at=fact.at)
    people.set_install(said.install_id, user=user.user_id, standing=State.STANDBY)
    _void(people, fact, install)
    rival = _compete(people, fact, said.install_id)
    _settle(people, fact, said.install_id, rival)


def _void(people: People, fact: Fact, install: Install) -> None:
    """Replace all that the install was before by one stretch that never counts for its new user."""
    user = people.install(install.install_id).user
    people.voided.add(install.install_id)
    people.spans[install.install_id] = [
        Span(
            install.install_id,
            user,
            State.ACTIVE,
            Outcome.BEFORE_LINK,
            install.registered_at,
            fact.at,
            fact.fact_id,
        )
    ]


def _compete(people: People, fact: Fact, install_id: InstallId) -> InstallId | None:
    """The activation table with A = the holder of the install's user; returns A where there was one."""
    install = people.install(install_id)
    user = people.resolve(install.user)
    if user.holder is None:
        _hold(people, fact, install_id)
        return None
    holder = people.install(user.holder)
    if wins(install, holder, people.policy.precedence):
        _hold(people, fact, install_id)
    elif install.standing is State.ACTIVE:  # it was active once and comes back to find another in its place
        people.set_install(install_id, standing=State.SUPERSEDED)
    return holder.install_id


def _hold(people: People, fact: Fact, install_id: InstallId) -> None:
    """Make an install the active one; another one that was is superseded."""
    user = people.resolve(people.install(install_id).user)
    if user.holder is not None and user.holder != install_id:
        people.set_install(user.holder, standing=next_state(State.ACTIVE, Event.OTHER_ACTIVE))
        before = user.holder
        people.set_user(user.user_id, holder=install_id, touched_at=fact.at)
        people.set_install(install_id, standing=State.ACTIVE)
        _settle(people, fact, before, install_id)
        return
    people.set_user(user.user_id, holder=install_id, touched_at=fact.at)
    people.set_install(install_id, standing=State.ACTIVE)


# Leaving, and coming back


def _reset(people: People, fact: Fact, install_id: InstallId) -> None:
    state = next_state(people.install(install_id).state, Event.DELETED)
    people.set_install(install_id, standing=state, named_at=fact.at)
    _settle(people, fact, install_id)
    _leave(people, fact, install_id)


def _disable(people: People, fact: Fact, install_id: InstallId) -> None:
    install = people.install(install_id)
    next_state(install.state, Event.DISABLED)
    people.set_install(install_id, is_disabled=True, named_at=fact.at)
    _settle(people, fact, install_id)
    _leave(people, fact, install_id)


def _leave(people: People, fact: Fact, install_id: InstallId) -> None:
    """If it was the active one its user has none, but for a takeover."""
    user = people.resolve(people.install(install_id).user)
    if user.holder != install_id:
        return
    people.set_user(user.user_id, holder=None, touched_at=fact.at)
    if people.policy.takeover is Takeover.STANDBY:
        follower = next_in_line(people.installs_of(user.user_id), people.policy.precedence)
        if follower is not None:
            _hold(people, fact, follower.install_id)
            _settle(people, fact, follower.install_id)


def _enable(people: People, fact: Fact, install_id: InstallId) -> None:
    install = people.install(install_id)
    state = next_state(install.state, Event.ENABLED)
    people.set_install(install_id, is_disabled=False, named_at=fact.at)
    if state is not Rule.RETURN:
        return
    rival = None
    user = people.resolve(install.user)
    if install.standing is State.ACTIVE:
        rival = _compete(people, fact, install_id)
    elif install.standing is State.STANDBY and user.holder is None and people.policy.takeover is Takeover.STANDBY:
        _hold(people, fact, install_id)
    _settle(people, fact, install_id, rival)


def _activate(people: People, fact: Fact, install_id: InstallId) -> None:
    next_state(people.install(install_id).state, Event.ACTIVATED)
    people.set_install(install_id, named_at=fact.at)
    _hold(people, fact, install_id)
    _settle(people, fact, install_id)


def _switch_user(people: People, fact: Fact, user: User, is_disabled: bool) -> None:
    people.set_user(user.user_id, is_disabled=is_disabled, named_at=fact.at, touched_at=fact.at)
    for install in people.installs_of(user.user_id):
        _settle(people, fact, install.install_id)


# Spans


def _settle(people: People, fact: Fact, install_id: InstallId, rival: InstallId | None = None) -> None:
    """Close the install's open span and open the next, if it stands differently now; an empty span does not exist."""
    install = people.install(install_id)
    people.touched_installs.add(install_id)
    spans = people.spans[install_id]
    state = status_of(install, people.resolve(install.user))
    if spans and spans[-1].to_ms is None:
        if (spans[-1].state, spans[-1].user_id) == (state, install.user):
            return
        spans[-1] = replace(spans[-1], to_ms=fact.at)
        if spans[-1].from_ms == fact.at:
            spans.pop()
    spans.append(Span(install_id, install.user, state, OUTCOMES[state], fact.at, None, fact.fact_id, rival))
