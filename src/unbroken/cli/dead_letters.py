"""`unbroken dead-letter list|show|replay|drop`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, POSITION_MAX, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_bytes, print_json, print_table
from unbroken.cli.run import run

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.dead_letters import Listed

program = typer.Typer(no_args_is_help=True, help="Uploads that could not be processed: look, try again, give up.")

Install = Annotated[str, typer.Argument(metavar="INSTALL_ID", help="Whose upload.")]
Position = Annotated[
    int, typer.Argument(metavar="POSITION", min=0, max=POSITION_MAX, help="Its place in the payload log.")
]


@program.command("list")
def list_(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """List them, with the kind of error that each met."""
    with errors_as_sentences(json=json):
        found = run(data, _all)
        if json:
            print_json({"dead_letters": list(map(_view, found))})
            return
        columns = ("INSTALL_ID", "POSITION", "RECEIVED", "FAILED", "BYTES", "TROUBLE")
        print_table(columns, map(_line, found), empty="There are none.")


@program.command("show")
def show(install: Install, position: Position, data: Data = DATA_DEFAULT) -> None:
    """Write the body of one to stdout, compressed as it came."""
    from unbroken.flow import dead_letters  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=False):
        install_id = id_of(install, "an install")
        print_bytes(run(data, lambda context: dead_letters.one(context, install_id, position)).body)


@program.command("replay")
def replay(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Try all of them again, as after an upgrade; those that fail again stay."""
    from unbroken.flow import dead_letters  # noqa: PLC0415

    with errors_as_sentences(json=json):
        told = run(data, dead_letters.replay)
        if json:
            print_json({"kept": told.kept, "failed": told.failed})
        else:
            typer.echo(f"{told.kept} are kept now, {told.failed} failed again.")


@program.command("drop")
def drop(install: Install, position: Position, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Give one up for ever."""
    from unbroken.flow import dead_letters  # noqa: PLC0415

    with errors_as_sentences(json=json):
        install_id = id_of(install, "an install")
        run(data, lambda context: dead_letters.drop(context, install_id, position))
        if json:
            print_json({"dropped": {"install_id": install, "position": position}})
        else:
            typer.echo("It is gone.")


async def _all(context: Context) -> list[Listed]:
    from unbroken.flow import dead_letters  # noqa: PLC0415

    return [letter async for letter in dead_letters.letters(context)]


def _view(letter: Listed) -> dict[str, Any]:
    return {
        "install_id": letter.install_id.hex(),
        "position": letter.position,
        "received_at": wire.iso(letter.received_at),
        "failed_at": wire.iso(letter.failed_at),
        "bytes": letter.size_bytes,
        "trouble": letter.trouble,
    }


def _line(letter: Listed) -> tuple[str, ...]:
    return tuple(str(value) for value in _view(letter).values())
