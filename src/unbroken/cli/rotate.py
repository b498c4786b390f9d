"""`unbroken rotate ...`: the platform's own keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from pathlib import Path

    from unbroken.flow.context import Context
    from unbroken.server.rotation import Peppered, Rotated

program = typer.Typer(help="Put a new key in the place of one of the platform's own.", no_args_is_help=True)

Copied = Annotated[
    bool, typer.Option("--copied", help="On PostgreSQL: every server has the keys.json with the new key by now.")
]


@program.command("pepper")
def pepper(
    *,
    copied: Copied = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Let go of the earlier pepper, if nothing needs it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --finish: even if something does.")] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Keep the hashes of secrets under a new pepper, while servers work on.

    Secrets that were given out stay valid, under the earlier pepper, and come under the new one when they are shown
    or renewed. --finish says how many have not; when none is left, the earlier one is accepted no more. On PostgreSQL
    the first call only adds the pepper: copy keys.json to every server, call again with --copied, and copy it once
    more.
    """
    from unbroken.server import rotation, settings  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        if force and not finish:
            raise InvalidRequest("--force goes with --finish: nothing else lets go of a pepper.")
        is_shared = bool(settings.load(data=data).database_url)

        async def step(context: Context) -> Peppered:
            if finish:
                return await rotation.finish_pepper(context, data, by_force=force)
            return await rotation.rotate_pepper(context, data, is_shared=is_shared, is_copied=copied)

        done = run(data, step)
        if json:
            print_json(
                {
                    "pepper": done.pepper_no,
                    "copy_keys": done.is_to_copy,
                    "left": done.left,
                    "dropped_peppers": list(done.dropped),
                }
            )
        elif not done.is_used:
            _say_copy(f"Pepper {done.pepper_no}", data)
        else:
            _tell(done, data)


def _tell(done: Peppered, data: Path) -> None:
    typer.echo(f"Secrets are kept under pepper {done.pepper_no} from now on.")
    if done.is_to_copy:
        typer.echo(f"Copy {data / 'keys.json'} to every other server once more: until then it keeps them as before.")
    left = ", ".join(f"{count} {kind}" for kind, count in done.left.items() if count)
    if done.dropped:
        typer.echo("The earlier pepper is accepted no more.")
    elif left:
        typer.echo(f"Under an earlier one yet: {left}. They move when they are shown; look again with --finish.")


def _say_copy(what: str, data: Path) -> None:
    typer.echo(f"{what} is in {data / 'keys.json'}, and not used yet.")
    typer.echo("Copy the file to the data directory of every server, then run this again with --copied.")


@program.command("external-ids")
def external_ids(
    *,
    copied: Copied = False,
    finish: Annotated[
        bool, typer.Option("--finish", help="Take the earlier keys out of keys.json, if nothing needs them.")
    ] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Seal every external id under a new key, while servers work on.

    On PostgreSQL the first call only adds the key to keys.json: copy the file to every server, then call again with
    --copied. Whatever ends the command early, call it again. The old key stays in keys.json, for a database that is
    brought back from before, until --finish.
    """
    from unbroken.server import rotation, settings  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        is_shared = bool(settings.load(data=data).database_url)

        async def step(context: Context) -> Rotated:
            if finish:
                return await rotation.finish_external_ids(context, data)
            return await rotation.rotate_external_ids(context, data, is_shared=is_shared, is_copied=copied)

        done = run(data, step)
        if json:
            print_json(
                {
                    "key": done.key_no,
                    "copy_keys": done.is_to_copy,
                    "resealed": done.resealed,
                    "dropped_keys": list(done.dropped),
                }
            )
        elif done.is_to_copy:
            _say_copy(f"Key {done.key_no}", data)
        elif finish:
            typer.echo("The earlier keys are out of keys.json; a backup from before needs the file from before.")
        else:
            typer.echo(f"External ids are sealed under key {done.key_no}: {done.resealed} texts were sealed anew.")
            typer.echo("The earlier key stays in keys.json until --finish.")
