"""The command line: what scripts rely on, and errors as one sentence."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.server import data_directory
from unbroken.server.data_directory import Mode

NEW_KEY = ("key", "create", "--app", "0" * 24, "--name", "n", "--scope")


class Shell:
    def __init__(self, data):
        self.data = data

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
    return Shell(tmp_path / "data")


@pytest.fixture
def app_id(shell):
    return shell.json("app", "create", "Shop")["app_id"]


def test_an_app_and_a_key_are_made_as_scripts_expect(shell):
    app = shell.json("app", "create", "Shop")
    assert set(app) == {"app_id", "app_secret"}
    key = shell.json(
        "key", "create", "--app", app["app_id"], "--name", "server", "--scope", "user.link", "--scope", "user.read"
    )
    assert set(key) == {"key_id", "api_key", "expires_at"}
    assert key["api_key"].startswith("unb_key_")
    (listed,) = shell.json("key", "list", "--app", app["app_id"])["keys"]
    assert (listed["key_id"], listed["scopes"], listed["revoked_at"]) == (
        key["key_id"],
        ["user.link", "user.read"],
        None,
    )
    assert "api_key" not in listed
    assert shell.json("key", "revoke", key["key_id"])["revoked_at"]


def test_policies_are_one_object_and_change_by_name(shell, app_id):
    before = shell.json("app", "policy", app_id)
    assert set(before) == {
        "linking", "used_install", "precedence", "takeover", "link_ticket", "late_window_days",
        "late_after_handover_hours", "retention_days", "link_burst", "placeholders",
    }  # fmt: skip
    after = shell.json("app", "policy", app_id, "linking=required", "late_window_days=7")
    assert after == before | {"linking": "required", "late_window_days": 7}
    assert shell.json("app", "policy", app_id) == after


@pytest.mark.parametrize(
    "change",
    ["used_install=perhaps", "takeover=always", "precedence=first", "linking=maybe", "colour=red", "link_burst=-1",
     "linking", "=on"],
)  # fmt: skip
def test_a_policy_that_is_not_there_is_refused_by_name(shell, app_id, change):
    before = shell.json("app", "policy", app_id)
    problem = shell.problem("app", "policy", app_id, "retention_days=95", change)
    assert problem["errorCode"] == "INVALID_REQUEST"
    assert change.split("=")[0] in problem["message"]
    assert shell.json("app", "policy", app_id) == before


def test_an_app_is_disabled_and_goes_on(shell, app_id):
    assert shell.json("app", "disable", app_id)["disabled"] is True
    assert [app["disabled"] for app in shell.json("app", "list")["apps"]] == [True]
    assert shell.json("app", "enable", app_id)["disabled"] is False


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("app", "policy", "x"), "INVALID_REQUEST"),
        (("app", "policy", "0" * 24), "NOT_FOUND"),
        (("app", "create", ""), "INVALID_REQUEST"),
        (("app", "create", "a\nb"), "INVALID_REQUEST"),
        ((*NEW_KEY, "user.read"), "NOT_FOUND"),
        ((*NEW_KEY, "all"), "INVALID_REQUEST"),
        ((*NEW_KEY, "user.read", "--expires-days", "366"), "INVALID_REQUEST"),
        (("key", "list", "--app", "0" * 24), "NOT_FOUND"),
        (("key", "revoke", "0" * 24), "NOT_FOUND"),
        (("user", "show", "0" * 24), "NOT_FOUND"),
        (("install", "show", "0" * 24), "NOT_FOUND"),
        (("explain", "0" * 24), "NOT_FOUND"),
        (("explain", "0" * 24, "--at", "yesterday"), "INVALID_REQUEST"),
        (("serve", "--seed", "1"), "INVALID_REQUEST"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence_and_one_object(shell, app_id, words, code):
    assert shell.problem(*words)["errorCode"] == code
    done = shell.run(*words)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


@pytest.mark.parametrize("words", [("app", "list"), ("user", "show", "0" * 24), ("key", "revoke", "0" * 24)])
def test_a_mistyped_directory_is_not_made(shell, words):
    assert "There is no data" in shell.problem(*words)["message"]
    assert not shell.data.exists()


def test_a_damaged_database_is_refused_with_a_sentence(shell, app_id):
    (shell.data / data_directory.DATABASE_FILE).write_bytes(b"this is no database, and never was one" * 200)
    problem = shell.problem("app", "list")
    assert problem["errorCode"] == "CANNOT_START"
    assert shell.run("doctor").exit_code == 1


def test_a_purge_for_which_the_disk_has_no_room_says_so(shell, app_id):
    with closing(sqlite3.connect(shell.data / data_directory.DATABASE_FILE, isolation_level=None)) as database:
        database.execute("INSERT INTO receipts VALUES (x'01', x'02', '{}', FALSE)")
    words = f"ulimit -f 100; exec {sys.executable} -m unbroken purge --data {shell.data}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Look at its free space" in done.stderr


def test_a_command_beside_a_lab_says_no_time_of_its_own(shell):
    data_directory.prepare(shell.data, Mode(lab=True))
    shell.json("app", "create", "Lab")
    assert shell.json("doctor")["ok"]


def verdicts(shell):
    done = shell.run("doctor", "--json")
    return done.exit_code, {check["check"]: check["verdict"] for check in json.loads(done.stdout)["checks"]}


def test_the_doctor_finds_a_well_platform_well(shell, app_id):
    shell.json("key", "create", "--app", app_id, "--name", "n", "--scope", "user.link")
    shell.json("app", "policy", app_id, "link_ticket=required")
    code, found = verdicts(shell)
    assert code == 0
    assert set(found.values()) == {"ok"}


def test_the_doctor_sees_an_app_without_a_key_and_one_whose_key_ends_soon(shell, app_id):
    assert verdicts(shell)[1]["keys of apps"] == "warning"
    shell.json("key", "create", "--app", app_id, "--name", "n", "--scope", "user.link", "--expires-days", "13")
    done = shell.run("doctor")
    assert "expires in 12 days" in done.stdout or "expires in 13 days" in done.stdout


def test_the_doctor_sees_an_app_that_is_disabled_and_says_how_to_enable_it(shell, app_id):
    shell.json("app", "disable", app_id)
    assert f"nothing of its phones is taken: unbroken app enable {app_id}" in " ".join(
        shell.run("doctor").stdout.split()
    )


def test_the_doctor_sees_open_keys_and_an_open_directory(shell, app_id):
    shell.data.chmod(0o755)
    (shell.data / "keys.json").chmod(0o644)
    code, found = verdicts(shell)
    assert (code, found["keys"], found["data directory"]) == (1, "problem", "warning")


def test_lost_keys_stop_every_command_and_the_doctor_says_so_before_and_after(shell, app_id):
    (shell.data / "keys.json").rename(shell.data / "kept elsewhere")
    before = verdicts(shell)
    assert "missing beside a database" in shell.problem("app", "list")["message"]
    assert not (shell.data / "keys.json").exists()
    assert (before[0], before[1]["keys"]) == (1, "problem")
    assert verdicts(shell) == before
    (shell.data / "kept elsewhere").rename(shell.data / "keys.json")
    assert verdicts(shell)[0] == 0


def test_the_doctor_promises_no_new_keys_for_a_database_elsewhere(shell):
    data_directory.prepare(shell.data, Mode(lab=False))
    said = " ".join(shell.run("doctor").stdout.split())
    assert "keys.json is missing. Where a PostgreSQL database is named that a platform is in, copy it" in said


def test_the_doctor_says_where_there_is_nothing(shell):
    code, found = verdicts(shell)
    assert (code, found["data directory"]) == (1, "problem")


@pytest.mark.parametrize("words", [["app", "list"], ["verify"], ["retention"], ["rotate", "pepper"], ["doctor"]])
def test_a_command_that_looks_for_a_database_makes_none_where_it_is_missing(tmp_path, words):
    data = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "Shop", "--data", str(data)]).exit_code == 0
    for path in data.glob("unbroken.db*"):
        path.unlink()
    there = sorted(data.iterdir())
    done = CliRunner().invoke(program, [*words, "--data", str(data)])
    assert done.exit_code == 1
    assert "unbroken.db is missing. Restore it from a backup; where the database is in PostgreSQL" in done.output
    assert sorted(data.iterdir()) == there
