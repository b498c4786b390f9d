"""`unbroken link undo`, `install activate|disable|enable`, `user rename|disable|enable`: changes made on purpose."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from unbroken import wire
from unbroken.cli.operator import ask_every_app
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_json
from unbroken.cli.people import InstallIdArgument, installs, users
from unbroken.cli.run import run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context

links = typer.Typer(help="Links: which install belongs to which account.", no_args_is_help=True)

Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the ledger.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would differ and change nothing.")]
UserIdArgument = Annotated[str, typer.Argument(metavar="USER_ID", help="The user's id; one that redirects will do.")]


@links.command("undo")
def undo_link(
    link_id: Annotated[str, typer.Argument(metavar="LINK_ID", help="The id of a link, or of an undo to take back.")],
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Take a link back exactly, as if it had never been made."""

    async def step(context: Context, caller: KeyCaller) -> wire.Undone:
        from unbroken.flow import operate, undo  # noqa: PLC0415 - each command starts as fast as it can

        return await undo.undo(context, caller, link_id, operate.Order(reason, dry_run))

    _do(data, step, link_id, "a link", json=json)


@installs.command("activate")
def activate_install(
    install_id: InstallIdArgument,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Make an install the active one of its user, on purpose."""

    async def step(context: Context, caller: KeyCaller) -> wire.Changed:
        from unbroken.flow import operate  # noqa: PLC0415

        return await operate.activate(context, caller, install_id, operate.Order(reason, dry_run))

    _do(data, step, install_id, "an install", json=json)


@installs.command("disable")
def disable_install(
    install_id: InstallIdArgument,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Stop an install."""
    _set_state(data, "an install", install_id, "disabled", reason, dry_run=dry_run, json=json)


@installs.command("enable")
def enable_install(
    install_id: InstallIdArgument,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Let an install go on."""
    _set_state(data, "an install", install_id, "enabled", reason, dry_run=dry_run, json=json)


@users.command("disable")
def disable_user(
    user_id: UserIdArgument,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Stop all installs of a person."""
    _set_state(data, "a user", user_id, "disabled", reason, dry_run=dry_run, json=json)


@users.command("enable")
def enable_user(
    user_id: UserIdArgument,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Let the installs of a person go on."""
    _set_state(data, "a user", user_id, "enabled", reason, dry_run=dry_run, json=json)


@users.command("rename")
def rename_user(
    user_id: UserIdArgument,
    external_id: Annotated[str, typer.Argument(metavar="EXTERNAL_ID", help="What the customer calls the person now.")],
    release_old: Annotated[bool, typer.Option("--release-old", help="Free the older ids for other people.")] = False,
    reason: Reason = None,
    dry_run: DryRun = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Give a person another external id; the older ones stay aliases."""

    async def step(context: Context, caller: KeyCaller) -> wire.Renamed:
        from unbroken.flow import operate, rename  # noqa: PLC0415

        body = wire.Rename(external_id, release_old, reason)
        return await rename.rename(context, caller, user_id, body, operate.Order(reason, dry_run))

    _do(data, step, user_id, "a user", json=json)


def _set_state(
    data: Path,
    what: Literal["an install", "a user"],
    id_text: str,
    wanted: Literal["enabled", "disabled"],
    reason: str | None,
    *,
    dry_run: bool,
    json: bool,
) -> None:
    async def step(context: Context, caller: KeyCaller) -> wire.Changed:
        from unbroken.flow import operate  # noqa: PLC0415

        change = operate.set_install_state if what == "an install" else operate.set_user_state
        return await change(context, caller, id_text, wanted, operate.Order(reason, dry_run))

    _do(data, step, id_text, what, json=json)


def _do(
    data: Path, step: Callable[[Context, KeyCaller], Awaitable[Any]], id_text: str, what: str, *, json: bool
) -> None:
    """Do it in whichever app knows the id, and tell what came of it."""
    with errors_as_sentences(json=json):
        id_of(id_text, what)
        named = f"{what} {id_text}"
        done = run(data, lambda context: ask_every_app(context, named, partial(step, context)))
        if json:
            print_json(done)
        else:
            _tell(done)


def _tell(done: wire.Undone | wire.Changed | wire.Renamed) -> None:
    if done.dry_run:
        typer.echo("A dry run: nothing was changed.")
    if isinstance(done, wire.Renamed):
        typer.echo(f"User {done.id} is {done.external_id}; it is found by {', '.join(done.external_ids)}.")
        return
    if isinstance(done, wire.Undone):
        typer.echo(f"Link {done.link_id}: undo {done.undo_id}; the install's own user is {done.own_user_id}.")
    else:
        typer.echo(f"User {done.user_id} is {done.state}." if done.install_id is None else f"It is {done.state} now.")
    for change in done.summary.installs:
        typer.echo(f"  install {change.install_id}: {change.state_before} -> {change.state_after}")
    for day in done.summary.days:
        typer.echo(f"  {day.day} user {day.user_id}: {day.gained} events gained, {day.lost} lost, {day.moved} moved")
