"""A run of the tests on a bad road: what it leaves out and why, what fails it, and what it tells at its end."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.road.chosen import DOUBLED, RECORD, ROAD, SEED
from tests.road.record import Complaints, totals

from unbroken.randomness import SystemRandomness

if TYPE_CHECKING:
    from collections.abc import Generator

MARK = "counts_requests"
STARTUP = Path(__file__).with_name("startup")
LEFT_OUT = "left-out"
SHOWN = 3


class RoadRun:
    """A plugin of pytest, where `UNBROKEN_TEST_ROAD` is set.

    With pytest-xdist the first process chooses the seed and keeps all records, and each worker has a folder in there.
    """

    def __init__(self, config: pytest.Config) -> None:
        if os.environ[ROAD] != DOUBLED:
            raise pytest.UsageError(f"{ROAD}: the only road that is not good is {DOUBLED!r}")
        self._is_first = not hasattr(config, "workerinput")
        if self._is_first:
            os.environ.setdefault(SEED, str(SystemRandomness().secret(3).hex()))
            os.environ[RECORD] = tempfile.mkdtemp(prefix="unbroken-road-")
            paths = [str(STARTUP), os.environ.get("PYTHONPATH", "")]
            os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        else:
            os.environ[RECORD] = tempfile.mkdtemp(dir=os.environ[RECORD])
        self.directory = Path(os.environ[RECORD])
        self._complaints = Complaints(self.directory)

    @pytest.hookimpl(trylast=True)  # what the options deselect is gone by then, and is not counted here
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        left_out = [item for item in items if item.get_closest_marker(MARK)]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
        (self.directory / LEFT_OUT).write_text(json.dumps({item.nodeid: reason(item) for item in left_out}))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if different := self._complaints.new():
            told = ["A call that came twice was answered twice:", *different[:SHOWN], f"{len(different)} in all"]
            report.outcome, report.longrepr = "failed", "\n".join([*told, str(report.longrepr or "")])
        return report

    def pytest_report_header(self) -> str:
        return f"road: {DOUBLED}, {SEED}={os.environ[SEED]}"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        out, left_out = terminalreporter, left_out_of(self.directory)
        ran = sum(len(out.stats.get(kind, [])) for kind in ("passed", "failed", "xfailed", "xpassed"))
        out.section("the road")
        out.line(f"{SEED}={os.environ[SEED]}: {totals(self.directory)}")
        out.line(f"{ran} tests ran, {len(left_out)} were left out as they count requests")
        for name, why in sorted(left_out.items()):
            out.line(f"LEFT OUT {name}: {why}")

    def pytest_unconfigure(self) -> None:
        if self._is_first:
            shutil.rmtree(self.directory)


def reason(item: pytest.Item) -> str:
    """Why a test cannot be run on such a road."""
    mark = item.get_closest_marker(MARK)
    assert mark is not None
    (why,) = mark.args
    return str(why)


def left_out_of(directory: Path) -> dict[str, str]:
    """The tests that were left out, by whichever worker, and why."""
    found: dict[str, str] = {}
    for file in directory.rglob(LEFT_OUT):
        found |= json.loads(file.read_text())
    return found
