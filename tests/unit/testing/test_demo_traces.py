from __future__ import annotations

import gzip
import json

import pytest

from unbroken.demo.day import UnusableTrace
from unbroken.demo.traces import FIXES_MAX, read_day, read_gpx
from unbroken.wire import Activity, Location, parse_iso


def gpx(points, head='<?xml version="1.0" encoding="UTF-8"?>', namespace=' xmlns="http://www.topografix.com/GPX/1/1"'):
    return f"{head}<gpx{namespace}><trk><trkseg>{''.join(points)}</trkseg></trk></gpx>"


def point(minute, *, lat="50.1", lon="4.2", inner="", day=4):
    return (
        f'<trkpt lat="{lat}" lon="{lon}">{inner}'
        f"<time>2026-05-{day:02}T{minute // 60:02}:{minute % 60:02}:00Z</time></trkpt>"
    )


@pytest.fixture
def write(tmp_path):
    def write(content, name="day.gpx"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_track_point_is_read_with_its_time_height_and_speed(write):
    path = write(gpx([point(61, inner="<ele>12.5</ele><speed>3.25</speed>")]))
    at_ms = parse_iso("2026-05-04T01:01:00Z")
    assert read_gpx(path) == [Location(t=at_ms, lat=50.1, lon=4.2, alt=12.5, speed=3.25)]


def test_a_file_without_a_namespace_is_read_too(write):
    assert len(read_gpx(write(gpx([point(1), point(2)], namespace="")))) == 2


@pytest.mark.parametrize(
    "bad",
    [
        '<trkpt lat="50" lon="4"/>',
        '<trkpt lat="50" lon="4"><time>yesterday</time></trkpt>',
        point(1, lat="91"),
        point(1, lon="x"),
        point(1, lat="nan"),
        point(1, inner="<ele>inf</ele>"),
        "<trkpt lat='50'><time>2026-05-04T01:00:00Z</time></trkpt>",
    ],
)
def test_a_point_that_says_no_time_or_place_is_left_out(write, bad):
    assert [fix.lat for fix in read_gpx(write(gpx([bad, point(2, lat="50.5")])))] == [50.5]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE gpx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE gpx [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE gpx SYSTEM "http://127.0.0.1:1/gpx.dtd">',
        "<!DOCTYPE gpx>",
    ],
)
def test_a_document_type_declaration_is_refused(write, doctype):
    path = write(gpx([point(minute) for minute in range(60)], head=doctype))
    with pytest.raises(UnusableTrace, match="document type"):
        read_day(str(path))


@pytest.mark.parametrize("content", ["", "<gpx>", "<gpx></trk>", "&amp;", "<gpx>&unknown;</gpx>", b"\xff\xfe\x00<"])
def test_what_is_no_xml_is_refused(write, content):
    with pytest.raises(UnusableTrace, match="not well-formed"):
        read_day(str(write(content)))


def test_of_several_days_the_busiest_is_taken(write):
    points = [point(minute * 10, day=4) for minute in range(30)] + [point(minute * 5, day=6) for minute in range(100)]
    day = read_day(str(write(gpx(points))))
    assert len(day.items) == 100
    assert day.start_ms == parse_iso("2026-05-06T00:00:00Z")


def test_a_recording_that_is_too_short_is_refused(write):
    with pytest.raises(UnusableTrace, match="at least 20 fixes"):
        read_day(str(write(gpx([point(minute) for minute in range(19)]))))


def test_a_long_recording_is_thinned(write):
    points = [
        f'<trkpt lat="50" lon="4"><time>2026-05-04T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}Z</time></trkpt>'
        for s in range(FIXES_MAX * 3)
    ]
    assert FIXES_MAX / 2 < len(read_day(str(write(gpx(points)))).items) <= FIXES_MAX


# Labelled traces


def trace(name="a", hours=2, **changes):
    start = 1_780_000_000
    return {
        "id": name,
        "tz": "America/Los_Angeles",
        "window": [start, start + hours * 3600],
        "fixes": [[start + 60.5 + step * 60, 37.0, -122.0, 8, None] for step in range(hours * 60 - 2)],
        "activities": [[start + 100, "in_vehicle", 70], [start + 200, "tilting", 50]],
        **changes,
    }


def jsonl(*traces):
    return "".join(json.dumps(one) + "\n" for one in traces)


def test_a_line_becomes_a_day_with_its_zone_fixes_and_motions(write):
    day = read_day(str(write(jsonl(trace()), "days.jsonl")))
    assert day.time_zone == "America/Los_Angeles"
    motions = [item for item in day.items if isinstance(item, Activity)]
    assert [(m.type, m.confidence) for m in motions] == [("automotive", 0.7), ("unknown", 0.5)]
    assert day.items[0].t == 1_780_000_060_500


def test_the_longest_day_is_taken_unless_one_is_named(write):
    path = write(gzip.compress(jsonl(trace("a", 2), trace("b", 5), trace("c", 3)).encode()), "days.jsonl.gz")
    assert "b" in read_day(str(path)).title.split()[-1]
    assert "c" in read_day(f"{path}#c").title.split()[-1]
    with pytest.raises(UnusableTrace, match="no trace d"):
        read_day(f"{path}#d")


def test_fixes_outside_the_days_window_and_unknown_accuracies_are_left_out(write):
    one = trace()
    stale, unsure = [one["window"][0] - 7_200, 0.0, 0.0, 5, 0], [one["window"][0] + 30, 37.0, -122.0, -1, -1]
    day = read_day(str(write(jsonl(trace(fixes=[stale, unsure, *one["fixes"]])), "days.jsonl")))
    assert min(item.lat for item in day.items if isinstance(item, Location)) == 37.0
    assert day.items[0].acc is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}\n",
        "[1]\n",
        "not json\n",
        jsonl(trace(fixes=[[1]])),
        jsonl(trace(fixes=[[1_780_000_100, "x", "y", 1, 1]])),
        jsonl(trace(activities=[[1_780_000_100, "still", 900]])),
    ],
)
def test_what_is_no_trace_is_refused_with_a_sentence(write, content):
    with pytest.raises(UnusableTrace, match="trace"):
        read_day(str(write(content, "days.jsonl")))


def test_a_damaged_archive_is_refused(write):
    with pytest.raises(UnusableTrace, match="cannot be read"):
        read_day(str(write(gzip.compress(jsonl(trace()).encode())[:-20], "days.jsonl.gz")))
