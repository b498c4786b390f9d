"""`unbroken cluster-demo`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from unbroken.cli.options import Json  # noqa: TC001 - typer looks the types up when it runs
from unbroken.cli.output import errors_as_sentences


class Victim(StrEnum):
    """What can be killed."""

    WORKER = "worker"
    API = "api"
    NATS_LEADER = "nats-leader"
    NATS_NODE = "nats-node"
    POSTGRESQL = "postgresql"


def cluster_demo(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="How long the load goes on.")] = 60.0,
    clients: Annotated[int, typer.Option(min=1, help="How many phones there are at a time.")] = 12,
    kill: Annotated[
        list[Victim] | None,
        typer.Option(
            help="worker, api, nats-leader, nats-node or postgresql; several in their order. All of them if left out."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Kill the processes of a cluster under load, and see that nothing acknowledged is lost. Exit code 1 if it is.

    Starts PostgreSQL, three NATS nodes, two APIs and two workers on loopback, and throws them away at the end.
    """
    from unbroken.demo.cluster import run  # noqa: PLC0415 - only the demo needs it

    with errors_as_sentences(json=json):
        raise typer.Exit(run(seconds, clients, [victim.value for victim in kill or Victim], json=json))
