"""`unbroken export`, `unbroken import`: one person as a file, and back."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from unbroken.cli.operator import ask_every_app
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_json
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import AppId

if TYPE_CHECKING:
    from unbroken.flow.adopt import Adopted
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context


def export(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The user's id; one that redirects will do.")],
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Write everything held on one person to standard output, as JSON Lines.

    The last line is a seal: without it the file is not whole, and `import` refuses it.
    """
    with errors_as_sentences(json=json):
        id_of(user_id, "a user")
        run(data, lambda context: _export(context, user_id, sys.stdout.buffer))


async def _export(context: Context, user_id: str, out: BinaryIO) -> None:
    from unbroken.flow import export as step  # noqa: PLC0415 - each command starts as fast as it can

    async def ask(caller: KeyCaller) -> step.Export:
        return await step.export(context, caller, user_id)

    exported = await ask_every_app(context, f"the user {user_id}", ask)
    try:
        async for line in exported.lines():
            out.write(line)
        out.flush()
    finally:
        exported.close()


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="What `export` wrote; - is standard input.")],
    app: Annotated[str | None, typer.Option(help="The app to import into; the one exported from if left out.")] = None,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Import persons from files that `export` wrote: all of them, or none.

    Installs come without a credential: a phone that still holds one is told to register anew. A person that is there
    already, the same, is left alone. Persons whose histories an undone link ties together are imported in one command.
    """
    with errors_as_sentences(json=json), ExitStack() as held:
        app_id = AppId(id_of(app, "an app")) if app is not None else None
        opened = [_open(file, held) for file in files]
        adopted = run(data, lambda context: _import(context, opened, app_id))
        if json:
            print_json(
                {
                    "application_id": adopted.app_id.hex(),
                    "users": [user_id.hex() for user_id in adopted.users],
                    "were_there": [user_id.hex() for user_id in adopted.were_there],
                    "payloads": adopted.payloads,
                }
            )
        else:
            _tell(adopted)


def _open(file: Path, held: ExitStack) -> BinaryIO:
    if str(file) == "-":
        return sys.stdin.buffer
    try:
        return held.enter_context(file.open("rb"))
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from error


async def _import(context: Context, files: list[BinaryIO], app_id: AppId | None) -> Adopted:
    from unbroken.flow.adopt import adopt  # noqa: PLC0415 - each command starts as fast as it can

    return await adopt(context, files, app_id)


def _tell(adopted: Adopted) -> None:
    for user_id in adopted.users:
        typer.echo(f"The user {user_id.hex()} is there now. A server computes the timeline while it runs.")
    for user_id in adopted.were_there:
        typer.echo(f"The user {user_id.hex()} was there already, the same.")
