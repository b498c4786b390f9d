"""The demo of a cluster: phones go on uploading while its processes are killed, and everything acknowledged is there.

`run` is what `unbroken cluster-demo` calls. Every member of the cluster is a process of its own on loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def run(seconds: float, clients: int, kills: Sequence[str], *, json: bool) -> int:
    """Start a cluster, load it, kill its members, check what is left, show it.

    Args:
        seconds: how long the load goes on.
        clients: how many phones there are at a time.
        kills: what is killed, in this order (`timetable.VICTIMS`); evenly over the time.
        json: print the report as one JSON document, and nothing else.

    Returns:
        The exit code: 0 only when nothing was lost or counted twice, and every law that was looked at holds.

    Raises:
        CannotStart: a program or a driver is not installed; the message says how to get it.
        ProcessFailed: a member did not do its part; the message carries what it wrote.
    """
    from unbroken.demo.cluster.needs import refuse_if_missing  # noqa: PLC0415 - the command line loads this for its help

    refuse_if_missing()
    from unbroken.demo.cluster.director import direct  # noqa: PLC0415 - its imports are what may be missing

    return direct(seconds, clients, kills, json=json)
