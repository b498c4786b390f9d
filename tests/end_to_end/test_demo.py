"""The demo as a newcomer runs it, and on real input."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

DEMO = [sys.executable, "-m", "unbroken", "demo"]


class Links(HTMLParser):
    """Everything in a page that would fetch something."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, name, value) for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]
        self.found += [(tag, None, None)] if tag in {"script", "link", "iframe", "img"} else []


def run(*words, cwd):
    return subprocess.run([*DEMO, *words], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def gpx_of(items):
    points = "".join(f'<trkpt lat="{lat}" lon="{lon}"><time>{time}</time></trkpt>' for time, lat, lon in items)
    return f'<gpx xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>{points}</trkseg></trk></gpx>'


def ride_and_rest():
    """An hour at one place, a ride of 8 km, an hour at another, a fix every 20 s."""
    for step in range(540):
        metres = min(max(0, (step - 180) * 44), 8_000)
        minutes, seconds = divmod(step * 20, 60)
        yield f"2026-05-04T{8 + minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z", 50.0 + metres / 111_195, 4.0


def test_the_made_up_day_comes_out_as_one_timeline(tmp_path):
    done = run("--seed", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Equal." in done.stdout
    for name in ("phone A", "phone A, reinstalled", "tablet", "phone B", "At a place", "On foot", "By bus"):
        assert name in done.stdout, name
    page = (tmp_path / "unbroken-demo" / "timeline.html").read_text()
    links = Links()
    links.feed(page)
    assert links.found == []
    assert not re.search(r"url\(|@import|https?://", page)
    assert "Equal to one phone that never changed" in page
    assert [path.name for path in (tmp_path / "unbroken-demo").iterdir()] == ["timeline.html"]


def test_a_gpx_file_goes_through_the_demo(tmp_path):
    (tmp_path / "day.gpx").write_text(gpx_of(ride_and_rest()))
    done = run("--trace", "day.gpx", "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "out" / "timeline.html").exists()


def test_a_labelled_trace_goes_through_the_demo_and_its_data_can_be_kept(tmp_path):
    fixes = [
        [1_780_000_000 + 20 * step, 50.0 + min(max(0, step - 180) * 44, 8_000) / 111_195, 4.0, 9.0, None]
        for step in range(540)
    ]
    trace = {
        "id": "x-1", "tz": "Europe/Paris", "window": [fixes[0][0], fixes[-1][0]], "fixes": fixes,
        "activities": [[1_780_000_100, "still", 90], [1_780_003_700, "in_vehicle", 80]],
    }  # fmt: skip
    with gzip.open(tmp_path / "days.jsonl.gz", "wt") as file:
        file.write(json.dumps(trace) + "\n")
    done = run("--trace", "days.jsonl.gz#x-1", "--output", "out", "--keep", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = (tmp_path / "out").glob("data-*")
    assert (kept / "four-installs" / "platform").is_dir()


@pytest.mark.parametrize("name", ["missing.gpx", "nonsense.gpx", "picture.png"])
def test_a_file_that_is_no_day_is_refused_with_a_sentence(tmp_path, name):
    (tmp_path / "nonsense.gpx").write_text("nonsense")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    done = run("--trace", name, cwd=tmp_path)
    assert done.returncode == 2
    assert name in done.stderr
    assert "Traceback" not in done.stderr
