"""What was measured, as tables for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

from bench import targets

if TYPE_CHECKING:
    from bench.measure import Result
    from bench.told import Told

_TOO_BUSY: Final = 0.95
_progress: Final = Console(stderr=True)


def say(what: str) -> None:
    """Tell how far it is, to those who wait."""
    _progress.print(f"[dim]{what} ...[/dim]")


def show(told: Told) -> None:
    """Print everything."""
    console = Console(width=140, soft_wrap=True)
    console.print(_measurements(told.results))
    if told.grown:
        console.print(_growth(told))
    if told.cores_shared:
        console.print("[yellow]Application and load generator share one core: only CPU times mean anything.[/yellow]")
    for missing in told.missing:
        console.print(f"[yellow]{missing}[/yellow]")
    console.print(_promises(told))
    console.print(f"{told.machine}; PostgreSQL {told.postgres or '-'}; seconds: {told.took_s}")


def loop_of(result: Result) -> str:
    """How many clients a closed loop had, or which rate an open one."""
    return f"{result.rate:,.0f}/s" if result.rate else str(result.clients)


def _measurements(results: list[Result]) -> Table:
    table = Table(title="In turns, the application on one core; each success after a synced commit")
    for name in ("workload", "side"):
        table.add_column(name)
    for name in ("loop", "requests", "per s", "p50 ms", "p99 ms", "own us", "behind us", "per core-s", "generator"):
        table.add_column(name, justify="right")
    for result in results:
        busy = f"{result.busy:.0%}"
        table.add_row(
            result.workload,
            result.side,
            loop_of(result),
            f"{result.requests:,}",
            f"{result.per_s:,.0f}",
            f"{result.p50_ms:.2f}",
            f"{result.p99_ms:.2f}",
            f"{result.own_us:.0f}",
            f"{result.other_us:.0f}",
            f"{result.per_core_s:,.0f}",
            f"[red]{busy}[/red]" if result.busy > _TOO_BUSY else busy,
        )
    return table


def _growth(told: Told) -> Table:
    table = Table(title="CPU of a call over sizes, in requests to bare ASGI beside it")
    for name in ("workload", "side"):
        table.add_column(name)
    sizes = sorted({one.users for one in told.grown})
    for size in sizes:
        table.add_column(f"{size:,} users", justify="right")
    for side, workload in sorted({(one.side, one.workload) for one in told.grown}):
        costs = {one.users: one for one in told.grown if (one.side, one.workload) == (side, workload)}
        cells = [f"{costs[size].of_limit:.1f} ({costs[size].all_us:.0f} us)" if size in costs else "" for size in sizes]
        table.add_row(workload, side, *cells)
    return table


def _promises(told: Told) -> Table:
    table = Table(title="What was promised")
    for name in ("", "promised", "found", "kept"):
        table.add_column(name)
    for name, promised, found, is_kept in targets.check(told):
        table.add_row(name, promised, found, {True: "[green]yes[/green]", False: "[red]no[/red]", None: "?"}[is_kept])
    return table
