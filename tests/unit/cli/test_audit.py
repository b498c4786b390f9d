"""`unbroken audit`: no silence where there is nothing to look for, and nothing to hold the log against."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory
from unbroken.server.data_directory import Mode
from unbroken.server.keys import open_vault
from unbroken.testing.in_process import InProcess


def test_a_kind_of_change_that_the_log_does_not_know_is_refused_with_those_that_it_knows(tmp_path):
    data = str(tmp_path / "data")
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", data]).exit_code == 0
    refused = CliRunner().invoke(program, ["audit", "list", "--what", "app made", "--data", data])
    assert refused.exit_code != 0
    assert "No change is called 'app made'." in refused.stderr
    assert "app created" in refused.stderr
    found = CliRunner().invoke(program, ["audit", "list", "--what", "app created", "--data", data, "--json"])
    assert [one["what"] for one in json.loads(found.stdout)["entries"]] == ["app created"]


def test_a_file_without_a_head_proves_nothing_and_is_refused(tmp_path):
    data, heads = str(tmp_path / "data"), tmp_path / "heads.jsonl"
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", data]).exit_code == 0
    heads.write_text("\n")
    verify = ["audit", "verify", "--data", data, "--against", str(heads)]
    refused = CliRunner().invoke(program, verify)
    assert (refused.exit_code, refused.stderr) == (1, f"There is no published head in {heads}.\n")
    heads.write_text(CliRunner().invoke(program, ["audit", "head", "--data", data]).stdout)
    assert "1 published heads agree" in CliRunner().invoke(program, verify).stdout


@pytest.mark.parametrize(
    "words", [("audit", "show"), ("dead-letter", "show", "0" * 24), ("dead-letter", "drop", "0" * 24)]
)
def test_a_place_beyond_what_a_database_counts_to_is_refused(tmp_path, words):
    data = str(tmp_path / "data")
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", data]).exit_code == 0
    assert CliRunner().invoke(program, [*words, str(2**63), "--data", data]).exit_code == 2
    assert CliRunner().invoke(program, [*words, str(2**63 - 1), "--data", data]).stderr.startswith("There is no")


def test_an_external_id_is_found_in_any_form_and_one_that_is_no_text_is_refused(tmp_path):
    data = tmp_path / "data"
    data_directory.prepare(data, Mode(lab=False))
    open_vault(data, SystemRandomness(), is_new=True)

    async def lived() -> str:
        async with InProcess(data) as platform:
            await platform.link(await platform.register(), "andr\u00e9")
            return platform.app.app_id.hex()

    words = ["audit", "list", "--app", asyncio.run(lived()), "--data", str(data), "--json", "--external-id"]
    for written in ("andr\u00e9", "andre\u0301"):
        found = CliRunner().invoke(program, [*words, written])
        assert [one["what"] for one in json.loads(found.stdout)["entries"]] == ["linked"]
    refused = CliRunner().invoke(program, [*words, "andr\udce9"])  # as Python reads a byte that is no UTF-8
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert json.loads(refused.stderr)["errorCode"] == "INVALID_EXTERNAL_ID"
