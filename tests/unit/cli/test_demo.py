"""`unbroken demo`: what its help promises is what it takes."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from unbroken.cli import demo, program
from unbroken.demo.day import UnusableTrace
from unbroken.demo.traces import read_day


def test_the_kinds_of_traces_in_the_help_are_those_that_are_read(tmp_path):
    kinds = re.findall(r"\.[a-z.]*[a-z]", demo._TRACE_HELP)
    assert kinds == [".gpx", ".jsonl", ".jsonl.gz"]
    for kind in kinds:
        with pytest.raises(UnusableTrace, match="cannot be read"):
            read_day(str(tmp_path / f"missing{kind}"))
    tmp_path.joinpath("day.kml").touch()
    with pytest.raises(UnusableTrace, match="a trace is a"):
        read_day(str(tmp_path / "day.kml"))


def test_the_help_says_so():
    done = CliRunner().invoke(program, ["demo", "--help"])
    assert done.exit_code == 0
    assert ".jsonl.gz" in done.stdout
