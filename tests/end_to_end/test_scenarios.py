"""Real days, cut across installs with faults in the network, come out as the uncut ones; and they come out well.

Cut and uncut runs live in two labs of one seed. Each day is one person more in both, and the uncut lab registers as
many installs that nobody uses as the cut day had more, so that the n-th day has the same user id in both.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.end_to_end.traces import TRACES, Recorder, ms, sessions
from tests.model.api import Api, Connection, create_app

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(),
    reason="the recorded days (shared/data/traces, or UNBROKEN_SHARED) are not here: no scenario was driven",
)
LEAST_TQ = 65.0
BATCH = 60


@pytest.fixture
def recorders(tmp_path: Path) -> Iterator[tuple[Recorder, Recorder]]:
    with (
        PlatformProcess(tmp_path / "uncut", lab=True, seed=11) as uncut,
        PlatformProcess(tmp_path / "cut", lab=True, seed=11) as cut,
        closing(Connection(uncut.base_url)) as to_uncut,
        closing(Connection(cut.base_url)) as to_cut,
    ):
        app, other = create_app(uncut, "recorded days"), create_app(cut, "recorded days")
        yield Recorder(Api(to_uncut), app), Recorder(Api(to_cut), other)


def test_cut_days_equal_the_uncut_ones(recorders: tuple[Recorder, Recorder], tmp_path: Path) -> None:
    compare_scenarios(recorders, tmp_path, 8)


@pytest.mark.prove
def test_two_hundred_cut_days_equal_the_uncut_ones(recorders: tuple[Recorder, Recorder], tmp_path: Path) -> None:
    print("\n" + compare_scenarios(recorders, tmp_path, 200))


def compare_scenarios(recorders: tuple[Recorder, Recorder], tmp_path: Path, count: int) -> str:
    scenarios, results = tmp_path / "scenarios", tmp_path / "results"
    results.mkdir()
    tool("scenario.py", "make", str(scenarios), "--n", str(count))
    for number in range(count):
        drive_both(recorders, scenarios, results, f"{number:03d}")
    return tool("scenario.py", "report", str(results), str(scenarios), "--ids")


def drive_both(recorders: tuple[Recorder, Recorder], scenarios: Path, results: Path, number: str) -> None:
    not_before = max(recorder.api.now_ms for recorder in recorders)
    user_ids = []
    for recorder, kind in zip(recorders, ("uncut", "cut"), strict=True):
        lines = (scenarios / f"{number}.{kind}.jsonl").read_text().splitlines()
        user_id, events = recorder.drive([json.loads(line) for line in lines], not_before)
        user_ids.append(user_id)
        (results / f"{number}.{kind}.events.json").write_text(json.dumps(events))
        assert events, f"scenario {number}, {kind}: no timeline"
    assert user_ids[0] == user_ids[1], f"scenario {number}: the labs no longer give out the same ids"
    uncut, cut = recorders
    while uncut.registered < cut.registered:
        uncut.register("nobody's", "phone")


def tool(name: str, *words: str) -> str:
    """Run one of the tools that lie beside the traces.

    Raises:
        AssertionError: it says that the result is not as it should be; the message is what it wrote.
    """
    done = subprocess.run(
        [sys.executable, str(TRACES / name), *words], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_some_recorded_days_come_out_well(recorders: tuple[Recorder, Recorder], tmp_path: Path) -> None:
    every_fourth = list(sessions())[::4]
    assert score(recorders[0], every_fourth, tmp_path) >= LEAST_TQ - 10


@pytest.mark.prove
def test_all_recorded_days_come_out_well(recorders: tuple[Recorder, Recorder], tmp_path: Path) -> None:
    quality = score(recorders[0], list(sessions()), tmp_path)
    print(f"\nTQ {quality} on the recorded days (at least {LEAST_TQ})")
    assert quality >= LEAST_TQ


def score(recorder: Recorder, days: list[dict[str, Any]], tmp_path: Path) -> float:
    """The composite TQ of score.py over exactly these days; days that were not driven must not count as empty."""
    predicted = tmp_path / "predicted.jsonl"
    lines = [{"id": day["id"], "events": recorder.drive(delivered(day))[1]} for day in days]
    predicted.write_text("\n".join(map(json.dumps, lines)))
    data = tmp_path / "data"
    data.mkdir()
    (data / "chosen.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, days)).encode()))
    found = tmp_path / "score.json"
    print(tool("score.py", str(predicted), "--data", str(data), "--json", str(found)))
    return float(json.loads(found.read_text())["ALL"]["TQ"])


def delivered(day: dict[str, Any]) -> list[dict[str, Any]]:
    """A recorded day as one phone would have sent it: in the order it was written, every sixty fixes."""
    begin, _ = day["window"]
    deliveries: list[dict[str, Any]] = [{"op": "link", "at": begin - 3600, "install": "A", "device": "phone"}]
    waiting = sorted(day["activities"], key=lambda activity: activity[0])
    at = begin
    for place in range(0, len(day["fixes"]), BATCH):
        fixes = day["fixes"][place : place + BATCH]
        at = max(at, *[fix[0] + 5 for fix in fixes])
        due = [activity for activity in waiting if activity[0] <= at]
        waiting = waiting[len(due) :]
        deliveries.append({"op": "payload", "at": at, "install": "A", "fixes": fixes, "activities": due})
    if waiting:
        at = max(at, waiting[-1][0] + 5)
        deliveries.append({"op": "payload", "at": at, "install": "A", "fixes": [], "activities": waiting})
    assert ms(deliveries[-1]["at"]) >= ms(begin)
    return deliveries
