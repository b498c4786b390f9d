"""`unbroken audit list|show|verify|head`: who changed what, and whether the log of it is whole."""

from __future__ import annotations

from functools import partial
from pathlib import Path  # noqa: TC003 - typer looks at it
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, POSITION_MAX, Data, Json, content_of, id_of
from unbroken.cli.output import errors_as_sentences, print_bytes, print_facts, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidExternalId, InvalidRequest
from unbroken.domain.ids import AppId, parse_external_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.flow.audit_log import Published, Verified
    from unbroken.flow.context import Context

program = typer.Typer(help="The audit log: who changed what, when and why.", no_args_is_help=True)

_COLUMNS: Final = ("position", "at", "actor", "what", "app", "user", "install", "external_id", "reason")


@program.command("list")
def list_(
    *,
    what: Annotated[str | None, typer.Option(help="Only this kind of change, as it is called in the log.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this actor did; its beginning is enough.")] = None,
    app: Annotated[str | None, typer.Option(metavar="APP_ID", help="Only this app.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Only what names this user.")] = None,
    install: Annotated[str | None, typer.Option(metavar="INSTALL_ID", help="Only what names this install.")] = None,
    external_id: Annotated[str | None, typer.Option(help="Only what names this external id; needs --app.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many, newest first.")] = 50,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """List entries, newest first."""
    from unbroken.flow import audit_log  # noqa: PLC0415 - each command starts as fast as it can

    async def step(context: Context) -> list[dict[str, Any]]:
        exact = {"what": what, "app": app, **_names(context, app, user, install, external_id)}
        return await audit_log.newest(context, partial(_is_wanted, exact, actor or ""), limit)

    with errors_as_sentences(json=json):
        _check_word(what)
        found = run(data, step)
        if json:
            print_json({"entries": found})
        else:
            rows = [[one.get(column) for column in _COLUMNS] for one in found]
            print_table([column.upper() for column in _COLUMNS], rows, empty="There is no such entry.")


def _check_word(what: str | None) -> None:
    from unbroken.flow import audit  # noqa: PLC0415

    if what is not None and what not in audit.WORDS:
        raise InvalidRequest(f"No change is called {what!r}.", hint=f"One of: {', '.join(sorted(audit.WORDS))}.")


def _names(
    context: Context, app: str | None, user: str | None, install: str | None, external_id: str | None
) -> dict[str, str | None]:
    """What the log calls whom the options name."""
    from unbroken.flow import audit  # noqa: PLC0415

    account = None
    if external_id is not None:
        if app is None:
            raise InvalidRequest("An external id is one of an app: name it with --app.")
        known = parse_external_id(external_id, ())  # in the form in which it was written down
        if known is None:
            raise InvalidExternalId
        account = audit.name_of_account(context, AppId(id_of(app, "an app")), known)
    return {
        "user": None if user is None else audit.name_of(context, id_of(user, "a user")),
        "install": None if install is None else audit.name_of(context, id_of(install, "an install")),
        "external_id": account,
    }


def _is_wanted(exact: Mapping[str, str | None], actor: str, entry: Mapping[str, Any]) -> bool:
    is_exact = all(value is None or entry.get(name) == value for name, value in exact.items())
    return is_exact and str(entry.get("actor", "")).startswith(actor)


@program.command()
def show(
    position: Annotated[
        int, typer.Argument(metavar="POSITION", min=1, max=POSITION_MAX, help="The entry's place in the log.")
    ],
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Show one entry, whole."""
    from unbroken.flow import audit_log  # noqa: PLC0415

    with errors_as_sentences(json=json):
        entry = run(data, lambda context: audit_log.entry(context, position))
        if json:
            print_json(entry)
        else:
            print_facts(f"Entry {position} of the audit log", entry)


@program.command()
def verify(
    *,
    against: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Heads that were published; again for more files.")
    ] = None,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Check every entry, also beside a running server. Exit code 1 if one was changed or is missing.

    That the end is missing shows only against a head that was published before, and kept elsewhere.
    """
    with errors_as_sentences(json=json):
        files = [(path, content_of(path)) for path in against or []]
        told = run(data, partial(_verify, files))
        if json:
            bad = None if told.bad is None else {"position": told.bad.position, "why": told.bad.why}
            print_json({"ok": bad is None, "entries": told.entries, "heads": told.heads, "bad": bad})
        else:
            typer.echo(_sentence(told))
        if told.bad is not None:
            raise typer.Exit(1)


async def _verify(files: list[tuple[Path, bytes]], context: Context) -> Verified:
    from unbroken.flow import audit_log  # noqa: PLC0415

    heads = [head for path, text in files for head in _heads(path, audit_log.read_heads(context, text))]
    return await audit_log.verify(context, heads)


def _heads(path: Path, found: list[Published]) -> list[Published]:
    """Those of a file: one without any would say that the end is there, and prove nothing."""
    if not found:
        raise InvalidRequest(f"There is no published head in {path}.")
    return found


def _sentence(told: Verified) -> str:
    if told.bad is not None:
        return f"Entry {told.bad.position} is bad. {told.bad.why} Those before it are as they were written."
    if not told.heads:
        return f"All {told.entries} entries are as they were written. Whether the end is missing, --against tells."
    return f"All {told.entries} entries are as they were written, and {told.heads} published heads agree."


@program.command()
def head(data: Data = DATA_DEFAULT) -> None:
    """Print where the log ends now, signed, as one line of JSON. Keep it where nobody who can write here can."""
    from unbroken.flow import audit_log  # noqa: PLC0415

    with errors_as_sentences(json=False):
        print_bytes(wire.encode(run(data, audit_log.head)) + b"\n")
