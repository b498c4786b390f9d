"""A clock that is far ahead for a while takes nothing with it: no payload, and no change of who may upload."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import InstallId
from unbroken.domain.reckoning import Reckoning
from unbroken.domain.standing import Standing
from unbroken.flow import operate, policies, policy_trial, retention, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.process import Worker
from unbroken.flow.standings import Standings
from unbroken.flow.tidy import tidy
from unbroken.store import reckoning
from unbroken.testing.in_process import START_MS as T
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from unbroken.flow.context import Context

pytestmark = pytest.mark.anyio

HOUR = 3_600_000
DAY = 24 * HOUR
YEAR = 365 * DAY


class SetClock:
    """A clock that is set to any time."""

    def __init__(self) -> None:
        self.at_ms = T

    def now_ms(self) -> int:
        return self.at_ms


class Served:
    """A platform that is no lab, and what its worker does in each hour."""

    def __init__(self, platform: InProcess) -> None:
        self.clock = SetClock()
        self.platform = platform
        self.context: Context = replace(platform.context, clock=self.clock, wall=self.clock, lab=False)
        platform.context = self.context
        self.passed_s = 0.0
        self.told: list[Any] = []
        self.worker = self.started()

    def started(self) -> Worker:
        return Worker(self.context, seconds=lambda: self.passed_s, tell_clock=self.told.append)

    async def an_hour(self, at_ms: int) -> None:
        self.clock.at_ms = at_ms
        self.passed_s += 3600
        await self.worker._tidy()
        if self.worker._retaining is not None:
            await self.worker._retaining


@pytest.fixture
async def served(platform: InProcess) -> Served:
    return Served(platform)


async def uploaded(served: Served) -> str:
    phone = await served.platform.register()
    await served.platform.upload(phone, [{"kind": "location", "t": T, "lat": 51.0, "lon": 4.0}])
    await served.platform.settle()
    return phone.own_user_id


async def test_payloads_outlive_a_clock_that_is_a_year_ahead_for_two_days(served: Served):
    user_id = await uploaded(served)
    await served.an_hour(T)
    for hour in range(48):
        await served.an_hour(T + YEAR + hour * HOUR)
    assert len(served.told) == 48
    await served.an_hour(T + 49 * HOUR)
    assert len(served.told) == 48
    assert await served.platform.items(user_id)


async def test_they_outlive_it_though_a_server_was_started_by_it_and_took_uploads(served: Served):
    user_id = await uploaded(served)
    await served.an_hour(T)
    served.clock.at_ms = T + YEAR
    served.worker = served.started()
    await uploaded(served)
    await served.an_hour(T + YEAR)
    assert await served.platform.items(user_id)


async def test_they_go_three_days_after_a_server_was_out_of_use_for_a_year(served: Served):
    user_id = await uploaded(served)
    await served.an_hour(T)
    for hour in range(72):
        await served.an_hour(T + YEAR + hour * HOUR)
    assert await served.platform.items(user_id)
    assert served.worker.time is not None
    assert served.worker.time.believed_at_ms == T + YEAR + 3 * DAY
    await served.an_hour(T + YEAR + 72 * HOUR)
    assert not await served.platform.items(user_id)


async def test_a_worker_that_reads_the_clock_no_more_says_nothing_of_it(served: Served):
    await uploaded(served)
    await served.an_hour(T + YEAR)
    assert served.worker.time is not None
    served.worker._crew.members = ["another"]
    await served.worker._tidy()
    assert served.worker.time is None


async def test_the_first_reading_is_held_against_the_newest_fact_or_entry_of_the_audit_log(served: Served):
    phone = await served.platform.register()
    served.clock.at_ms = T + 40 * DAY
    await tokens.renew(served.context, CredentialCaller(phone.credential), None)
    await served.an_hour(T + 41 * DAY)
    assert not served.told

    await served.context.store.write(lambda tx: reckoning.put(tx, Reckoning(0)))
    user_id = await uploaded(served)
    await served.an_hour(T + YEAR)
    assert len(served.told) == 1
    assert await served.platform.items(user_id)


async def test_a_dry_run_counts_by_the_same_time_and_notes_nothing(served: Served):
    await uploaded(served)
    await served.an_hour(T)
    served.clock.at_ms = T + YEAR
    (counted,) = await retention.retain(served.context, dry_run=True, share=1)
    (done,) = await retention.retain(served.context, share=1)
    assert (counted.payloads, counted.before_ms) == (done.payloads, done.before_ms) == (0, T // DAY * DAY - 90 * DAY)


async def test_who_was_disabled_stays_so_for_a_server_that_starts_after_the_slip(served: Served):
    phone = await served.platform.register()
    await served.an_hour(T)
    await operate.set_install_state(served.context, served.platform.key, phone.install_id, "disabled", operate.Order())
    served.clock.at_ms = T + YEAR
    await tidy(served.context)
    served.clock.at_ms = T + HOUR
    standings = Standings()
    await standings.load(served.context)
    assert standings.of(InstallId(bytes.fromhex(phone.install_id)), Standing.ACTIVE) is Standing.INSTALL_DISABLED


async def test_so_does_he_for_one_that_ran_through_it_and_for_one_that_was_started_in_it(served: Served):
    phone = await served.platform.register()
    ran, started = Standings(), Standings()
    await ran.load(served.context)
    await operate.set_install_state(served.context, served.platform.key, phone.install_id, "disabled", operate.Order())
    await ran.refresh(served.context)
    served.clock.at_ms = T + YEAR
    await started.load(served.context)
    await served.platform.register()
    for standings in (ran, started):
        await asyncio.sleep(0)
        await standings.refresh(served.context)
    served.clock.at_ms = T + HOUR
    for standings in (ran, started):
        await asyncio.sleep(0)
        await standings.refresh(served.context)
        assert standings.of(InstallId(bytes.fromhex(phone.install_id)), Standing.ACTIVE) is Standing.INSTALL_DISABLED


async def test_what_was_received_by_a_clock_ahead_hides_nothing_that_is_due_behind_it(served: Served):
    phone = await served.platform.register()
    served.clock.at_ms = T + YEAR
    await served.platform.upload(phone, [{"kind": "location", "t": T + YEAR, "lat": 51.0, "lon": 4.0}])
    served.clock.at_ms = T + DAY
    await served.platform.upload(phone, [{"kind": "location", "t": T + DAY, "lat": 51.0, "lon": 4.0}])
    served.clock.at_ms = T + 100 * DAY
    before = await served.platform.timeline(phone.own_user_id)
    (done,) = await retention.retain(served.context, share=1, by_ms=T + 100 * DAY)
    assert (done.payloads, done.waiting) == (1, 0)
    assert len(await served.platform.items(phone.own_user_id)) == 1
    assert await served.platform.timeline(phone.own_user_id) == before


async def test_by_a_clock_ahead_no_late_window_is_widened_behind_what_is_gone(served: Served):
    await served.platform.set_policy(late_window_days="5", retention_days="10")
    user_id = await uploaded(served)
    for day in range(20):
        await served.an_hour(T + day * DAY)
    assert not await served.platform.items(user_id)
    served.clock.at_ms = T + YEAR
    for ask in (policies.set_policy, policy_trial.try_policy):
        with pytest.raises(InvalidRequest, match="widened to 16 days today"):
            await ask(served.context, served.platform.app.app_id, {"late_window_days": "30"})
