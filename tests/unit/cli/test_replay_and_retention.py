"""`unbroken replay` and `unbroken retention`: what scripts rely on, and refusals as one sentence."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import pytest
from tests.unit.flow.test_replay import late_history
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory
from unbroken.server.data_directory import DATABASE_FILE, Mode
from unbroken.server.keys import open_vault
from unbroken.testing.in_process import InProcess

NO_ID = "0" * 24


class Shell:
    """A data directory in which the policy in force would have told more, had it been so all the time."""

    def __init__(self, data):
        self.data = data
        data_directory.prepare(data, Mode(lab=False))
        open_vault(data, SystemRandomness(), is_new=True)
        self.app_id, self.user_id = asyncio.run(self._fill(data))

    async def _fill(self, data):
        async with InProcess(data) as platform:
            await platform.set_policy(late_window_days="7")
            (phone,) = await late_history(platform)
            await platform.set_policy(late_window_days="30")
            return platform.app.app_id.hex(), phone.own_user_id

    def run(self, *words):
        return CliRunner().invoke(program, [*words, "--data", str(self.data)])

    def json(self, *words):
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    def problem(self, *words):
        done = self.run(*words, "--json")
        assert (done.exit_code, done.stdout) == (1, "")
        return json.loads(done.stderr)


@pytest.fixture
def shell(tmp_path):
    assert DATABASE_FILE == "unbroken.db", "what InProcess makes"
    return Shell(tmp_path / "data")


def test_a_replay_is_told_taken_up_and_switched(shell):
    assert shell.json("replay", "--app", shell.app_id)["same"] == 1
    file = shell.data.with_name("policy.json")
    file.write_text(json.dumps(shell.json("app", "policy", shell.app_id)))
    told = shell.json("replay", "--app", shell.app_id, "--policy", str(file), "--diff")
    assert (told["users"], told["differ"], told["waiting"], told["switched"]) == (1, 1, 1, 0)
    (difference,) = told["differences"]
    assert difference["user_id"] == shell.user_id
    assert sum(day["gained"] for day in difference["days"]) == told["events"]["gained"] > 0
    shown = shell.run("replay", "--app", shell.app_id, "--diff", "--resume")
    assert "1 can be switched" in shown.stdout
    assert shell.json("replay", "--app", shell.app_id, "--resume", "--switch")["switched"] == 1
    assert shell.json("replay", "--user", shell.user_id)["same"] == 1
    assert "no replay to take up" in shell.problem("replay", "--app", shell.app_id, "--resume")["message"]


def test_a_policy_from_a_file_says_which_items_would_count(shell):
    policy = shell.json("app", "policy", shell.app_id) | {"late_window_days": 1}
    file = shell.data.with_name("policy.json")
    file.write_text(json.dumps(policy))
    told = shell.json("replay", "--app", shell.app_id, "--policy", str(file), "--diff")
    assert told["policy"] == policy
    (difference,) = told["differences"]
    assert [(item["from"], item["to"]) for item in difference["items"]] == [("accepted", "too_late")]
    refused = shell.problem("replay", "--app", shell.app_id, "--policy", str(file), "--switch")
    assert refused["errorCode"] == "CONFLICT"


@pytest.mark.parametrize(
    "words",
    [(), ("--app", NO_ID), ("--user", NO_ID), ("--user", "x"), ("--user", NO_ID, "--app", NO_ID),
     ("--app", NO_ID, "--policy", "missing.json"), ("--app", NO_ID, "--policy", __file__)],
)  # fmt: skip
def test_what_cannot_be_replayed_is_refused_in_a_sentence(shell, words):
    assert shell.problem("replay", *words)["message"].endswith((".", "characters."))


def test_retention_counts_first_and_deletes_then(shell):
    shell.json("app", "policy", shell.app_id, "late_window_days=5", "retention_days=7")
    counted = shell.json("retention", "--dry-run")
    (app,) = counted["apps"]
    assert (counted["dry_run"], app["app_id"], app["retention_days"], app["payloads"]) == (True, shell.app_id, 7, 2)
    deleted = shell.json("retention", "--app", shell.app_id)
    assert deleted == counted | {"dry_run": False}
    assert shell.json("retention")["apps"][0]["payloads"] == 0
    assert "PAYLOADS" in shell.run("retention").stdout
    assert shell.problem("retention", "--app", NO_ID)["errorCode"] == "NOT_FOUND"


def test_by_a_clock_that_has_jumped_nothing_goes_before_the_operator_trusts_it(shell):
    with sqlite3.connect(shell.data / DATABASE_FILE) as file:
        file.execute("UPDATE reckoning SET at = 1790000000000")
    file.close()
    assert "far from 2026-09-21T14:13:20" in shell.run("retention", "--dry-run").stdout
    (warned,) = [one for one in shell.json("doctor")["checks"] if one["check"] == "clock of deleting"]
    assert warned["verdict"] == "warning"
    shell.json("app", "policy", shell.app_id, "late_window_days=5", "retention_days=7")
    held = shell.json("retention")
    assert (held["clock"]["believed"], held["apps"][0]["payloads"]) == (False, 0)
    assert "--trust-clock" in shell.run("retention").stdout

    counted = shell.json("retention", "--dry-run", "--trust-clock")
    assert shell.json("retention")["apps"][0]["payloads"] == 0, "a dry run trusts nothing"
    done = shell.json("retention", "--trust-clock")
    assert done["clock"] == {"believed": True, "believed_at": None}
    assert done["apps"][0]["payloads"] == counted["apps"][0]["payloads"] == 2
    assert not [one for one in shell.json("doctor")["checks"] if one["check"] == "clock of deleting"]
