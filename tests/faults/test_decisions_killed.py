"""An undo, or a link that claims what a used phone captured, is killed with SIGKILL: all of it happened, or nothing.

Two ways to be killed. In processes of their own at each statement that writes; and inside the commit, between any two
writes to the log file, of which a killed process leaves a beginning. What is compared is what the API tells of
everybody after the restart, byte for byte, timelines too. Saying it again then ends in the same state, with the answer
it would have had.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from tests.faults.decision_child import Fixed, doing
from tests.faults.killing import NOW_MS, killed, open_context, operator
from tests.faults.place import SQLITE, Place

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.flow import audit, audit_log, keys
from unbroken.flow.process import Worker
from unbroken.randomness import SystemRandomness
from unbroken.server import table
from unbroken.server.app import Application
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.request_ids import RequestIds
from unbroken.testing.in_process import START_MS, InProcess
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey

CHILD = Path(__file__).with_name("decision_child.py")
HOUR = 3_600_000
POSITION = re.compile(rb'"position":\d+,')
LOG_HEADER, FRAME_HEADER = 32, 24
DAY = Journey(HOME).stay(20).walk(CAFE).stay(30).ride(OFFICE).stay(40)

Story = Callable[[InProcess], Awaitable[tuple[str, ...]]]


@dataclass
class Built:
    """A place before the call, the words that make the call, whom to ask about, and with which key."""

    place: Place
    words: tuple[str, ...]
    names: dict[str, list[str]]
    key: str


def day(hour: int):
    return [wire.plain(item) for item in DAY.items(START_MS + hour * HOUR)]


async def two_phones(platform: InProcess):
    """Anna's phone, and another that was used before anybody said whose it is; what came last still waits."""
    first = await platform.register()
    linked = await platform.link(first, "anna")
    other = await platform.register()
    platform.clock.advance_to(START_MS + 12 * HOUR)
    await platform.upload(first, day(1))
    await platform.upload(other, day(2))
    await platform.settle()
    await platform.upload(first, day(6))
    await platform.upload(other, day(7))
    return linked, other


async def claimed(platform: InProcess) -> tuple[str, ...]:
    await platform.set_policy(used_install="claim")
    _, other = await two_phones(platform)
    return "link", other.install_id, "anna"


async def claim_undone(platform: InProcess) -> tuple[str, ...]:
    await platform.set_policy(used_install="claim")
    _, other = await two_phones(platform)
    return "undo", (await platform.link(other, "anna")).link_id


async def first_link_undone(platform: InProcess) -> tuple[str, ...]:
    """The account goes on with the second phone, under the id it had: the first one gets a fresh own user."""
    first = await platform.register()
    linked = await platform.link(first, "anna")
    second = await platform.register()
    await platform.link(second, "anna")
    platform.clock.advance_to(START_MS + 12 * HOUR)
    await platform.upload(first, [*day(0), *day(3)])
    await platform.upload(second, day(1))
    await platform.settle()
    await platform.upload(second, day(6))
    return "undo", linked.link_id


async def build(place: Place, story: Story) -> Built:
    async with InProcess(place.directory) as platform:
        words = await story(platform)
        key = await keys.create_key(platform.context, platform.app.app_id, "reads", list(Scope))
    return Built(place, words, {}, key.api_key)


async def names_in(place: Place) -> dict[str, list[str]]:
    store = await place.open()
    found = {}
    for kind in ("user", "install"):
        rows = await store.read(lambda tx, one=kind: tx.all(f"SELECT {one}_id FROM {one}s ORDER BY 1"))
        found[kind] = [row[0].hex() for row in rows]
    await store.close()
    return found


def paths(names: dict[str, list[str]]) -> list[str]:
    day = wire.iso(START_MS)[:10]
    of_user = [
        "/v2/users/{}",
        f"/v2/users/{{}}/events?types=all&from={day}&to={wire.iso(NOW_MS)[:10]}",
        "/v2/users/{}/location",
        "/v3/users/{}/installs",
        "/v3/users/{}/ledger",
        "/v3/users/{}/items",
    ]
    asked = [path.format(user) for user in names["user"] for path in of_user]
    asked += [f"/v3/installs/{install}/explain" for install in names["install"]]
    return ["/v3/users?external_id=anna", *asked]


