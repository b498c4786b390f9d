"""One person's timeline that cannot be computed: it is refolded where that helps, else set aside; all others go on."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from unbroken import wire
from unbroken.clock import ManualClock
from unbroken.flow.process import Worker
from unbroken.flow.replay import Wanted, replay
from unbroken.flow.retention import retain
from unbroken.flow.setting_aside import timeline_state
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess
from unbroken.testing.journey import CAFE, HOME, Journey

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
UP_TO_DATE = {"state": "up to date"}
WAY = Journey(HOME).stay(25).walk(CAFE).stay(25)


def fix(at_ms: int) -> dict[str, object]:
    return {"kind": "location", "t": at_ms, "lat": HOME.lat, "lon": HOME.lon, "acc": 10}


class Two:
    """Two persons, each with an hour on the timeline; what rests of the ill one can be damaged."""

    def __init__(self, platform: InProcess) -> None:
        self.platform = platform
        self.told: list[tuple[str, str]] = []
        self.wall = ManualClock(T)
        platform.context = replace(platform.context, wall=self.wall)
        self.worker = platform.worker = self.new_worker()

    def new_worker(self) -> Worker:
        return Worker(
            self.platform.context,
            tell=lambda user_id, error: self.told.append((user_id.hex(), type(error).__name__)),
        )

    async def begin(self) -> None:
        self.ill, self.well = await self.platform.register(), await self.platform.register()
        await self.capture(1)

    async def capture(self, hours: int) -> None:
        """Each captures an hour that many hours from now."""
        self.platform.clock.advance_to(T + (hours + 1) * HOUR)
        for phone in (self.ill, self.well):
            await self.platform.upload(phone, [wire.plain(item) for item in WAY.items(T + hours * HOUR)])
        await self.platform.settle()

    async def late(self, phone, minute: int) -> None:
        """Something that was captured before everything else: nothing kept on the way helps to compute it."""
        await self.platform.upload(phone, [fix(T + minute * MINUTE)])
        await self.platform.settle()

    async def damage(self) -> None:
        await self.swap(b"damaged")

    async def swap(self, body: bytes) -> bytes:
        """Give the ill one's first upload another body; the one it had."""
        before = await self.one("SELECT body FROM payloads WHERE install_id = $1 ORDER BY seq", self.install_id)
        first = "(SELECT min(seq) FROM payloads WHERE install_id = $1)"
        await self.run(f"UPDATE payloads SET body = $2 WHERE install_id = $1 AND seq = {first}", self.install_id, body)
        return before[0]

    @property
    def install_id(self) -> bytes:
        return bytes.fromhex(self.ill.install_id)

    async def run(self, statement: str, *values) -> int:
        return await self.platform.context.store.write(lambda tx: tx.run(statement, *values))

    async def one(self, statement: str, *values):
        return await self.platform.context.store.read(lambda tx: tx.one(statement, *values))

    async def state(self, phone):
        return await timeline_state(self.platform.context, self.platform.key, phone.own_user_id)

    async def captured(self, phone) -> int:
        """How many events are served."""
        return (await self.platform.timeline(phone.own_user_id)).count(b"event_id")


@pytest.fixture
def two(tmp_path):
    """Runs a story about two persons."""

    def run(story):
        async def whole():
            async with InProcess(tmp_path) as platform:
                there = Two(platform)
                await there.begin()
                return await story(there)

        return asyncio.run(whole())

    return run


@pytest.mark.parametrize("kept", [b"\xffanother version", b"", b"\x01damaged", b"[99,1]"])
@pytest.mark.parametrize("is_late", [False, True])
def test_a_state_that_cannot_be_read_is_folded_again_from_the_payloads(two, kept, is_late):
    async def story(there):
        await there.run("UPDATE timelines SET state = $1, places = $1", kept)
        await there.run("UPDATE checkpoints SET state = $1", kept)
        for phone in (there.ill, there.well):
            await there.late(phone, 70 if is_late else 200)
        events = await there.captured(there.ill)
        return events, await replay(there.platform.context, Wanted(there.platform.app.app_id)), there.told

    events, report, told = two(story)
    assert told == []
    assert events > 0
    assert (report.same, report.differ) == (2, {}), "it is not what folding everything gives"


