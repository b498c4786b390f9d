"""A dry run of a change of policies tells what would differ, proven against the change itself, and writes nothing."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest
from tests.unit.flow.test_archive import everything
from tests.unit.flow.test_replay import late_history
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.domain.app import Policy
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.ids import AppId
from unbroken.flow.policy_trial import ACTS, try_policy
from unbroken.flow.replay import Wanted, replay
from unbroken.flow.retention import retain
from unbroken.testing.in_process import InProcess

DAY = 86_400_000


@pytest.fixture
def in_platform(tmp_path):
    """Runs a story on a platform whose phone sent much of its history late."""

    def run(story):
        async def whole():
            async with InProcess(tmp_path) as platform:
                await platform.set_policy(late_window_days="7")
                await late_history(platform)
                await platform.settle()
                return await story(platform)

        return asyncio.run(whole())

    return run


async def tried(platform, **changes):
    before = await everything(platform)
    trial = await try_policy(platform.context, platform.app.app_id, changes, share=1)
    assert await everything(platform) == before, "a dry run wrote"
    return trial


def test_every_policy_says_on_what_it_acts():
    assert list(ACTS) == list(Policy.__dataclass_fields__)


@pytest.mark.parametrize(
    "change",
    [
        {"linking": "off"},
        {"used_install": "claim"},
        {"precedence": "last_linked"},
        {"takeover": "standby"},
        {"link_ticket": "required"},
        {"link_burst": "3"},
    ],
)
def test_what_acts_on_calls_to_come_changes_nothing_that_is_there(in_platform, change):
    trial = in_platform(lambda platform: tried(platform, **change))
    assert (trial.changed, trial.retained, trial.replayed) == (list(change), None, None)


def test_the_policies_in_force_differ_in_nothing(in_platform):
    trial = in_platform(lambda platform: tried(platform, late_window_days="7"))
    assert (trial.changed, trial.retained, trial.replayed) == ([], None, None)


def test_what_a_replay_would_change_is_what_it_changes(in_platform):
    async def story(platform):
        trial = await tried(platform, late_window_days="30")
        report = await replay(platform.context, Wanted(platform.app.app_id, {"late_window_days": "30"}), share=1)
        return trial.replayed, report

    told, report = in_platform(story)
    assert report.differ
    assert (told.same, told.differ, told.moving, told.failed) == (report.same, report.differ, 0, [])


def test_a_replay_that_was_left_is_still_there_to_be_taken_up(in_platform):
    async def story(platform):
        wanted = Wanted(platform.app.app_id, {"late_window_days": "30"})
        left = await replay(platform.context, wanted, share=1)
        await tried(platform, late_window_days="20")
        taken_up = await replay(platform.context, Wanted(platform.app.app_id, resume=True), share=1)
        return left.waiting, taken_up.waiting

    left, taken_up = in_platform(story)
    assert left == taken_up == 1


def test_what_retention_would_delete_is_what_it_deletes(in_platform):
    async def story(platform):
        platform.clock.advance_to(platform.clock.now_ms() + 60 * DAY)
        trial = await tried(platform, retention_days="30")
        await platform.set_policy(retention_days="30")
        (done,) = await retain(platform.context, share=1)
        return trial, done

    trial, done = in_platform(story)
    now, then = trial.retained
    assert (now.payloads, now.installs) == (0, 0)
    assert done.payloads > 0
    assert (then.payloads, then.installs, then.size_bytes) == (done.payloads, done.installs, done.size_bytes)
    assert trial.replayed is None


def test_a_wider_late_window_keeps_payloads_longer(in_platform):
    async def story(platform):
        platform.clock.advance_to(platform.clock.now_ms() + 150 * DAY)
        return await tried(platform, late_window_days="200")

    now, then = in_platform(story).retained
    assert now.payloads > 0
    assert then.payloads == 0


def test_a_timeline_that_is_not_up_to_date_is_counted_and_one_that_cannot_be_computed_is_named(in_platform):
    async def story(platform):
        behind, broken = await platform.register(), await platform.register()
        now_ms = platform.clock.now_ms()
        for phone in (behind, broken):
            await platform.upload(phone, [{"kind": "location", "t": now_ms - 1, "lat": 51, "lon": 4}])
        await platform.settle()
        store, ids = platform.context.store, [bytes.fromhex(one.own_user_id) for one in (behind, broken)]
        install_id = bytes.fromhex(broken.install_id)
        due = "INSERT INTO due (user_id, from_ms, version) VALUES ($1, 0, 1)"
        await store.write(lambda tx: tx.run(due, ids[0]))
        await store.write(lambda tx: tx.run("UPDATE payloads SET body = 'x' WHERE install_id = $1", install_id))
        return await tried(platform, late_window_days="30"), ids[1]

    trial, broken = in_platform(story)
    assert (trial.replayed.moving, trial.replayed.failed) == (1, [broken])
    assert len(trial.replayed.differ) == 1


def test_a_change_that_would_be_refused_is_refused(in_platform):
    async def story(platform):
        platform.clock.advance_to(platform.clock.now_ms() + 200 * DAY)
        await retain(platform.context, share=1)
        with pytest.raises(InvalidRequest, match="are gone"):
            await tried(platform, late_window_days="3650")
        with pytest.raises(InvalidRequest):
            await tried(platform, late_window_days="0")
        with pytest.raises(NotFound):
            await try_policy(platform.context, AppId(b"x" * 12), {"linking": "off"})

    in_platform(story)


def test_the_command_line_tells_it(tmp_path):
    data = tmp_path / "data"

    def run(*words):
        return CliRunner().invoke(program, [*words, "--data", str(data)])

    assert run("app", "create", "first").exit_code == 0

    async def fill():
        async with InProcess(data) as platform:
            await platform.set_policy(late_window_days="7")
            await late_history(platform)
            await platform.settle()
            return platform.app.app_id.hex()

    app_id = asyncio.run(fill())
    shutil.copy(data / "unbroken.db", tmp_path / "before.db")
    words = ("app", "policy", app_id, "late_window_days=30", "used_install=claim", "--dry-run")
    done = run(*words, "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(one["policy"], one["from"], one["to"]) for one in told["changes"]] == [
        ("used_install", "refuse", "claim"), ("late_window_days", 7, 30),
    ]  # fmt: skip
    assert told["dry_run"]
    assert (told["replay"]["users"], told["replay"]["differ"], told["replay"]["same"]) == (1, 1, 0)
    assert told["replay"]["events"]["gained"] > 0
    assert told["replay"]["differences"][0]["items"]
    assert told["retention"]["then"]["payloads"] == 0
    assert json.loads(run("app", "policy", app_id, "--json").stdout)["late_window_days"] == 7
    shown = run(*words).stdout
    assert "change 1, events:" in shown
    assert "A dry run: nothing was changed." in shown
    assert "needs something to change" in run("app", "policy", app_id, "--dry-run").stderr