async def told(context, built: Built) -> dict[str, tuple[int, bytes]]:
    """What the API tells of everybody, when everything is processed."""
    await Worker(replace(context, randomness=SystemRandomness())).settle()
    parts = {"metrics": Metrics(), "request_log": RequestLog(enabled=False)}
    ids = RequestIds(SystemRandomness())
    application = Application(context, table.all_routes([], is_lab=False), request_ids=ids, **parts)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application),
        base_url="http://platform",
        headers={"authorization": f"Bearer {built.key}"},
    ) as client:
        return {path: answer_of(await client.get(path)) for path in paths(built.names)}


def answer_of(reply: httpx.Response) -> tuple[int, bytes]:
    """Without the request's own id, which every refusal bears, and without positions, of which only the order counts.

    PostgreSQL never gives out again what a killed call has drawn.
    """
    if reply.is_success:
        return reply.status_code, POSITION.sub(b"", reply.content)
    return reply.status_code, json.loads(reply.content)["errorCode"].encode()


async def outcome(place: Place, built: Built) -> tuple[dict, dict, bytes]:
    """What is told after the restart, what after the call was made again, and its answer."""
    context = await open_context(place, Fixed())
    try:
        before = await told(context, built)
        await check_audit(context)
        answer = await doing(*built.words)(context, await operator(context))
        return before, await told(context, built), wire.encode(answer)
    finally:
        await context.store.close()


async def check_audit(context) -> None:
    """Every fact has its entry in the audit log, no entry tells of a fact that is not there, and the chain is whole."""
    assert (await audit_log.verify(context)).bad is None
    facts = await context.store.read(lambda tx: tx.all("SELECT fact_id FROM facts"))
    entries = await audit_log.newest(context, lambda one: "fact" in one, 1_000_000)
    assert sorted(one["fact"] for one in entries) == sorted(audit.name_of(context, row[0]) for row in facts)


def killed_in_commit(finished: Place, built: Built) -> list[Place]:
    """As SQLite's files are where the process ends between two writes to the log, or in the midst of one."""
    log = wal(finished).read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(LOG_HEADER, len(log), FRAME_HEADER + page)
    cuts = sorted({0, *frames, *(at + FRAME_HEADER for at in frames), *(at + page // 2 for at in frames)})
    places = []
    for cut in cuts:
        place = built.place.copy(f"cut-{cut:08}")
        wal(place).write_bytes(log[:cut])
        places.append(place)
    assert finished.file.read_bytes() == built.place.file.read_bytes(), "more was written"
    return places


def wal(place: Place) -> Path:
    return place.file.with_name(f"{place.file.name}-wal")


each_story = pytest.mark.parametrize("story", [claimed, claim_undone, first_link_undone])


@each_story
def test_what_was_decided_happened_whole_or_not_at_all(place, story):
    check(place, story, every=1 if place.engine == SQLITE else 3)


@pytest.mark.prove
@each_story
def test_what_was_decided_happened_whole_or_not_at_all_at_each_statement(place, story):
    print(f"\n{place.engine}: {check(place, story, every=1)} kills, all or nothing")


def check(place, story, every):
    place.make()
    built = asyncio.run(build(place, story))
    places = killed(CHILD, place, every, *built.words)
    finished = places[-1]
    in_commit = killed_in_commit(finished, built) if place.engine == SQLITE else []
    built.names = asyncio.run(names_in(finished))
    whole = finished.copy("whole")
    old, new, answer_to_old = asyncio.run(outcome(places[0], built))
    again, _, answer_to_new = asyncio.run(outcome(whole, built))
    assert old != new == again

    answers = {"old": answer_to_old, "new": answer_to_new}  # an undo tells of what was processed when it was said
    for group in (places[1:], [*in_commit, finished]) if in_commit else (places[1:],):
        seen = [asyncio.run(outcome(place, built)) for place in group]
        befores = ["old" if before == old else "new" if before == new else "between" for before, _, _ in seen]
        assert set(befores) == {"old", "new"}
        assert befores == sorted(befores, reverse=True), "once it had happened, it was undone"
        assert all(after == new for _, after, _ in seen)
        assert [answer for _, _, answer in seen] == [answers[before] for before in befores]
    return len(places)
