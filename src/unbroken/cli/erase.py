"""`unbroken erase`: a person, one install, or a stretch of time; then a search for what might be left of the person."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final

import typer

from unbroken import wire
from unbroken.cli.operator import ask_every_app
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_facts, print_json
from unbroken.cli.run import run
from unbroken.domain.errors import Internal, InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context

    Step = Callable[[Context, KeyCaller], Awaitable[wire.Receipt]]


def erase(
    *,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Whom; an id that redirects will do.")] = None,
    install: Annotated[str | None, typer.Option(metavar="INSTALL_ID", help="Only this install of a person.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="With --user: only what was captured since.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="TIME", help="... and before; ISO 8601.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go and change nothing.")] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Erase a person for ever, search all data for what might be left, and print the signed receipt."""
    with errors_as_sentences(json=json):
        chosen = _chosen(user, install, _window(from_, to), dry_run=dry_run)
        receipt, left = run(data, partial(_erase, data, *chosen))
        if json:
            print_json(receipt)
        else:
            title = "Nothing was erased; this is what would go:" if dry_run else "Erased. Keep this receipt:"
            print_facts(title, wire.plain(receipt))
        if left:
            places = ", ".join(f"{place} ({count})" for place, count in left.items())
            raise Internal(f"Something of the person was still found in {places}.", hint=_AGAIN)


_AGAIN: Final = "Run the same command again; where the database is larger than 256 MiB, `unbroken purge` before it."


def _window(from_: str | None, to: str | None) -> tuple[int, int] | None:
    if from_ is None and to is None:
        return None
    if from_ is None or to is None:
        raise InvalidRequest("A stretch of time has two ends: give --from and --to.")
    found = [wire.parse_iso(text) for text in (from_, to)]
    if found[0] is None or found[1] is None:
        raise InvalidRequest("A time is ISO 8601 with offset, as 2026-11-23T21:12:54+00:00.")
    return found[0], found[1]


def _chosen(
    user: str | None, install: str | None, window: tuple[int, int] | None, *, dry_run: bool
) -> tuple[str, Step, str | None]:
    """How to call what is erased, the step that does it, and the user to search for afterwards, if one is gone."""
    from unbroken.flow import erase as whole  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.flow import erase_part as part  # noqa: PLC0415

    if user is not None and install is None:
        id_of(user, "a user")
        what, searched = f"the user {user}", None if dry_run else user
        if window is None:
            return what, lambda context, caller: whole.erase(context, caller, user, dry_run=dry_run), searched
        return what, lambda context, caller: part.erase_items(context, caller, user, *window, dry_run=dry_run), None
    if install is not None and user is None and window is None:
        id_of(install, "an install")
        what = f"the install {install}"
        return what, lambda context, caller: part.erase_install(context, caller, install, dry_run=dry_run), None
    raise InvalidRequest("Name whom: --user USER_ID, perhaps with --from and --to, or --install INSTALL_ID.")


async def _erase(
    data: Path, what: str, step: Step, searched: str | None, context: Context
) -> tuple[wire.Receipt, dict[str, int]]:
    from unbroken.flow.erase import names  # noqa: PLC0415
    from unbroken.flow.purge import BY_ITSELF_BYTES, purge  # noqa: PLC0415
    from unbroken.flow.traces import Names, search  # noqa: PLC0415

    found = None
    if searched is not None:
        with suppress(NotFound):  # erased before: what it was called is not known any more
            found = await ask_every_app(context, what, lambda caller: names(context, caller, searched))
    receipt = await ask_every_app(context, what, partial(step, context))
    if not receipt.dry_run:
        await purge(context, rewrite_up_to_bytes=BY_ITSELF_BYTES)
    return receipt, {} if found is None else await search(context, data, Names.of(found))
