"""`unbroken audit list`: entries of one kind, and no silence where the log has no such kind."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from unbroken.cli import program


def test_a_kind_of_change_that_the_log_does_not_know_is_refused_with_those_that_it_knows(tmp_path):
    data = str(tmp_path / "data")
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", data]).exit_code == 0
    refused = CliRunner().invoke(program, ["audit", "list", "--what", "app made", "--data", data])
    assert refused.exit_code != 0
    assert "No change is called 'app made'." in refused.stderr
    assert "app created" in refused.stderr
    found = CliRunner().invoke(program, ["audit", "list", "--what", "app created", "--data", data, "--json"])
    assert [one["what"] for one in json.loads(found.stdout)["entries"]] == ["app created"]
