"""A run of tests on the bad road: servers stand behind it, what it leaves out is told, what goes wrong fails it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.model.api import Api, Connection, create_app
from tests.road.chosen import DOUBLED, RECORD, ROAD, SEED
from tests.road.record import Complaints, totals
from tests.road.run import STARTUP

from unbroken.testing.member import Site
from unbroken.testing.process import PlatformProcess

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
SUITE = """
import os, pathlib, pytest
from tests.road.record import Written

def test_that_is_well(): pass

def test_that_is_answered_twice():
    Written(pathlib.Path(os.environ["UNBROKEN_TEST_ROAD_RECORD"])).complain("POST /planted", "two answers")

@pytest.mark.counts_requests("it counts them")
def test_that_counts(): raise AssertionError
"""
CONFTEST = """
from tests.road.run import RoadRun

def pytest_configure(config):
    config.addinivalue_line("markers", "counts_requests(why): of the tests")
    config.pluginmanager.register(RoadRun(config))
"""


@pytest.fixture
def run(pytester, monkeypatch):
    """Runs the suite above on a road; only xdist of all plugins, as some take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(SEED, "planted")
    pytester.makepyfile(SUITE)
    pytester.makeconftest(CONFTEST)

    def run(road, *words):
        monkeypatch.setenv(ROAD, road)
        return pytester.runpytest_subprocess("-p", "xdist.plugin", "-p", "no:cacheprovider", *words)

    return run


@pytest.mark.parametrize("words", [(), ("--numprocesses", "2")], ids=["alone", "shared by workers"])
def test_a_run_tells_what_it_leaves_out_and_fails_what_is_answered_twice(run, words):
    result = run(DOUBLED, *words)
    assert {kind: result.parseoutcomes().get(kind) for kind in ("passed", "failed")} == {"passed": 1, "failed": 1}
    result.stdout.fnmatch_lines(
        [
            "A call that came twice was answered twice:",
            "POST /planted: two answers",
            "UNBROKEN_TEST_ROAD_SEED=planted: * servers, * calls (* of them POSTs), * requests, * replies lost",
            "2 tests ran, 1 were left out as they count requests",
            "LEFT OUT *::test_that_counts: it counts them",
        ],
        consecutive=False,
    )


def test_a_road_that_nobody_built_is_no_good_road_instead(run):
    result = run("dubbled")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*the only road that is not good is 'doubled'*"])


@pytest.fixture
def behind_the_road(tmp_path):
    """Where a server is started so that it stands behind the road, and where that road writes."""
    record = tmp_path / "record"
    record.mkdir()
    road = {ROAD: DOUBLED, SEED: "7", RECORD: str(record)}
    return Site(environment=road | {"PYTHONPATH": os.pathsep.join([str(STARTUP), str(ROOT)])}), record


def test_a_real_server_gets_every_call_twice_and_counts_it_once(tmp_path, behind_the_road):
    site, record = behind_the_road
    with PlatformProcess(tmp_path / "data", site=site) as platform, closing(Connection(platform.base_url)) as line:
        app = create_app(platform, "shop")
        api = Api(line)
        install = api.register(app.basic, {"platform": "android"}).json
        linked = api.link(app.bearer, install["install_id"], "anna")
        facts = api.ledger(app.bearer, linked.json["id"])
    assert [fact["kind"] for fact in facts].count("linked") == 1
    told = totals(record)
    assert (told.servers, told.calls["POST"]) == (1, 2)
    assert told.sent >= 2 * told.calls.total()
    assert Complaints(record).new() == []
