"""`unbroken rotate ...`: what it tells, what becomes of keys.json, and that a second call is no second rotation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory
from unbroken.server.data_directory import Mode
from unbroken.server.keys import KEYS_FILE, Keys, open_vault
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


def keys_in(data: Path) -> Keys:
    return msgspec.json.Decoder(Keys).decode((data / KEYS_FILE).read_bytes())


def test_external_ids_come_under_a_new_key_each_time_it_is_asked_for(data):
    before = keys_in(data)
    assert run(data, "rotate", "external-ids") == {"key": 2, "copy_keys": False, "resealed": 6, "dropped_keys": [1]}
    assert list(keys_in(data).external_id_keys) == [2]
    assert run(data, "rotate", "external-ids")["key"] == 3
    after = keys_in(data)
    assert (after.pepper, after.signing_key, after.receipt_key) == (
        before.pepper, before.signing_key, before.receipt_key,
    )  # fmt: skip
    assert (data / KEYS_FILE).stat().st_mode & 0o077 == 0
    assert run(data, "verify")["findings"] == []


def test_people_are_told_what_was_done_and_what_a_backup_needs(data):
    told = CliRunner().invoke(program, ["rotate", "external-ids", "--data", str(data)])
    assert told.exit_code == 0
    assert "sealed under key 2: 6 texts were sealed anew" in told.stdout
    assert "a backup from before needs the file from before" in told.stdout


def test_a_pepper_is_let_go_of_when_nothing_needs_it_or_by_force(data):
    changed = run(data, "rotate", "pepper")
    assert changed["pepper"] == 2
    assert changed["left"] == {"app secrets": 1, "API keys": 1, "install credentials": 2, "codes": 0}
    kept = run(data, "rotate", "pepper", "--finish")
    assert kept["dropped_peppers"] == []
    assert sorted(keys_in(data).secret_peppers) == [1, 2]
    assert run(data, "rotate", "pepper", "--finish", "--force")["dropped_peppers"] == [1]
    assert list(keys_in(data).secret_peppers) == [2]
    assert keys_in(data).pepper  # who was erased is remembered under it for ever
    told = CliRunner().invoke(program, ["rotate", "pepper", "--data", str(data)])
    assert "Secrets are kept under pepper 3 from now on." in told.stdout
    assert "1 app secrets, 1 API keys, 2 install credentials. They move when they are shown" in told.stdout
