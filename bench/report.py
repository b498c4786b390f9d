"""What was measured, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from bench.machine import Cores
    from bench.measure import Result
    from bench.phases import Whole

MUST_INGEST: Final = 0.30
AIM_INGEST: Final = 0.55
MUST_SPREAD: Final = 0.20
MUST_RSS_BYTES: Final = 120 << 20
MUST_IMPORT_MS: Final = 150.0
_TOO_BUSY: Final = 0.95

_progress: Final = Console(stderr=True)


@dataclass(slots=True)
class Report:
    """All that one run found out.

    Args:
        loaded: what of a server importing the SDK loaded.
        rss_bytes: the most that the server's memory was after a measurement.
    """

    cores: Cores
    bare: list[Result] = field(default_factory=list)
    calls: list[Result] = field(default_factory=list)
    ingest: list[Result] = field(default_factory=list)
    whole: Whole | None = None
    rss_bytes: int = 0
    import_ms: float = 0.0
    loaded: list[str] = field(default_factory=list)

    def ratio(self, result: Result) -> float:
        """Requests per core-second, as a part of what bare ASGI did in between, or else before and after."""
        if result.limit_us is not None:
            return result.limit_us / result.cpu_us
        return sum(bare.cpu_us for bare in self.bare) / len(self.bare) / result.cpu_us

    @property
    def spread(self) -> float:
        """By how much the dearest ingest is dearer than the cheapest, over all sizes of the database.

        Each in units of the limit beside it: minutes lie between them, and a machine may have grown slower as a whole.
        """
        ratios = [self.ratio(result) for result in self.ingest]
        return max(ratios) / min(ratios) - 1

    def checks(self) -> list[tuple[str, str, bool]]:
        """What was promised: its name, what was found, whether it was kept."""
        ratio = self.ratio(self.ingest[0])
        spread = f"{self.spread:.0%} (less than {MUST_SPREAD:.0%})"
        memory = f"{self.rss_bytes / (1 << 20):.0f} MiB (less than {MUST_RSS_BYTES >> 20})"
        start = f"{self.import_ms:.0f} ms (less than {MUST_IMPORT_MS:.0f})"
        return [
            (
                "ingest against bare ASGI",
                f"{ratio:.0%} (at least {MUST_INGEST:.0%}, aim {AIM_INGEST:.0%})",
                ratio >= MUST_INGEST,
            ),
            ("ingest over sizes of the database", spread, self.spread < MUST_SPREAD),
            ("memory of the server", memory, self.rss_bytes < MUST_RSS_BYTES),
            ("import of unbroken.sdk", start, self.import_ms < MUST_IMPORT_MS),
            ("what of a server that loads", ", ".join(self.loaded) or "nothing", not self.loaded),
        ]


def say(what: str) -> None:
    """Tell how far it is, to those who wait."""
    _progress.print(f"[dim]{what} ...[/dim]")


def show(report: Report) -> None:
    """Print everything."""
    console = Console(width=132, soft_wrap=True)
    console.print(_measurements(report))
    if report.whole is not None:
        console.print(_of_whole_way(report.whole))
    if report.cores.are_shared:
        console.print("[yellow]Server and load generator share one core: only CPU times mean anything.[/yellow]")
    console.print(_promises(report))


def _measurements(report: Report) -> Table:
    table = Table(title="Server on one core, load of 64 clients on another; each 2xx after a synced commit")
    table.add_column("call")
    for name in ("requests", "per s", "p50 ms", "p99 ms", "CPU us", "per core-s", "of bare", "generator"):
        table.add_column(name, justify="right")
    table.add_column("")
    for result in (*report.bare, *report.calls, *report.ingest):
        busy = f"{result.busy:.0%}"
        table.add_row(
            result.name,
            f"{result.requests:,}",
            f"{result.per_s:,.0f}",
            f"{result.p50_ms:.2f}",
            f"{result.p99_ms:.2f}",
            f"{result.cpu_us:.1f}",
            f"{result.per_core_s:,.0f}",
            f"{report.ratio(result):.0%}",
            f"[red]{busy}[/red]" if result.busy > _TOO_BUSY else busy,
            result.note,
        )
    return table


def _of_whole_way(whole: Whole) -> str:
    return (
        f"The whole way of an upload, each making a timeline of its own: {whole.cpu_us:,.0f} us of CPU,"
        f" {1e6 / whole.cpu_us:,.0f} per core-second ({whole.uploads:,} uploads)."
    )


def _promises(report: Report) -> Table:
    table = Table(title="What was promised")
    for name in ("", "found", "kept"):
        table.add_column(name)
    for name, found, is_kept in report.checks():
        table.add_row(name, found, "[green]yes[/green]" if is_kept else "[red]no[/red]")
    return table


def write(report: Report, path: Path) -> None:
    """The same as JSON."""
    results = [*report.calls, *report.ingest]
    told: dict[str, Any] = {
        "bare": [asdict(bare) for bare in report.bare],
        "results": [{**asdict(result), "of_bare": report.ratio(result)} for result in results],
        "whole_way": asdict(report.whole) if report.whole is not None else None,
        "checks": [{"name": name, "found": found, "kept": is_kept} for name, found, is_kept in report.checks()],
    }
    path.write_text(json.dumps(told, indent=2) + "\n")
