"""The fold: what each fact does to the people it concerns (linking.md, "The fold, precisely").

Every function here changes `People` in place and nothing else: no clock, no chance, no I/O. A fact that the rules
refuse raises the refusal and must then be thrown away together with the `People` it was applied to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from unbroken.domain import errors
from unbroken.domain.activation import next_in_line, wins
from unbroken.domain.app import Linking, Policy, Takeover
from unbroken.domain.install import Event, Install, Rule, State, next_state
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    Linked,
    PolicyChanged,
    Registered,
    Renamed,
    Reset,
    Said,
    Unlinked,
    UserDisabled,
    UserEnabled,
)
from unbroken.domain.ledger.people import People, Span, status_of
from unbroken.domain.link import Effect, Row, Situation, Whose, decide_link
from unbroken.domain.payload import OUTCOMES, Outcome
from unbroken.domain.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from unbroken.domain.ids import InstallId, UserId


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
        case Reset() | Disabled() | Enabled() | Activated():
            _MOVES[type(said)](people, fact, said.install_id)
        case UserDisabled() | UserEnabled():
            _switch_user(people, fact, people.resolve(said.user_id), isinstance(said, UserDisabled))
        case Renamed():
            _rename(people, fact, said)
        case PolicyChanged():
            people.policy = said.policy
        case Unlinked():
            pass  # `undo.live` has left out what it cancels
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


def decide(people: People, said: Linked) -> Row:
    """The row of the decision table for a link, from what the ledger says ("decided again from row 5 on")."""
    return decide_link(situation_of(people, said), start="5")


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
        whose=_whose(install, person),
        person_exists=person is not None,
        person_is_disabled=person is not None and person.is_disabled,
        is_pristine=said.pristine,
        used_install=said.used_install,
    )


def _whose(install: Install, person: User | None) -> Whose:
    """By the person, not by the text: an alias of a renamed person is the same one."""
    if not install.is_linked:
        return Whose.NOBODY
    return Whose.SAME if person is not None and person.user_id == install.user else Whose.OTHER


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
        _join(people, fact, said, is_claim=answer is Effect.JOIN_AND_CLAIM)


def _carry(people: People, fact: Fact, said: Linked) -> None:
    """Row 10: the install's own user is this person from now on; its activation goes on."""
    own_user = people.install(said.install_id).own_user
    people.carriers[said.external_id] = own_user
    people.set_user(own_user, external_id=said.external_id, named_at=fact.at, touched_at=fact.at)


def _join(people: People, fact: Fact, said: Linked, *, is_claim: bool) -> None:
    """Rows 12, 14 and 15: the own user is retired, what it had is void or claimed, the activation rule decides."""
    install = people.install(said.install_id)
    user = people.resolve(people.carriers[said.external_id])
    people.set_user(install.own_user, redirect=user.user_id, holder=None, named_at=fact.at, touched_at=fact.at)
    people.set_user(user.user_id, named_at=fact.at, touched_at=fact.at)
    people.set_install(said.install_id, user=user.user_id, standing=State.STANDBY)
    people.voided.add(said.install_id)
    people.spans[said.install_id] = _claimed(people, fact, install) if is_claim else [_voided(people, fact, install)]
    rival = _compete(people, fact, said.install_id)
    _settle(people, fact, said.install_id, rival)


def _voided(people: People, fact: Fact, install: Install) -> Span:
    """All that the install was before, as one stretch that never counts for its new user."""
    user = people.install(install.install_id).user
    since = install.registered_at
    return Span(install.install_id, user, State.ACTIVE, Outcome.BEFORE_LINK, since, fact.at, fact.fact_id)


def _claimed(people: People, fact: Fact, install: Install) -> list[Span]:
    """Row 14: what the own user had is the new user's where no activation of that one covers it.

    The spans of all installs of the new user must have been loaded, not only the open ones.
    """
    user = people.install(install.install_id).user
    covered = _activations(people, user, fact.at)
    claimed = []
    for span in people.spans[install.install_id]:
        end = fact.at if span.to_ms is None else span.to_ms
        whole = replace(span, user_id=user, to_ms=end, cause=fact.fact_id, rival=None)
        if span.outcome is Outcome.ACCEPTED:
            claimed += _cut(whole, end, covered)
        else:
            claimed.append(replace(whole, outcome=Outcome.BEFORE_LINK))
    return claimed


def _activations(people: People, user: UserId, until: int) -> list[tuple[int, int]]:
    """The intervals in which some install of a user was active, in order."""
    spans = [
        span
        for install in people.installs_of(user)
        for span in people.spans[install.install_id]
        if span.outcome is Outcome.ACCEPTED and span.user_id == user
    ]
    return sorted((span.from_ms, until if span.to_ms is None else span.to_ms) for span in spans)


def _cut(span: Span, end: int, covered: Iterable[tuple[int, int]]) -> list[Span]:
    """A span in pieces: OVERLAPS where it is covered, as it is elsewhere."""
    pieces, at = [], span.from_ms
    for from_ms, to_ms in covered:
        start, stop = max(from_ms, at), min(to_ms, end)
        if start >= stop:
            continue
        if start > at:
            pieces.append(replace(span, from_ms=at, to_ms=start))
        pieces.append(replace(span, outcome=Outcome.OVERLAPS, from_ms=start, to_ms=stop))
        at = stop
    return [*pieces, replace(span, from_ms=at, to_ms=end)] if at < end else pieces


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


_MOVES: dict[type[Said], Callable[[People, Fact, InstallId], None]] = {
    Reset: _reset,
    Disabled: _disable,
    Enabled: _enable,
    Activated: _activate,
}


def _switch_user(people: People, fact: Fact, user: User, is_disabled: bool) -> None:
    people.set_user(user.user_id, is_disabled=is_disabled, named_at=fact.at, touched_at=fact.at)
    for install in people.installs_of(user.user_id):
        _settle(people, fact, install.install_id)


def _rename(people: People, fact: Fact, said: Renamed) -> None:
    """The person carries E too; the ids before stay aliases that nobody else can take, unless they are released.

    Raises:
        Conflict: somebody else carries E, or the user is not linked.
    """
    user = people.resolve(said.user_id)
    carrier = people.carriers.get(said.external_id)
    if carrier is not None and people.resolve(carrier).user_id != user.user_id:
        raise errors.Conflict("Another person carries this external id.")
    if user.external_id is None:
        raise errors.Conflict("This user carries no external id yet: link an install of it.")
    if said.release_old:
        for external_id in [one for one, by in people.carriers.items() if by == user.user_id]:
            del people.carriers[external_id]
            people.released.add(external_id)
    people.carriers[said.external_id] = user.user_id
    people.released.discard(said.external_id)
    people.set_user(user.user_id, external_id=said.external_id, named_at=fact.at, touched_at=fact.at)


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
