"""The page on performance: its tables and its plot, from what one run told; see `bench.marks`.

The numbers of that run stand beside it as JSON, so that a test finds out when page and numbers differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import marks, plot, report, targets
from bench.contest import BARE, DIY, JETSTREAM, POSTGRES, SQLITE
from bench.grouped import GROUPED
from bench.pgbench import INSERT, LINK
from bench.told import SLOW_SYNCS, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.measure import Result
    from bench.told import Told

_PLACE: Final = Path(__file__).parents[1] / "docs" / "explanation"
PAGE: Final = _PLACE / "performance.md"
PLOT: Final = _PLACE / "performance.svg"
NUMBERS: Final = _PLACE / "performance.json"

WORKLOADS: Final = ("register", "link", "ingest", "timeline", "mixed")
SIDES: Final = (SQLITE, POSTGRES, JETSTREAM, DIY, BARE, GROUPED, INSERT, LINK)


def write(told: Told) -> None:
    """Write the page's parts, the plot and the numbers anew."""
    told.write(NUMBERS)
    kept = read(NUMBERS)  # as it will be read again
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), kept), encoding="utf-8")
    PLOT.write_text(plot.draw(kept), encoding="utf-8")


def page(text: str, told: Told) -> str:
    """The page with what was found out in it."""
    parts = {
        "run": _run(told),
        "promises": _promises(told),
        "not kept": _not_kept(told),
        "calls": _calls(told),
        "clients": _clients(told),
        "open": _open(told),
        "slow": _slow(told),
        "growth": _growth(told),
    }
    return marks.fill(text, parts)


def _run(told: Told) -> str:
    before, after = told.busy_cores
    lines = [
        ("begun", f"{told.at} UTC"),
        ("machine", told.machine),
        ("PostgreSQL", told.postgres or "not used"),
        ("load of the machine before and after", f"{before:.1f} and {after:.1f} busy processes"),
        ("took", ", ".join(f"{name} {took_s / 60:.1f} min" for name, took_s in told.took_s.items())),
        *((f"to store {what}", f"{took_s:,.0f} s") for what, took_s in told.filled_s.items()),
        *(("not measured", missing) for missing in told.missing),
    ]
    kind = "a quick run, with short turns and few users: no measure of the promises" if told.quick else "a full run"
    return marks.rows([("this page", kind), ("---", "---"), *lines])


def _promises(told: Told) -> str:
    kept = {True: "kept", False: "**not kept**", None: "not measured"}
    lines = [(one.name, one.promised, one.found, kept[one.is_kept]) for one in targets.check(told)]
    return marks.rows([("", "promised", "found", ""), ("---", "---", "---:", "---"), *lines])


def _not_kept(told: Told) -> str:
    lines = [
        f"- {one.name}: {one.found}, promised {one.promised}.\n" for one in targets.check(told) if one.is_kept is False
    ]
    return "".join(lines) or "Nothing: every promise that was measured was kept.\n"


_HEAD: Final = (
    ("", "", "per s", "p50 ms", "p99 ms", "µs, application", "µs, behind it", "per core-second"),
    ("---", "---", "---:", "---:", "---:", "---:", "---:", "---:"),
)


def _calls(told: Told) -> str:
    found = [told.find(workload, side) for workload in WORKLOADS for side in SIDES]
    return marks.rows([*_HEAD, *(_line(one, one.workload) for one in found if one is not None)])


def _line(one: Result, first: str) -> tuple[str, ...]:
    return (
        first,
        one.side,
        f"{one.per_s:,.0f}",
        f"{one.p50_ms:,.2f}",
        f"{one.p99_ms:,.2f}",
        f"{one.own_us:,.0f}",
        f"{one.other_us:,.0f}",
        f"{one.per_core_s:,.0f}",
    )


def _clients(told: Told) -> str:
    counts = sorted({one.clients for one in told.results if one.clients and one.workload in WORKLOADS})
    cells = [f"{count} clients" for count in counts]
    lines = [
        (workload, side, *(_rate_and_tail(told.find(workload, side, count)) for count in counts))
        for workload in WORKLOADS
        for side in SIDES
        if any(told.find(workload, side, count) for count in counts)
    ]
    return marks.rows([("per s (p99 ms)", "", *cells), ("---", "---", *("---:" for _ in counts)), *lines])


def _rate_and_tail(one: Result | None) -> str:
    return "" if one is None else f"{one.per_s:,.0f} ({one.p99_ms:,.1f})"


def _open(told: Told) -> str:
    lines = [
        (one.workload, one.side, f"{one.rate:,.0f}", f"{one.p50_ms:,.2f}", f"{one.p99_ms:,.2f}", f"{one.all_us:,.0f}")
        for one in told.results
        if one.rate
    ]
    head = ("", "", "due per s", "p50 ms", "p99 ms", "µs, all")
    return marks.rows([head, ("---", "---", "---:", "---:", "---:", "---:"), *lines])


def _slow(told: Told) -> str:
    found = [one for one in told.results if one.workload == SLOW_SYNCS]
    return marks.rows([*_HEAD, *(_line(one, "ingest, 256 clients") for one in found)])


def _growth(told: Told) -> str:
    sizes = sorted({one.users for one in told.grown})
    head = ("µs (requests to bare ASGI)", "", *(f"{size:,} users" for size in sizes), "differs by")
    return marks.rows([head, ("---", "---", *("---:" for _ in sizes), "---:"), *_growth_lines(told, sizes)])


def _growth_lines(told: Told, sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    for side in (SQLITE, POSTGRES):
        for workload in WORKLOADS:
            of = {one.users: one for one in told.grown if (one.side, one.workload) == (side, workload)}
            if not of:
                continue
            cells = [f"{of[size].all_us:,.0f} ({of[size].of_limit:.1f})" if size in of else "" for size in sizes]
            spread = told.spread(workload, side)
            yield workload, side, *cells, "" if spread is None else f"{spread:.0%}"


if __name__ == "__main__":
    report.show(read(NUMBERS))