def test_who_cannot_be_computed_is_set_aside_and_told_once_and_all_others_go_on(two):
    async def story(there):
        before = await there.captured(there.ill)
        await there.damage()
        await there.late(there.ill, 1)
        await there.late(there.ill, 2)
        await there.late(there.well, 1)
        await there.capture(4)
        assert await there.captured(there.ill) == before, "what was told before is not served any more"
        return there, await there.state(there.ill), await there.state(there.well), await there.captured(there.well)

    there, ill, well, events = two(story)
    ((user_id, trouble),) = there.told
    assert user_id == there.ill.own_user_id
    assert (ill["state"], ill["trouble"], ill["failures"]) == ("cannot be computed", trouble, 3)
    assert there.worker.failures == 3, "once for each thing that came"
    assert well == UP_TO_DATE
    assert events > 1


def test_who_was_set_aside_is_tried_again_after_a_while_that_grows(two):
    async def story(there):
        body = await there.swap(b"damaged")
        await there.late(there.ill, 1)
        tries = []
        for minute in range(1, 12):
            there.wall.advance_to(T + minute * MINUTE)
            await there.platform.settle()
            tries.append(there.worker.failures)
        await there.swap(body)
        there.wall.advance_to(T + DAY)
        await there.platform.settle()
        return tries, await there.state(there.ill), there.told

    tries, state, told = two(story)
    assert tries == [2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    assert state == UP_TO_DATE
    assert len(told) == 1


def test_who_was_set_aside_is_tried_again_though_the_clock_was_set_back(two):
    async def story(there):
        there.wall.advance_to(T + 365 * DAY)
        body = await there.swap(b"damaged")
        await there.late(there.ill, 1)
        await there.swap(body)
        assert (await there.state(there.ill))["state"] == "cannot be computed"
        there.platform.worker = Worker(replace(there.platform.context, wall=ManualClock(T)))
        await there.platform.settle()
        return await there.state(there.ill)

    assert two(story) == UP_TO_DATE


def test_something_new_takes_up_again_who_was_set_aside(two):
    async def story(there):
        body = await there.swap(b"damaged")
        await there.late(there.ill, 1)
        await there.swap(body)
        await there.platform.settle()
        assert (await there.state(there.ill))["state"] == "cannot be computed"
        await there.capture(2)
        return await there.state(there.ill)

    assert two(story) == UP_TO_DATE


def test_a_process_that_begins_takes_up_again_who_was_set_aside_and_tells_it_again(two):
    async def story(there):
        await there.damage()
        await there.late(there.ill, 1)
        worker = there.new_worker()
        working = asyncio.create_task(worker.run())
        async with asyncio.timeout(20):
            while not worker.failures:  # noqa: ASYNC110 - the worker has nothing to wait for
                await asyncio.sleep(0)
        worker.stop()
        await working
        return there.told

    first, second = two(story)
    assert first == second


class Unavailable:
    """A store that cannot be read for long."""

    def __init__(self, store):
        self._store = store

    def __getattr__(self, name):
        return getattr(self._store, name)

    def behind(self):
        return self

    async def read_long(self, call):
        raise StoreUnavailable("The disk is busy.")


def test_a_store_that_is_unavailable_sets_nobody_aside(two):
    async def story(there):
        context = there.platform.context
        await there.platform.upload(there.ill, [fix(T)])
        worker = Worker(replace(context, store=Unavailable(context.store)))
        with pytest.raises(StoreUnavailable):
            await worker.settle()
        assert await there.state(there.ill) == {"state": "due"}
        await there.platform.settle()
        return worker.failures, await there.state(there.ill)

    assert two(story) == (0, UP_TO_DATE)


def test_a_replay_names_who_cannot_be_computed_and_goes_on_with_the_others(two):
    async def story(there):
        await there.damage()
        return there, await replay(there.platform.context, Wanted(there.platform.app.app_id))

    there, report = two(story)
    assert [user_id.hex() for user_id in report.failed] == [there.ill.own_user_id]
    assert report.same == 1


def test_retention_passes_over_who_cannot_be_computed_and_has_it_told(two):
    async def story(there):
        await there.damage()
        there.platform.clock.advance_to(T + 200 * DAY)
        (retained,) = await retain(there.platform.context, share=1.0)
        await there.platform.settle()
        return there, retained

    there, retained = two(story)
    assert (retained.installs, retained.waiting) == (1, 1)
    assert [user_id for user_id, _ in there.told] == [there.ill.own_user_id]


def test_a_worker_that_was_told_to_end_is_not_begun_again_on_a_store_that_is_gone(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            await platform.context.store.close()
            with pytest.raises(StoreUnavailable):
                await platform.worker.run()
            platform.worker.stop()
            await platform.worker.run()

    asyncio.run(story())
