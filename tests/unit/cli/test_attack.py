"""`unbroken attack prepare`: nothing is agreed on that cannot be written down."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from unbroken.cli import program


def run(*words):
    return CliRunner().invoke(program, [*words, "--json"])


def test_where_the_warrant_cannot_be_written_no_apps_are_made(tmp_path):
    data, nowhere, warrant = str(tmp_path / "data"), tmp_path / "nowhere" / "warrant.json", tmp_path / "warrant.json"
    assert run("app", "create", "first", "--data", data).exit_code == 0
    refused = run("attack", "prepare", "--warrant", str(nowhere), "--data", data)
    assert refused.exit_code == 1
    assert "cannot be written" in json.loads(refused.stderr)["message"]
    assert len(json.loads(run("app", "list", "--data", data).stdout)["apps"]) == 1

    for apps in (3, 5):
        assert run("attack", "prepare", "--warrant", str(warrant), "--data", data).exit_code == 0
        assert warrant.stat().st_mode & 0o777 == 0o600
        assert len(json.loads(run("app", "list", "--data", data).stdout)["apps"]) == apps
    assert sorted(one.name for one in tmp_path.iterdir()) == ["data", "warrant.json"]
