"""`unbroken verify`: what scripts rely on, and refusals as one sentence."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.unit.cli.test_replay_and_retention import NO_ID, Shell

from unbroken.flow.verify import Rule
from unbroken.server.data_directory import DATABASE_FILE

GUIDE = Path(__file__).parents[3] / "docs" / "how-to" / "verify.md"


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path / "data")


def damage(shell, statement):
    with closing(sqlite3.connect(shell.data / DATABASE_FILE, isolation_level=None)) as file:
        assert file.execute(statement).rowcount == 1


def test_a_sound_platform_is_told_in_one_line_and_exit_code_0(shell):
    told = shell.json("verify")
    assert (told["ok"], told["findings"], told["repaired"]) == (True, [], [])
    assert told["checked"]["people"] == 1
    shown = shell.run("verify", "--app", shell.app_id)
    assert shown.exit_code == 0
    assert "Nothing was found." in shown.stdout
    assert "rows" not in shell.json("verify", "--sample", "5")["checked"]


def test_a_finding_is_told_with_exit_code_1_and_repaired_on_request(shell):
    damage(shell, "UPDATE installs SET standing = 'standby'")
    found = shell.run("verify", "--user", shell.user_id, "--json")
    assert found.exit_code == 1
    (finding,) = json.loads(found.stdout)["findings"]
    assert (finding["code"], finding["table"], finding["repairable"]) == ("TABLES_DIFFER_FROM_LEDGER", "installs", True)
    assert (finding["found"], finding["expected"], finding["user_id"]) == ("'standby'", "'active'", shell.user_id)
    shown = shell.run("verify")
    assert (shown.exit_code, "--repair" in shown.stdout) == (1, True)
    repaired = shell.json("verify", "--repair")
    assert (repaired["findings"], [one["code"] for one in repaired["repaired"]]) == ([], [finding["code"]])
    assert shell.json("verify")["ok"] is True


def test_what_nothing_proves_is_left_with_exit_code_1(shell):
    damage(shell, "UPDATE users SET metadata = '{'")
    shown = shell.run("verify", "--repair")
    assert shown.exit_code == 1
    assert "ROW_DOES_NOT_READ" in shown.stdout


@pytest.mark.parametrize(
    "words", [("--app", NO_ID), ("--user", NO_ID), ("--user", "x"), ("--user", NO_ID, "--sample", "3")]
)
def test_what_cannot_be_verified_is_refused_in_a_sentence(shell, words):
    assert shell.problem("verify", *words)["message"].endswith((".", "characters."))


def test_the_guide_says_of_every_code_what_to_do():
    told = re.findall(
        r"`([A-Z_0-9]+)`", "".join(re.findall(r"^\| (`.*?) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE))
    )
    assert sorted(told) == sorted(Rule)
