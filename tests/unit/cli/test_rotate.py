"""`unbroken rotate ...`: what it tells, what becomes of keys.json, and that a second call is no second rotation."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory
from unbroken.server.data_directory import DATABASE_FILE, Mode
from unbroken.server.keys import KEYS_FILE, Keys, open_key_ring, open_vault
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data_directory.prepare(data, Mode(lab=False))
    open_vault(data, SystemRandomness(), is_new=True)

    async def fill() -> None:
        async with InProcess(data) as platform:
            for name in ("anna", "ben"):
                await platform.link(await platform.register(), name)

    asyncio.run(fill())
    return data


def run(data: Path, *words: str) -> Any:
    done = CliRunner().invoke(program, [*words, "--data", str(data), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def wrong_rows(data: Path) -> list[Any]:
    done = CliRunner().invoke(program, ["verify", "--data", str(data), "--json"])
    found: list[Any] = json.loads(done.stdout)["findings"]
    return found


def keys_in(data: Path) -> Keys:
    return msgspec.json.Decoder(Keys).decode((data / KEYS_FILE).read_bytes())


def test_external_ids_come_under_a_new_key_each_time_it_is_asked_for(data):
    before = keys_in(data)
    assert run(data, "rotate", "external-ids") == {"key": 2, "copy_keys": False, "resealed": 6, "dropped_keys": []}
    assert run(data, "rotate", "external-ids")["key"] == 3
    assert list(keys_in(data).external_id_keys) == [1, 2, 3]
    assert run(data, "rotate", "external-ids", "--finish")["dropped_keys"] == [1, 2]
    assert list(keys_in(data).external_id_keys) == [3]
    after = keys_in(data)
    assert (after.pepper, after.signing_key, after.receipt_key) == (
        before.pepper, before.signing_key, before.receipt_key,
    )  # fmt: skip
    assert (data / KEYS_FILE).stat().st_mode & 0o077 == 0
    assert wrong_rows(data) == []


def test_people_are_told_what_was_done_and_what_a_backup_needs(data):
    told = CliRunner().invoke(program, ["rotate", "external-ids", "--data", str(data)])
    assert told.exit_code == 0
    assert "sealed under key 2: 6 texts were sealed anew" in told.stdout
    assert "The earlier key stays in keys.json until --finish." in told.stdout
    told = CliRunner().invoke(program, ["rotate", "external-ids", "--finish", "--data", str(data)])
    assert "a backup from before needs the file from before" in told.stdout


def test_the_audit_log_tells_when_a_rotation_began_and_ended_and_that_keys_went(data):
    for words in ((), ("--finish",)):
        run(data, "rotate", "external-ids", *words)
    entries = run(data, "audit", "list", "--limit", "3")["entries"]
    assert [(entry["what"], entry["key_no"]) for entry in entries] == [
        ("earlier sealing keys dropped", 2),
        ("sealing under another key ended", 2),
        ("sealing under another key begun", 2),
    ]
    assert all(entry["actor"].startswith("operator") for entry in entries)


def test_a_key_stays_that_a_database_brought_back_from_before_needs(data, tmp_path):
    with closing(sqlite3.connect(data / DATABASE_FILE)) as file, closing(sqlite3.connect(tmp_path / "copy")) as copy:
        file.backup(copy)
        run(data, "rotate", "external-ids")
        copy.backup(file)
    assert wrong_rows(data) == []
    run(data, "rotate", "external-ids")
    with closing(sqlite3.connect(data / DATABASE_FILE)) as file, file:
        file.execute("UPDATE installs SET sealed_id = ? WHERE sealed_id IS NOT NULL", [sealed_under_key_1(data)])
    refused = CliRunner().invoke(program, ["rotate", "external-ids", "--finish", "--data", str(data)])
    assert refused.exit_code == 1
    assert "Run: unbroken rotate external-ids" in refused.stderr
    assert list(keys_in(data).external_id_keys) == [1, 2]
    assert run(data, "rotate", "external-ids")["key"] == 3
    assert run(data, "rotate", "external-ids", "--finish")["dropped_keys"] == [1, 2]
    assert all("not sealed" not in found["found"] for found in wrong_rows(data)), "a wrong name, and no lost one"


def sealed_under_key_1(data: Path) -> str:
    with closing(sqlite3.connect(data / DATABASE_FILE)) as file:
        (app_id,) = file.execute("SELECT app_id FROM apps").fetchone()
    return open_key_ring(data).seal(1, app_id, "anna")


def test_a_pepper_is_let_go_of_when_nothing_needs_it_or_by_force(data):
    changed = run(data, "rotate", "pepper")
    assert changed["pepper"] == 2
    assert changed["left"] == {"app secrets": 1, "API keys": 1, "install credentials": 2, "codes": 0}
    kept = run(data, "rotate", "pepper", "--finish")
    assert kept["dropped_peppers"] == []
    assert sorted(keys_in(data).secret_peppers) == [1, 2]
    alone = CliRunner().invoke(program, ["rotate", "pepper", "--force", "--data", str(data)])
    assert (alone.exit_code, "goes with --finish" in alone.stderr) == (1, True)
    assert run(data, "rotate", "pepper", "--finish", "--force")["dropped_peppers"] == [1]
    assert list(keys_in(data).secret_peppers) == [2]
    assert keys_in(data).pepper  # who was erased is remembered under it for ever
    told = CliRunner().invoke(program, ["rotate", "pepper", "--data", str(data)])
    assert "Secrets are kept under pepper 3 from now on." in told.stdout
    assert "1 app secrets, 1 API keys, 2 install credentials. They move when they are shown" in told.stdout


@pytest.mark.parametrize("what", ["external-ids", "pepper"])
def test_what_was_never_copied_to_other_servers_is_not_used(tmp_path, schemas, monkeypatch, what):
    monkeypatch.setenv("UNBROKEN_DATABASE_URL", schemas.create())
    data = tmp_path / "data"
    run(data, "app", "create", "Shop")
    before = keys_in(data)
    too_early = CliRunner().invoke(program, ["rotate", what, "--copied", "--data", str(data), "--json"])
    assert json.loads(too_early.stderr)["errorCode"] == "CONFLICT"
    assert keys_in(data) == before
    assert run(data, "rotate", what)["copy_keys"] is True
    run(data, "rotate", what, "--copied")
    used = keys_in(data)
    again = CliRunner().invoke(program, ["rotate", what, "--copied", "--data", str(data), "--json"])
    assert json.loads(again.stderr)["errorCode"] == "CONFLICT"
    assert keys_in(data) == used
