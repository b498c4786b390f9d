"""`unbroken move`."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.flow.move import Progress, Report
    from unbroken.server.moving import Wanted

_FROM_HELP = "Where the platform is: a data directory, sqlite:///DIRECTORY or postgresql://..."
_TO_HELP = "Where it is to be, likewise: an empty database, or none yet."


def move(
    *,
    source: Annotated[str, typer.Option("--from", metavar="PLACE", help=_FROM_HELP)],
    target: Annotated[str, typer.Option("--to", metavar="PLACE", help=_TO_HELP)],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Look whether it can be done, and change nothing.")
    ] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Move the platform to another database while it runs, whatever the engines.

    Writes stand still for the last comparison of both sides. Afterwards every server on the source answers 503; start
    servers on the target, with the same keys. Whatever ends the command early, run it again. --data is the platform's
    data directory where it is on PostgreSQL.
    """
    from unbroken.server import moving, places  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        wanted = moving.Wanted(places.parse(source), places.parse(target), data)
        if dry_run:
            report = asyncio.run(moving.look_before(wanted))
        else:
            with _progress(shown=not json) as progress:
                report = asyncio.run(moving.move(wanted, progress))
        if json:
            print_json(view_of(report))
        else:
            _tell(report, wanted)


@contextmanager
def _progress(*, shown: bool) -> Iterator[Progress]:
    """On standard error: a line that changes where a person looks at it, else one for each table of each round."""
    if not shown:
        yield lambda _step, _table, _rows: None
        return
    from rich.console import Console  # noqa: PLC0415 - only people need it

    console = Console(stderr=True)
    with console.status("Looking at both sides") as status:
        yield lambda step, table, rows: status.update(f"{step}: {table}, {rows} rows")


def view_of(report: Report) -> dict[str, Any]:
    """A report as JSON says it."""
    return {
        "from": report.source,
        "to": report.target,
        "dry_run": report.is_dry,
        "was_done": report.was_done,
        "rows": report.rows,
        "tables": [{"name": one.name, "rows": one.rows, "checksum": one.checksum or None} for one in report.tables],
        "rounds": report.rounds,
        "last_round": report.last,
        "stood_still_s": round(report.stood_still_s, 3),
        "purge": report.is_to_purge,
    }


def _tell(report: Report, wanted: Wanted) -> None:
    if report.tables:
        rows = [(one.name, str(one.rows), one.checksum) for one in report.tables]
        print_table(("TABLE", "ROWS", "CHECKSUM"), rows, empty="")
    for sentence in _sentences(report, wanted):
        typer.echo(sentence)


def _sentences(report: Report, wanted: Wanted) -> Iterator[str]:
    if report.is_dry:
        yield (
            "The move was over already."
            if report.was_done
            else f"It can be done: {report.rows} rows. Nothing was changed."
        )
        return
    if report.was_done:
        yield f"The move was over already: the platform is at {report.target}."
        return
    yield (
        f"The platform is at {report.target} now, {report.rows} rows, the same on both sides. Writes stood still for"
        f" {report.stood_still_s:.1f} s."
    )
    yield f"Stop the servers on {report.source}, which answer 503, and start them on the new place."
    yield _what_to_carry(wanted)
    if report.is_to_purge:
        yield (
            "Somebody was erased meanwhile, or external ids came under another key, and may have left a trace in the"
            " new files: run `unbroken purge` there."
        )
    yield f"Delete {report.source} when you are content: who is erased from now on is still in it."


def _what_to_carry(wanted: Wanted) -> str:
    if wanted.target.directory is not None:
        return f"The keys went along: {wanted.target.directory} has them. Back them up apart from the database."
    return (
        f"The keys stay in {wanted.keys_of_source}, which is still the servers' --data. Copy its keys.json and"
        " mode.json to the data directory of every other server, and keep a backup apart from the database."
    )
