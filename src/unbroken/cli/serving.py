"""`unbroken serve`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, let_go_of_output, print_json
from unbroken.domain.errors import InvalidRequest


def serve(
    *,
    data: Data = DATA_DEFAULT,
    host: Annotated[str | None, typer.Option(help="The address to listen on (UNBROKEN_HOST, 127.0.0.1).")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one (UNBROKEN_PORT, 8080).")] = None,
    role: Annotated[
        str | None, typer.Option(help="What this process does: api, worker or all (UNBROKEN_ROLE, all).")
    ] = None,
    lab: Annotated[bool, typer.Option("--lab", help="Take the time from Lab-Time headers; for tests only.")] = False,
    seed: Annotated[int | None, typer.Option(help="With --lab: the same ids in every run.")] = None,
    json: Json = False,
) -> None:
    """Serve the platform until SIGTERM or Ctrl+C."""
    with errors_as_sentences(json=json):
        if seed is not None and not lab:
            raise InvalidRequest("--seed makes ids that can be guessed, so it goes with --lab only.")
        from unbroken.server import settings  # noqa: PLC0415 - each command starts as fast as it can
        from unbroken.server.data_directory import Mode  # noqa: PLC0415
        from unbroken.server.serve import serve as run_server  # noqa: PLC0415

        chosen = settings.load(data=data, host=host, port=port, role=role)

        def announce(url: str, is_lab: bool) -> None:
            try:
                tell(url, is_lab)
            except OSError:
                let_go_of_output()  # a file on a full disk, or nobody who reads: no reason not to serve

        def tell(url: str, is_lab: bool) -> None:
            if json:
                print_json({"url": url, "pid": os.getpid(), "data": str(data), "lab": is_lab})
            else:
                kind = "An Unbroken LAB" if is_lab else "Unbroken"
                typer.echo(f"{kind} listens on {url} with its data in {data}. Try it at {url}/schema; Ctrl+C stops it.")

        run_server(chosen, Mode(lab, seed), announce)
