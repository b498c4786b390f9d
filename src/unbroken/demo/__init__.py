"""The demo: a day goes through four installs over a bad network, and comes out as one timeline.

`run` is what `unbroken demo` calls. Platform, customer's server and virtual phones are processes of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def run(trace: str | None, output: Path, seed: int, *, keep: bool) -> int:
    """Run the demo, show it, write its page.

    Args:
        trace: a file with a real day (`traces.read_day`); None makes one up.
        output: the directory for the page; made if missing.
        seed: names the made-up day, the faults of the network and the ids.
        keep: leave the platforms' data there too.

    Returns:
        The exit code: 0 only when the timeline equals that of one phone that never changed.
    """
    from unbroken.demo.director import direct  # noqa: PLC0415 - the command line loads this module for its help

    return direct(trace, output, seed, keep=keep)
