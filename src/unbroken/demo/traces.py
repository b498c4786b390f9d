"""Real days from files: GPX 1.0 and 1.1, and lines of labelled traces (`.jsonl`, `.jsonl.gz`).

A GPX file is foreign XML: it is read as a stream, a document type declaration is refused before anything of it is
believed, and nothing it names is ever fetched.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.parsers import expat

from unbroken import wire
from unbroken.demo.day import Day, UnusableTrace, as_day

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIXES_MAX: Final = 3_000
_FILE_MAX_BYTES: Final = 256 << 20
_DAY_MS: Final = 86_400_000
_MOTIONS: Final = {
    "still": "still",
    "walking": "walking",
    "on_foot": "walking",
    "running": "running",
    "on_bicycle": "cycling",
    "cycling": "cycling",
    "in_vehicle": "automotive",
    "automotive": "automotive",
}


def read_day(trace: str) -> Day:
    """The day in a file; of several, the busiest of a GPX file, the longest of a file of traces.

    Args:
        trace: the path; `#ID` after it names a line of a file of traces by its `id`.

    Raises:
        UnusableTrace: the file is not readable, not of a known kind, or has no usable day.
    """
    path, _, wanted = trace.partition("#")
    try:
        if Path(path).stat().st_size > _FILE_MAX_BYTES:
            raise UnusableTrace(f"{path} is larger than {_FILE_MAX_BYTES >> 20} MiB")
        if path.lower().endswith(".gpx"):
            return _gpx_day(Path(path))
        if path.lower().endswith((".jsonl", ".jsonl.gz")):
            return _labelled_day(Path(path), wanted)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UnusableTrace(f"{path} cannot be read: {error}") from error
    raise UnusableTrace(f"{path}: a trace is a .gpx, .jsonl or .jsonl.gz file")


# GPX


def read_gpx(path: Path) -> list[wire.Location]:
    """Every track point of a GPX file that has a time, in the order of the file.

    Raises:
        UnusableTrace: it is not well-formed, or declares a document type.
    """
    reader = _GpxReader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise UnusableTrace(f"{path} is not well-formed XML: {error}") from error
    return reader.fixes


@dataclass(slots=True)
class _GpxReader:
    """Collects track points. `_point` holds the fields of the one that is open; `_field` the text of its open child."""

    fixes: list[wire.Location] = field(default_factory=list)
    _point: dict[str, str] | None = None
    _field: list[str] = field(default_factory=list)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._field = []
        if _local(name) == "trkpt":
            self._point = {key: attributes[key] for key in ("lat", "lon") if key in attributes}

    def text(self, data: str) -> None:
        if self._point is not None:
            self._field.append(data)

    def end(self, name: str) -> None:
        if self._point is None:
            return
        if _local(name) != "trkpt":
            self._point.setdefault(_local(name), "".join(self._field).strip())
            return
        fix = _fix_of(self._point)
        self._point = None
        if fix is not None:
            self.fixes.append(fix)


def _gpx_day(path: Path) -> Day:
    fixes = read_gpx(path)
    if not fixes:
        raise UnusableTrace(f"{path} has no track point with a time")
    by_day: dict[int, list[wire.Location]] = {}
    for fix in fixes:
        by_day.setdefault(fix.t // _DAY_MS, []).append(fix)
    is_short = max(fix.t for fix in fixes) - min(fix.t for fix in fixes) <= _DAY_MS
    chosen = fixes if is_short else max(by_day.values(), key=len)
    return as_day(f"A day of {path.name}", "UTC", list(_thinned(chosen)))


def _fix_of(point: dict[str, str]) -> wire.Location | None:
    at_ms = wire.parse_iso(point.get("time", ""))
    if at_ms is None:
        return None
    try:
        fields: dict[str, Any] = {"t": at_ms, "lat": float(point["lat"]), "lon": float(point["lon"])}
        fields |= {key: float(point[name]) for key, name in (("alt", "ele"), ("speed", "speed")) if point.get(name)}
        if not all(math.isfinite(number) for number in fields.values()):
            return None
        return wire.convert(fields | {"kind": "location"}, wire.Location)
    except (KeyError, ValueError):  # msgspec's errors are ValueErrors
        return None


def _refuse_doctype(*_: object) -> None:
    raise UnusableTrace("a GPX file with a document type declaration is not read: it could name entities or files")


def _local(name: str) -> str:
    return name.rpartition(" ")[2]


# Labelled traces


def _labelled_day(path: Path, wanted: str) -> Day:
    longest: dict[str, Any] | None = None
    for trace in _lines(path):
        if wanted:
            if trace.get("id") == wanted:
                longest = trace
                break
        elif longest is None or _window_s(trace) > _window_s(longest):
            longest = trace
    if longest is None:
        raise UnusableTrace(f"{path} has no trace{f' {wanted}' if wanted else ''}")
    return _day_of(longest)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for number, line in enumerate(file, 1):
            try:
                trace = json.loads(line)
                trace["fixes"], trace["window"], trace["id"]
            except (ValueError, TypeError, KeyError) as error:
                raise UnusableTrace(f"{path}, line {number}, is not a trace: {error}") from error
            yield trace


def _window_s(trace: dict[str, Any]) -> float:
    return float(trace["window"][1]) - float(trace["window"][0])


def _day_of(trace: dict[str, Any]) -> Day:
    """Of what the device wrote, what lies in the day's window: it also writes down fixes that are hours old."""
    first_ms, last_ms = (int(float(edge) * 1000) for edge in trace["window"])
    try:
        fixes = [_labelled_fix(*fix) for fix in trace["fixes"]]
        motions = [_labelled_motion(*sample) for sample in trace.get("activities", ())]
    except (TypeError, ValueError) as error:
        raise UnusableTrace(f"trace {trace['id']} is not of the known form: {error}") from error
    fixes = [fix for fix in fixes if first_ms - 60_000 <= fix.t <= last_ms]
    items: list[wire.Item] = [*_thinned(fixes), *(motion for motion in motions if first_ms <= motion.t <= last_ms)]
    return as_day(f"A real day, {trace['id']}", str(trace.get("tz", "UTC")), items)


def _labelled_fix(
    t: float, lat: float, lon: float, acc: float | None = None, speed: float | None = None
) -> wire.Location:
    """Some devices write a negative accuracy where they know none."""
    known_acc = acc if acc is not None and acc >= 0 else None
    fields = {"kind": "location", "t": round(t * 1000), "lat": lat, "lon": lon, "acc": known_acc, "speed": speed}
    return wire.convert(fields, wire.Location)


def _labelled_motion(t: float, label: str, percent: float) -> wire.Activity:
    fields = {"kind": "activity", "t": round(t * 1000), "type": _MOTIONS.get(label, "unknown")}
    return wire.convert(fields | {"confidence": percent / 100}, wire.Activity)


def _thinned(fixes: Sequence[wire.Location]) -> Iterator[wire.Location]:
    """Every n-th fix, so that a long recording does not make a long demo."""
    return iter(fixes[:: -(-len(fixes) // FIXES_MAX)] if fixes else ())
