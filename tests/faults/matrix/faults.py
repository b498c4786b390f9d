"""The table of faults: what each is called, what is done, how it is undone, and how soon the service must be back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from tests.faults.matrix import clocks
from tests.faults.matrix.leases import leases, not_moved
from tests.faults.matrix.scene import APIS, MEMBERS, NODES, WORKERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Proof = Callable[[], Sequence[str]]

BACK_S: Final = 10.0
BACK_WITH_ELECTION_S: Final = 15.0
_CUT_S: Final = (3.0, 6.0, 12.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    Args:
        name: what it is called, in the table of results too.
        inflict: does it; told the number of the round, from 0, by which it chooses among equals. What it answers is
            asked before the fault is healed, and tells as sentences what is not as it must be.
        heal: undoes it.
        lasts_s: how long it lasts, by the number of the round; a kill is over at once.
        back_s: how soon the service must be back: from the kill, or from the end of what lasts.
        is_borne: nothing is healed before the service is back: the others must bear it.
        are_clocks_right: see `laws.broken`.
    """

    name: str
    inflict: Callable[[Any, int], Proof | None]
    heal: Callable[[Any], None]
    lasts_s: Sequence[float] = (0.0,)
    back_s: float = BACK_S
    is_borne: bool = False
    are_clocks_right: bool = True


def _revive(scene: Any) -> None:
    scene.revive()


def _kill(name: str) -> Callable[[Any, int], None]:
    return lambda scene, _: scene.member(name).kill()


def _kill_one_of(*names: str) -> Callable[[Any, int], None]:
    return lambda scene, number: scene.member(names[number % len(names)]).kill()


def _cut_one_of(pairs: Sequence[tuple[str, str]]) -> Callable[[Any, int], None]:
    return lambda scene, number: scene.network.cut(*pairs[number % len(pairs)])


def _heal_network(scene: Any) -> None:
    scene.network.heal()


def _fill(name: str, scene: Any, _: int) -> None:
    scene.disks[name].fill()


def _free(name: str, scene: Any) -> None:
    scene.disks[name].free()
    scene.revive()


def _turn(name: str, scene: Any, number: int) -> None:
    """Forward in one round, back in the next; healing turns it the other way."""
    clocks.turn(scene.member(name).pid, clocks.HOUR_S if number % 2 == 0 else -clocks.HOUR_S)


def _set_right(scene: Any) -> None:
    for member in scene.members.values():
        clocks.turn(member.pid, 0)


KILLS: Final = (
    Fault("kill an API", _kill_one_of(*APIS), _revive),
    Fault("kill a worker", _kill_one_of(*WORKERS), _revive, is_borne=True),
    Fault("kill PostgreSQL", _kill("postgres"), _revive),
    Fault("kill a NATS node", _kill("follower"), _revive, is_borne=True),
    Fault("kill the NATS leader", _kill("leader"), _revive, is_borne=True, back_s=BACK_WITH_ELECTION_S),
)

KINDS: Final = {
    "API and API": (APIS, APIS),
    "API and worker": (APIS, WORKERS),
    "worker and worker": (WORKERS, WORKERS),
    "API and PostgreSQL": (APIS, ("postgres",)),
    "worker and PostgreSQL": (WORKERS, ("postgres",)),
    "API and NATS": (APIS, NODES),
    "worker and NATS": (WORKERS, NODES),
    "NATS and NATS": (NODES, NODES),
    "PostgreSQL and NATS": (("postgres",), NODES),
}
"""Every pair of members is of one of these kinds; the rounds of a kind go through its pairs in turn."""


def pairs(kind: str) -> list[tuple[str, str]]:
    """The pairs of a kind."""
    ones, others = KINDS[kind]
    return list(itertools.combinations(ones, 2) if ones is others else itertools.product(ones, others))


def _cut(name: str, of: Sequence[tuple[str, str]]) -> Fault:
    with_election = any(one in NODES and other in NODES for one, other in of)
    back_s = BACK_WITH_ELECTION_S if with_election else BACK_S
    return Fault(name, _cut_one_of(of), _heal_network, lasts_s=_CUT_S, back_s=back_s)


CUTS: Final = tuple(_cut(f"cut {kind}", pairs(kind)) for kind in KINDS)

EACH_CUT: Final = tuple(
    _cut(f"cut {one} and {other}", [(one, other)]) for one, other in itertools.combinations(MEMBERS, 2)
)
"""The same, one row for each pair; for those who want twenty rounds of each of the 28."""

FULL_DISKS: Final = tuple(
    Fault(f"full disk of {name}", partial(_fill, name), partial(_free, name), lasts_s=(4.0,), back_s=back_s)
    for name, back_s in (
        ("postgres", BACK_S),
        ("nats-1", BACK_WITH_ELECTION_S),
        ("api-1", BACK_S),
        ("worker-1", BACK_S),
    )
)

CLOCKS: Final = tuple(
    Fault(f"clock of {name}", partial(_turn, name), _set_right, lasts_s=(4.0,), are_clocks_right=False)
    for name in ("api-1", "worker-1", "postgres", "leader", "follower")
)


def _pause(scene: Any, number: int) -> Proof:
    before = leases(scene.operator)
    scene.member(WORKERS[number % 2]).pause()
    return lambda: not_moved(scene.operator, before)


def _resume(scene: Any) -> None:
    for worker in scene.cluster.workers:
        worker.resume()


SLEEP: Final = Fault("stop a worker for 30 s", _pause, _resume, lasts_s=(30.0,))

EMBEDDED: Final = (
    Fault("kill the embedded platform", _kill("platform"), _revive),
    Fault("full disk of the embedded platform", partial(_fill, "platform"), partial(_free, "platform"), lasts_s=(4.0,)),
    Fault(
        "clock of the embedded platform", partial(_turn, "platform"), _set_right, lasts_s=(4.0,), are_clocks_right=False
    ),
)
"""For one process on SQLite, on a small disk of its own."""

TABLE: Final = (*KILLS, *CUTS, *FULL_DISKS, *CLOCKS, SLEEP)
