"""An undo, or a link that claims what a used phone captured, is killed with SIGKILL: all of it happened, or nothing.

Two ways to be killed. In processes of their own at each statement that writes; and inside the commit, between any two
writes to the log file, of which a killed process leaves a beginning. What is compared is what the API tells of
everybody after the restart, byte for byte, timelines too. Saying it again then ends in the same state, with the answer
it would have had.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from tests.faults.decision_child import Fixed, doing
from tests.faults.killing import NOW_MS, open_context, operator

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.flow import administer
from unbroken.flow.process import Worker
from unbroken.randomness import SystemRandomness
from unbroken.server import table
from unbroken.server.app import Application
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.request_ids import RequestIds
from unbroken.store.sqlite import SqliteStore
from unbroken.testing.in_process import START_MS, InProcess
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("decision_child.py")
HOUR = 3_600_000
LOG_HEADER, FRAME_HEADER = 32, 24
DAY = Journey(HOME).stay(20).walk(CAFE).stay(30).ride(OFFICE).stay(40)

Story = Callable[[InProcess], Awaitable[tuple[str, ...]]]


@dataclass
class Built:
    """A file before the call, the words that make the call, whom to ask about, and with which key."""

    directory: Path
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


async def build(directory: Path, story: Story) -> Built:
    async with InProcess(directory) as platform:
        words = await story(platform)
        key = await administer.create_key(platform.context, platform.app.app_id, "reads", list(Scope))
    (directory / "unbroken.db").rename(directory / "built.db")
    return Built(directory, words, {}, key.api_key)


async def names_in(path: Path) -> dict[str, list[str]]:
    store = await SqliteStore.open(path)
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
    """Without the request's own id, which every refusal bears."""
    return reply.status_code, reply.content if reply.is_success else json.loads(reply.content)["errorCode"].encode()


async def outcome(place: Path, built: Built) -> tuple[dict, dict, bytes]:
    """What is told after the restart, what after the call was made again, and its answer."""
    context = await open_context(place / "unbroken.db", Fixed())
    try:
        before = await told(context, built)
        answer = await doing(*built.words)(context, await operator(context))
        return before, await told(context, built), wire.encode(answer)
    finally:
        await context.store.close()


def killed_at_statements(built: Built) -> list[Path]:
    words = [sys.executable, str(CHILD), str(built.directory), *built.words]
    done = subprocess.run(words, check=False, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0
    return sorted(path for path in built.directory.iterdir() if path.is_dir())


def killed_in_commit(finished: Path, built: Built) -> list[Path]:
    """As the files are where the process ends between two writes to the log, or in the midst of one."""
    log = (finished / "unbroken.db-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big")
    frames = range(LOG_HEADER, len(log), FRAME_HEADER + page)
    cuts = sorted({0, *frames, *(at + FRAME_HEADER for at in frames), *(at + page // 2 for at in frames)})
    places = []
    for cut in cuts:
        place = built.directory / f"cut-{cut:08}"
        place.mkdir()
        shutil.copy(built.directory / "built.db", place / "unbroken.db")
        (place / "unbroken.db-wal").write_bytes(log[:cut])
        places.append(place)
    assert (finished / "unbroken.db").read_bytes() == (built.directory / "built.db").read_bytes(), "more was written"
    return places


@pytest.mark.parametrize("story", [claimed, claim_undone, first_link_undone])
def test_what_was_decided_happened_whole_or_not_at_all(tmp_path, story):
    built = asyncio.run(build(tmp_path, story))
    places = killed_at_statements(built)
    finished = places[-1]
    in_commit = killed_in_commit(finished, built)
    built.names = asyncio.run(names_in(finished / "unbroken.db"))
    shutil.copytree(finished, tmp_path / "whole")
    old, new, answer_to_old = asyncio.run(outcome(places[0], built))
    again, _, answer_to_new = asyncio.run(outcome(tmp_path / "whole", built))
    assert old != new == again

    answers = {"old": answer_to_old, "new": answer_to_new}  # an undo tells of what was processed when it was said
    for group in (places[1:], [*in_commit, finished]):
        seen = [asyncio.run(outcome(place, built)) for place in group]
        befores = ["old" if before == old else "new" if before == new else "between" for before, _, _ in seen]
        assert set(befores) == {"old", "new"}
        assert befores == sorted(befores, reverse=True), "once it had happened, it was undone"
        assert all(after == new for _, after, _ in seen)
        assert [answer for _, _, answer in seen] == [answers[before] for before in befores]
