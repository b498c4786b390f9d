"""`unbroken rotate ...`: the platform's own keys."""

from __future__ import annotations

from typing import Annotated

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json
from unbroken.cli.run import run

program = typer.Typer(help="Put a new key in the place of one of the platform's own.", no_args_is_help=True)

Copied = Annotated[
    bool, typer.Option("--copied", help="On PostgreSQL: every server has the keys.json with the new key by now.")
]


@program.command("external-ids")
def external_ids(*, copied: Copied = False, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Seal every external id under a new key, while servers work on.

    On PostgreSQL the first call only adds the key to keys.json: copy the file to every server, then call again with
    --copied. Whatever ends the command early, call it again. The old key leaves keys.json at the end.
    """
    from unbroken.server import settings  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.server.rotation import rotate_external_ids  # noqa: PLC0415

    with errors_as_sentences(json=json):
        is_shared = bool(settings.load(data=data).database_url)
        done = run(data, lambda context: rotate_external_ids(context, data, is_shared=is_shared, is_copied=copied))
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
            typer.echo(f"Key {done.key_no} is in {data / 'keys.json'}, and not used yet.")
            typer.echo("Copy the file to the data directory of every server, then run this again with --copied.")
        else:
            typer.echo(f"External ids are sealed under key {done.key_no}: {done.resealed} texts were sealed anew.")
            typer.echo("The old key is out of keys.json; a backup from before needs the file from before.")
