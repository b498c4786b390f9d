"""`unbroken purge`."""

from __future__ import annotations

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json
from unbroken.cli.run import run


def purge(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Write the database anew after erasures and rotations, where it is too large for the server to do so by itself.

    Nothing is stored meanwhile: about a second for 70 MB, and the disk must hold the database twice. A server that
    runs answers 503 until it is over, and the phones keep what they have: choose a quiet hour.
    """
    from unbroken.flow.purge import purge as rewrite  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        run(data, lambda context: rewrite(context, rewrite_up_to_bytes=None))
        if json:
            print_json({"purged": True})
        else:
            typer.echo("Nothing that was erased, or sealed under an earlier key, is left in the files of the database.")
