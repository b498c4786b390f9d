"""Proof: the facts of some archives, folded anew, must say what the archives say; only what was folded is written.

A person's history can reach into another's: an undone link may have moved ids between them. Then neither folds alone
to what it was, and both archives must come together.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ledger.facts import Registered
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.flow import archive, held
from unbroken.flow.arrival import at_position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import InstallId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.ledger.people import People
    from unbroken.flow.arrival import Arrival, Derived, Told

_HINT: Final = (
    "A link that was undone can tie the histories of two persons together: then import the archives of both in one"
    " command. Or the policy of the app was another when this was decided: import into an app that holds nobody yet."
)


def in_order(arrivals: Sequence[Arrival]) -> list[Told]:
    """The facts of all archives as one ledger: each keeps its order, across them time decides; a policy comes once."""
    waiting = [deque(arrival.facts) for arrival in arrivals]
    holders = Counter(one.entry.fact_id for facts in waiting for one in facts)
    merged: list[Told] = []
    while any(waiting):
        heads = Counter(facts[0].entry.fact_id for facts in waiting if facts)
        reached = [
            facts[0] for facts in waiting if facts and heads[facts[0].entry.fact_id] == holders[facts[0].entry.fact_id]
        ]
        first = min(reached or [facts[0] for facts in waiting if facts], key=lambda one: one.entry.at)
        merged.append(first)
        for facts in waiting:
            if facts and facts[0].entry.fact_id == first.entry.fact_id:
                facts.popleft()
    return merged


def prove(arrivals: Sequence[Arrival], told: Sequence[Told], policies: Sequence[Fact]) -> People:
    """The people that the facts make, each fact at the position after the last policy plus its place in `told`.

    Args:
        policies: what the app's ledger holds already.

    Raises:
        InvalidRequest: an archive says otherwise.
    """
    first = first_position(policies)
    moving = [at_position(one, first + place) for place, one in enumerate(told)]
    facts = [*policies, *(fact for fact in moving if fact is not None)]
    try:
        people = labelled(refold(facts))
    except (KeyError, AssertionError):
        raise InvalidRequest("The facts name an install or a user that no archive brings.", hint=_HINT) from None
    for arrival in arrivals:
        _take_ages(arrival, people)
        _compare(arrival, people)
    brought = {user_id for arrival in arrivals for user_id in arrival.users}
    if people.users.keys() != brought:
        raise InvalidRequest("The facts make users that no archive speaks of.", hint=_HINT)
    return people


def first_position(policies: Sequence[Fact]) -> int:
    """The position after those."""
    return max((fact.position for fact in policies), default=0) + 1


def _take_ages(arrival: Arrival, people: People) -> None:
    """When an id was given out is history: an undo may have moved it to a person whose install is older or younger."""
    for user_id in people.users.keys() & arrival.users.keys():
        people.users[user_id] = people.users[user_id]._replace(created_at=arrival.users[user_id].created_at)


def _compare(arrival: Arrival, people: People) -> None:
    """Every derived line must be the one that follows from the facts."""
    expected = _expected(arrival, people)
    for (number, line), follows in zip(arrival.derived, expected, strict=False):
        if archive.write(line) != archive.write(follows):
            raise _differs(number)
    if len(arrival.derived) != len(expected):
        raise _differs(_number_after(arrival.derived, len(expected)))


def _expected(arrival: Arrival, people: People) -> list[archive.Line]:
    users = [user for user in people.users.values() if people.resolve(user.user_id).user_id == arrival.user_id]
    installs = [
        install for install in people.installs.values() if people.resolve(install.user).user_id == arrival.user_id
    ]
    installs.sort(key=lambda install: install.place)
    carried = sorted(one for one, by in people.carriers.items() if people.resolve(by).user_id == arrival.user_id)
    lines: list[archive.Line] = [held.user_line(user) for user in sorted(users, key=held.current_first)]
    lines += [archive.ExternalId(one, arrival.header.user_id) for one in carried]
    for install in installs:
        told = arrival.installs.get(install.install_id)
        if told is not None:
            lines.append(held.install_line(install, told.used, told.kept_from, told.device))
    lines += [held.span_line(span) for install in installs for span in people.spans[install.install_id]]
    return lines


def _number_after(lines: Sequence[Derived], count: int) -> int:
    return lines[count][0] if count < len(lines) else (lines[-1][0] + 1 if lines else 2)


def _differs(number: int) -> InvalidRequest:
    why = "The line does not follow from the facts in the archive."
    return InvalidRequest(f"Line {number}: {why}", hint=_HINT, details=((f"line {number}", why),))


def placed(people: People, told: Sequence[Told], positions: Sequence[int]) -> People:
    """The same people, with the positions that their registrations got."""
    places: dict[InstallId, int] = {}
    for one, position in zip(told, positions, strict=True):
        fact = at_position(one, position)
        if fact is not None and isinstance(fact.said, Registered):
            places[fact.said.install_id] = position
    people.installs = {
        install_id: install._replace(place=places[install_id]) for install_id, install in people.installs.items()
    }
    return people
