"""Proof: the facts of some archives, folded anew, must say what the archives say; only what was folded is written.

A person's history can reach into another's: an undone link may have moved ids between them. Then neither folds alone
to what it was, and both archives must come together.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from itertools import chain
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ledger.facts import Registered
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.domain.user import User
from unbroken.flow import archive, held
from unbroken.flow.arrival import at_position

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.domain.ids import FactId, InstallId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.ledger.people import People
    from unbroken.flow.arrival import Arrival, Derived, Told

_HINT: Final = (
    "Persons whose histories are tied are imported in one command, from archives that were exported together. Or the"
    " policy of the app was another when this was decided: import into an app that holds nobody yet."
)
_TIED_HINT: Final = (
    "Persons who carried the same external id, be it by a link that was undone, are imported in one command, from"
    " archives that were exported together. Was the other erased meanwhile? Then export again: it stands alone by now."
)


def refuse_parted(arrivals: Sequence[Arrival]) -> None:
    """Persons whose histories are tied come together, or they could never be joined again.

    Raises:
        InvalidRequest: somebody is missing.
    """
    brought = {fact_id for arrival in arrivals for fact_id in arrival.fact_ids}
    for arrival in arrivals:
        if not brought.issuperset(chain(*arrival.tied.values())):
            user_id = arrival.user_id.hex()
            why = f"The history of the user {user_id} is tied to that of another person, who does not come along."
            raise InvalidRequest(why, hint=_TIED_HINT)


def in_order(arrivals: Sequence[Arrival]) -> list[Told]:
    """The facts of all archives as one ledger; a fact that several hold, as a policy, comes once.

    Tied persons come in the order of the ledger that they had, which the times alone do not tell: two facts may be of
    one instant. Between others the time decides.
    """
    waiting = [deque(arrival.facts) for arrival in arrivals]
    left = Counter(one.entry.fact_id for facts in waiting for one in facts)
    before = _before(arrivals)
    merged: list[Told] = []
    while heads := [facts[0] for facts in waiting if facts]:
        first = min(_ready(heads, left, before) or heads, key=lambda one: one.entry.at)
        merged.append(first)
        del left[first.entry.fact_id]
        for facts in waiting:
            if facts and facts[0].entry.fact_id == first.entry.fact_id:
                facts.popleft()
    return merged


def _ready(heads: Sequence[Told], left: Counter[FactId], before: Mapping[FactId, Sequence[FactId]]) -> list[Told]:
    """Those before which nothing is left in any archive."""
    reached = Counter(one.entry.fact_id for one in heads)
    return [
        one
        for one in heads
        if reached[one.entry.fact_id] == left[one.entry.fact_id]
        and not any(left[other] for other in before.get(one.entry.fact_id, ()))
    ]


def _before(arrivals: Sequence[Arrival]) -> Mapping[FactId, list[FactId]]:
    """Of each fact the facts of others that come before it, as far as they come after the one before in its archive."""
    before: defaultdict[FactId, list[FactId]] = defaultdict(list)
    for arrival in arrivals:
        for fact_id, others in arrival.tied.items():
            if fact_id is not None:
                before[fact_id] += others
    return before


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
        _take_aliases(arrival, people)
        _compare(arrival, people)
    _refuse_unspoken(arrivals, people)
    return people


def _refuse_unspoken(arrivals: Sequence[Arrival], people: People) -> None:
    """Everybody whom the facts make must come with what only the archives know of them."""
    if people.users.keys() != {user_id for arrival in arrivals for user_id in arrival.users}:
        raise InvalidRequest("The facts make users that no archive speaks of.", hint=_HINT)
    if people.installs.keys() != {install_id for arrival in arrivals for install_id in arrival.installs}:
        raise InvalidRequest("The facts make installs that no archive speaks of.", hint=_HINT)


def first_position(policies: Sequence[Fact]) -> int:
    """The position after those."""
    return max((fact.position for fact in policies), default=0) + 1


def _take_ages(arrival: Arrival, people: People) -> None:
    """When an id was given out is history: an undo may have moved it to a person whose install is older or younger."""
    for user_id in people.users.keys() & arrival.users.keys():
        people.users[user_id] = people.users[user_id]._replace(created_at=arrival.users[user_id].created_at)


def _take_aliases(arrival: Arrival, people: People) -> None:
    """An id that redirects may be all that is left of an undo: an erasure of somebody else took its facts away."""
    of = people.users.get(arrival.user_id)
    for user_id in arrival.users.keys() - people.users.keys():
        line = arrival.users[user_id]
        if of is not None and line.redirect is not None:
            people.users[user_id] = User(user_id, line.created_at, of.named_at, of.touched_at, redirect=arrival.user_id)


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
    lines: list[archive.Line] = [
        held.user_line(user, arrival.user_id) for user in sorted(users, key=held.current_first)
    ]
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
