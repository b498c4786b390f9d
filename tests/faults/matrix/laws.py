"""What must be true afterwards, seen from outside: all that was acknowledged is there, once, and the laws hold.

`operator.py` has the platform verify itself besides; here nothing of its own code is used.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tests.model.api import DAY_MS, from_iso

from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.faults.matrix.load import Person
    from tests.model.api import Api, App

_CLOCK: Final = SystemClock()


def broken(api: Api, app: App, people: Sequence[Person], *, are_clocks_right: bool) -> list[str]:
    """Everything that is not as it must be, as sentences; none where all is well.

    Args:
        are_clocks_right: otherwise an item may be kept aside for its time, and a newer install be taken for an older.
    """
    found: list[str] = []
    users: dict[str, str] = {}
    for person in people:
        if person.answered:
            seen = _Seen(api, app, person, are_clocks_right=are_clocks_right)
            found += [f"{person.account}: {sentence}" for sentence in seen.broken()]
            other = users.setdefault(seen.user, person.account)
            found += [f"{person.account} and {other} are one user"] if other != person.account else []
    return found


class _Seen:
    """What can be read about one person."""

    def __init__(self, api: Api, app: App, person: Person, *, are_clocks_right: bool) -> None:
        now_ms = _CLOCK.now_ms()
        self._person = person
        self._are_clocks_right = are_clocks_right
        profile = api.find(app.bearer, person.account)
        assert profile.status == 200, f"{person.account} was linked, and is not there: {profile}"
        self.user = str(profile.json["id"])
        self._facts = api.ledger(app.bearer, self.user)
        self._installs = {one["install_id"]: one for one in api.installs(app.bearer, self.user).json["installs"]}
        self._items = api.items(app.bearer, self.user, now_ms - DAY_MS, now_ms + DAY_MS)

    def broken(self) -> Iterator[str]:
        """See `broken`."""
        yield from self._links()
        yield from self._activations()
        yield from self._payloads()

    def _links(self) -> Iterator[str]:
        """Every link that was acknowledged, once, to the user that was told (laws 1, 4 and 5)."""
        if self._person.answered != {self.user}:
            yield f"was told {self._person.answered}, is {self.user}"
        told = Counter(one.link_id for one in self._person.installs if one.link_id)
        kept = Counter(fact["fact_id"] for fact in self._facts if fact["kind"] == "linked")
        if told != kept:
            yield f"links lost {told - kept}, not acknowledged or twice {kept - told}"
        mine = Counter(one.install_id for one in self._person.installs if one.link_id)
        registered = Counter(fact["fields"]["install_id"] for fact in self._facts if fact["kind"] == "registered")
        if not mine == registered == Counter(list(self._installs)):
            yield f"registered {mine}, in the ledger {registered}, in the list {list(self._installs)}"
        for one in self._person.installs:
            if one.link_id and self._installs[one.install_id]["link_id"] != one.link_id:
                yield f"{one.install_id} is linked by {self._installs[one.install_id]['link_id']}, not {one.link_id}"

    def _activations(self) -> Iterator[str]:
        """At most one install at a time (law 2), and the one that was installed last is it."""
        spans = sorted(
            (from_iso(span["from"]), from_iso(span["to"]) if span["to"] else 2**62)
            for one in self._installs.values()
            for span in one["activations"]
        )
        for (_, end), (start, _) in itertools.pairwise(spans):
            if start < end:
                yield f"two installs are active at {start}"
        active = [name for name, one in self._installs.items() if one["state"] == "active"]
        last = [one.install_id for one in self._person.installs if one.link_id][-1:]
        if len(active) != 1 or (self._are_clocks_right and active != last):
            yield f"active are {active}, installed last is {last}"

    def _payloads(self) -> Iterator[str]:
        """Every item that was acknowledged, once, with its outcome (laws 6 and 7)."""
        told = Counter((one.install_id, t) for one in self._person.installs if one.link_id for t in one.captured)
        kept = Counter((item["install_id"], item["item"]["t"]) for item in self._items)
        if told != kept:
            yield f"items lost {dict(told - kept)}, not acknowledged or twice {dict(kept - told)}"
        outcomes = Counter(item["outcome"] for item in self._items)
        if self._are_clocks_right and set(outcomes) - {"accepted"}:
            yield f"outcomes {dict(outcomes)}"


def counted(people: Sequence[Person]) -> dict[str, Any]:
    """How much was acknowledged."""
    installs = [one for person in people for one in person.installs]
    return {
        "installs": len(installs),
        "links": sum(one.link_id is not None for one in installs),
        "items": sum(len(one.captured) for one in installs),
    }
