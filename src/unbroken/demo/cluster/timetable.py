"""What is killed when: evenly over the time of the load, each started again, and none before all is well once more."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.testing.cluster import Cluster
    from unbroken.testing.member import Member

DOWN_S: Final = 3.0
"""How long a member stays away before it is started again."""

BACK_MAX_S: Final = 90.0
"""How long the next kill waits for the service."""

_POLL_S: Final = 0.1

Tell = Callable[[str, str], None]
"""Told of a member, by name, and what became of it: killed, starting, running."""


@dataclass(frozen=True, slots=True)
class Kill:
    """Something that was killed.

    Args:
        what: of `VICTIMS`.
        member: its name.
        after_s: since the load began.
        at: the instant, of `time.monotonic`.
        again_s: how long after that the member itself was ready again.
    """

    what: str
    member: str
    after_s: float
    at: float
    again_s: float


def carry_out(
    cluster: Cluster, kills: Sequence[str], seconds: float, is_back: Callable[[float], bool], tell: Tell
) -> list[Kill]:
    """Let `seconds` pass, or more where members are slow to come back, and kill what is to be killed.

    Args:
        kills: of `VICTIMS`, in order.
        is_back: whether the service does its part again after an instant, of `time.monotonic`.

    Raises:
        ProcessFailed: a member did not come back.
    """
    began, done = time.monotonic(), list[Kill]()
    for place, what in enumerate(kills, 1):
        _sleep_until(began + seconds * place / (len(kills) + 1))
        member = VICTIMS[what](cluster, sum(kill.what == what for kill in done))
        done.append(_kill(what, member, began, tell))
        while not is_back(done[-1].at) and time.monotonic() < done[-1].at + BACK_MAX_S:
            time.sleep(_POLL_S)
    _sleep_until(began + seconds)
    return done


def _sleep_until(instant: float) -> None:
    time.sleep(max(0.0, instant - time.monotonic()))


def _kill(what: str, member: Member, began: float, tell: Tell) -> Kill:
    at = time.monotonic()
    member.kill()
    tell(member.name, "killed")
    time.sleep(DOWN_S)
    tell(member.name, "starting")
    member.start()
    tell(member.name, "running")
    return Kill(what, member.name, at - began, at, time.monotonic() - at)


def _follower(cluster: Cluster, turn: int) -> Member:
    assert cluster.nats is not None
    leader = cluster.leader()
    others = [server for server in cluster.nats.servers if server is not leader]
    return others[turn % len(others)]


def _postgres(cluster: Cluster, _: int) -> Member:
    assert cluster.postgres is not None
    return cluster.postgres


VICTIMS: Final[Mapping[str, Callable[[Cluster, int], Member]]] = {
    "worker": lambda cluster, turn: cluster.workers[turn % len(cluster.workers)],
    "api": lambda cluster, turn: cluster.apis[turn % len(cluster.apis)],
    "nats-leader": lambda cluster, _: cluster.leader(),
    "nats-node": _follower,
    "postgresql": _postgres,
}
"""What can be killed, and which member that is when it happens for the n-th time, from 0."""
