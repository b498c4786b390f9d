"""The fold: what each fact does to the people it concerns (linking.md, "The fold, precisely").

Every function here changes `People` in place and nothing else: no clock, no chance, no I/O. A fact that the rules
refuse raises the refusal and must then be thrown away together with the `People` it was applied to.
"""

from __future__ import annotations

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
from unbroken.domain.ledger.people import People, status_of
from unbroken.domain.ledger.spans import claimed, settle, voided
from unbroken.domain.link import Effect, Situation, Whose, decide_link
from unbroken.domain.user import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
        case Reset() | Disabled() | Enabled() | Activated():
            _MOVES[type(said)](people, fact, said.install_id)
            people.set_user(people.resolve(people.install(said.install_id).user).user_id, touched_at=fact.at)
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
    settle(people, fact, said.install_id)


# Linking


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
    answer = decide_link(situation_of(people, said), start="5").answer  # "decided again from row 5 on"
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
    people.carry(said.external_id, own_user)
    people.set_user(own_user, external_id=said.external_id, named_at=fact.at, touched_at=fact.at)


def _join(people: People, fact: Fact, said: Linked, *, is_claim: bool) -> None:
    """Rows 12, 14 and 15: the own user is retired, what it had is void or claimed, the activation rule decides."""
    install = people.install(said.install_id)
    user = people.resolve(people.carriers[said.external_id])
    people.set_user(install.own_user, redirect=user.user_id, holder=None, named_at=fact.at, touched_at=fact.at)
    people.set_user(user.user_id, named_at=fact.at, touched_at=fact.at)
    people.set_install(said.install_id, user=user.user_id, standing=State.STANDBY)  # until the activation rule speaks
    people.voided.add(said.install_id)
    past = claimed(people, fact, install, said.floor_ms) if is_claim else [voided(people, fact, install)]
    people.spans[said.install_id] = past
    rival = _compete(people, fact, said.install_id)
    settle(people, fact, said.install_id, rival)


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
    else:  # one that was active and comes back to find another in its place is superseded
        _move(people, install_id, Event.OTHER_ACTIVE)
    return holder.install_id


def _hold(people: People, fact: Fact, install_id: InstallId) -> None:
    """Make an install the active one; another one that was is superseded."""
    user = people.resolve(people.install(install_id).user)
    people.set_user(user.user_id, holder=install_id, touched_at=fact.at)
    _move(people, install_id, Event.ACTIVATED)
    if user.holder == install_id:
        return
    for other in people.installs_of(user.user_id):
        if other.install_id != install_id and _move(people, other.install_id, Event.OTHER_ACTIVE):
            settle(people, fact, other.install_id, install_id)


def _move(people: People, install_id: InstallId, event: Event) -> bool:
    """Take the state from the table of states; returns whether it is another one.

    Raises:
        Refusal: the one that stands there.
    """
    install = people.install(install_id)
    state = next_state(install.state, event)
    assert isinstance(state, State)
    if state is install.state:
        return False
    people.installs[install_id] = install.in_state(state)
    people.touched_installs.add(install_id)
    return True


# Leaving, and coming back


def _reset(people: People, fact: Fact, install_id: InstallId) -> None:
    _move(people, install_id, Event.DELETED)
    people.set_install(install_id, named_at=fact.at)
    settle(people, fact, install_id)
    _leave(people, fact, install_id)


def _disable(people: People, fact: Fact, install_id: InstallId) -> None:
    _move(people, install_id, Event.DISABLED)
    people.set_install(install_id, named_at=fact.at)
    settle(people, fact, install_id)
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
            settle(people, fact, follower.install_id)


def _enable(people: People, fact: Fact, install_id: InstallId) -> None:
    rival = None
    if next_state(people.install(install_id).state, Event.ENABLED) is Rule.RETURN:
        rival = _return(people, fact, install_id)
    else:
        _move(people, install_id, Event.ENABLED)
    people.set_install(install_id, named_at=fact.at)
    settle(people, fact, install_id, rival)


def _return(people: People, fact: Fact, install_id: InstallId) -> InstallId | None:
    """It is what it was before it was disabled, unless that is the place of another by now, or one that is free."""
    people.set_install(install_id, is_disabled=False)
    install = people.install(install_id)
    user = people.resolve(install.user)
    if install.standing is State.ACTIVE:
        return _compete(people, fact, install_id)
    if install.standing is State.STANDBY and user.holder is None and people.policy.takeover is Takeover.STANDBY:
        _hold(people, fact, install_id)
    return None


def _activate(people: People, fact: Fact, install_id: InstallId) -> None:
    install = people.install(install_id)
    next_state(status_of(install, people.resolve(install.user)), Event.ACTIVATED)  # its user may be disabled
    people.set_install(install_id, named_at=fact.at)
    _hold(people, fact, install_id)
    settle(people, fact, install_id)


_MOVES: dict[type[Said], Callable[[People, Fact, InstallId], None]] = {
    Reset: _reset,
    Disabled: _disable,
    Enabled: _enable,
    Activated: _activate,
}


def _switch_user(people: People, fact: Fact, user: User, is_disabled: bool) -> None:
    people.set_user(user.user_id, is_disabled=is_disabled, named_at=fact.at, touched_at=fact.at)
    for install in people.installs_of(user.user_id):
        settle(people, fact, install.install_id)


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
    people.carry(said.external_id, user.user_id)
    people.set_user(user.user_id, external_id=said.external_id, named_at=fact.at, touched_at=fact.at)
