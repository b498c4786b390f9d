"""`unbroken demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_TRACE_HELP = "A real day from a .gpx, .jsonl or .jsonl.gz file; a made-up one if left out."


def demo(
    trace: Annotated[str | None, typer.Option(help=_TRACE_HELP)] = None,
    output: Annotated[Path, typer.Option(help="Where the page is written.")] = Path("unbroken-demo"),
    seed: Annotated[int, typer.Option(help="Names the day, the network's faults and the ids.")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the platforms' data, too.")] = False,
) -> None:
    """Watch a day travel through four installs and come out as one timeline."""
    from unbroken.demo import run  # noqa: PLC0415 - only the demo needs it

    raise typer.Exit(run(trace, output, seed, keep=keep))
