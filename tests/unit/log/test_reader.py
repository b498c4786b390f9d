"""Reading: a replica that hangs is left alone for a while, and the leader asked instead."""

from __future__ import annotations

from base64 import b64encode
from itertools import count
from typing import Any

import pytest

from unbroken.log.jetstream.connection import JetStreamError, Stored
from unbroken.log.jetstream.reader import SHUNNED_FIRST_S, Reader
from unbroken.log.jetstream.stream import Wanted
from unbroken.store.contract import StoreUnavailable

pytestmark = pytest.mark.anyio

RECORDS = [Stored(number, "s.p.1.ab", b"%d" % number) for number in (5, 6, 7)]


class Cluster:
    """A leader that answers, beside the replica that is asked first."""

    def __init__(self) -> None:
        self.is_silent = True
        self.batches = 0

    async def batch(self, stream: str, subject: str, sequence: int, limit: int) -> list[Stored]:
        self.batches += 1
        if self.is_silent:
            raise StoreUnavailable("does not answer")
        return [one for one in RECORDS if one.sequence >= sequence][:limit]

    async def ask(self, subject: str, wanted: dict[str, Any]) -> dict[str, Any]:
        found = next((one for one in RECORDS if one.sequence >= wanted["seq"]), None)
        if found is None:
            raise JetStreamError(404, 10037, "no message found")
        return {"message": {"seq": found.sequence, "subject": found.subject, "data": b64encode(found.payload)}}


async def test_what_a_silent_replica_does_not_give_the_leader_gives() -> None:
    cluster = Cluster()
    reader = Reader(cluster, Wanted("s", 3, 1))  # type: ignore[arg-type]

    assert await reader.all_after("s.p.1.*", 0, 10) == RECORDS
    assert cluster.batches == 1, "it is not waited for again and again"


async def test_after_a_while_it_is_asked_again() -> None:
    cluster, clock = Cluster(), count(0.0, SHUNNED_FIRST_S)
    reader = Reader(cluster, Wanted("s", 3, 1), seconds=lambda: next(clock))  # type: ignore[arg-type]
    assert await reader.after("s.p.1.*", 0, 10) == RECORDS[:1]

    cluster.is_silent = False
    assert await reader.after("s.p.1.*", 0, 10) == RECORDS
    assert cluster.batches == 2


async def test_one_that_stays_silent_is_asked_ever_less_often_until_it_answers() -> None:
    cluster, now_s = Cluster(), 0
    reader = Reader(cluster, Wanted("s", 3, 1), seconds=lambda: now_s)  # type: ignore[arg-type]
    asked = []
    for now_s in range(60):
        cluster.is_silent = now_s < 50
        before = cluster.batches
        await reader.after("s.p.1.*", 0, 10)
        asked += [now_s] * (cluster.batches - before)
    assert asked == [0, 1, 3, 7, 15, 25, 35, 45, *range(55, 60)]

    cluster.is_silent = True
    now_s = 60
    await reader.after("s.p.1.*", 0, 10)
    cluster.is_silent, now_s = False, 61
    assert await reader.after("s.p.1.*", 0, 10) == RECORDS, "what it owed is forgiven"
