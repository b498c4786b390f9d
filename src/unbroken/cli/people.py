"""`unbroken user`, `unbroken install show`, `unbroken explain`: what the platform knows, for its operator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unbroken import wire
from unbroken.cli.operator import ask_all_apps, ask_every_app
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_facts, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.install import State
from unbroken.domain.payload import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.app import App
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context

users = typer.Typer(help="Users: the persons on the platform.", no_args_is_help=True)
installs = typer.Typer(help="Installs: one installation of the SDK each.", no_args_is_help=True)

_FOR_ONE_INSTALL: Final = frozenset({"device", "state_reason", "link_id", "activations"})
"""What `install show` tells, and what would not fit into a line of `user show`."""

_ITEMS_DAYS: Final = 7

InstallIdArgument = Annotated[str, typer.Argument(metavar="INSTALL_ID", help="The install's id.")]


@users.command("show")
def show_user(
    user_id: Annotated[str, typer.Argument(metavar="USER_ID", help="The user's id; one that redirects will do.")],
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Show a person: profile, how far the timeline is, and installs."""
    with errors_as_sentences(json=json):
        id_of(user_id, "a user")
        shown = run(
            data, lambda context: ask_every_app(context, f"the user {user_id}", partial(_user, context, user_id))
        )
        if json:
            print_json(shown)
        else:
            _print(f"User {user_id}", shown)


@users.command("find")
def find_user(
    external_id: Annotated[
        str, typer.Argument(metavar="EXTERNAL_ID", help="What an app calls the person: an account.")
    ],
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Show who carries an external id, in whichever app: as `user show`."""
    with errors_as_sentences(json=json):
        step, what = partial(_carrier, external_id), f"a person by the external id {external_id!r}"
        found = run(data, lambda context: ask_all_apps(context, what, partial(step, context)))
        if json:
            print_json({"users": found})
        else:
            for shown in found:
                _print(f"User {shown['id']} of the app {shown['application_id']}", shown)


@installs.command("show")
def show_install(install_id: InstallIdArgument, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Show an install: device, state, link, activations."""
    with errors_as_sentences(json=json):
        id_of(install_id, "an install")
        step = partial(_install, install_id)
        shown = run(data, lambda context: ask_every_app(context, f"the install {install_id}", partial(step, context)))
        if json:
            print_json(shown)
        else:
            _print(f"Install {install_id}", shown)


def explain(
    install_id: InstallIdArgument,
    at: Annotated[str | None, typer.Option(help="When: ISO 8601 with offset; now if left out.")] = None,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Say why an install is, or was, in its state, and why link calls for it were refused."""
    with errors_as_sentences(json=json):
        id_of(install_id, "an install")
        step = partial(_explain, install_id, _instant(at))
        shown = run(data, lambda context: ask_every_app(context, f"the install {install_id}", partial(step, context)))
        if json:
            print_json(shown.explanation)
        else:
            _say(shown)


@dataclass(frozen=True, slots=True)
class _Explained:
    """An explanation, and what else the operator asks next.

    Args:
        app: whose install it is.
        items: how many items of the last days had each outcome; None where the install is gone.
    """

    explanation: wire.Explanation
    app: App
    items: Mapping[str, int] | None


def _say(shown: _Explained) -> None:
    _say_app(shown.app)
    _say_state(shown.explanation)
    if shown.items is not None:
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(shown.items.items()))
        typer.echo(f"  Its items of the last {_ITEMS_DAYS} days: {counts or 'none'}.")
    _say_refused(shown.explanation)


def _say_app(app: App) -> None:
    if app.is_disabled:
        hint = f"unbroken app enable {app.app_id.hex()}"
        typer.echo(f"The app {app.name} is disabled: nothing of its phones is taken, and none is linked: {hint}")


def _say_state(shown: wire.Explanation) -> None:
    typer.echo(shown.sentence)
    typer.echo(f"  So it has been since {wire.iso(shown.inputs['since'])}.")
    if (unlinked_at := shown.inputs.get("unlinked_at")) is not None:
        typer.echo(f"  Its link was undone at {wire.iso(unlinked_at)}.")
    if (other := shown.inputs.get("other")) is not None:
        linked = "not linked" if other["linked_at"] is None else f"linked at {wire.iso(other['linked_at'])}"
        installed = f"installed at {wire.iso(other['registered_at'])}"
        typer.echo(f"  The other one is the {other['form']} {other['install_id']}, {installed}, {linked}.")
    if (because := shown.inputs.get("form_because")) is not None:
        typer.echo(f"  {because}")
    if (attested := (shown.link or {}).get("attestation")) is not None:
        typer.echo(f"  When it was linked, its device proved: {attested['level']}.")
    for counterfactual in shown.counterfactuals:
        typer.echo(f"  {counterfactual.sentence}")


def _say_refused(shown: wire.Explanation) -> None:
    for refused in shown.refused_links:
        typer.echo(f"Refused at {refused.at}, row {refused.row}, {refused.error_code}: {refused.sentence}")
        for counterfactual in refused.counterfactuals:
            typer.echo(f"  {counterfactual.sentence}")


async def _user(context: Context, user_id: str, caller: KeyCaller) -> dict[str, Any]:
    from unbroken.flow import profile  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.flow.setting_aside import timeline_state  # noqa: PLC0415

    found = await profile.profile(context, caller, user_id)
    timeline = await timeline_state(context, caller, user_id)
    page = await profile.installs(context, caller, user_id, wire.PAGE_MAX, None)
    installs = [dict(wire.plain(install)) for install in page.installs]
    return {**wire.plain(found), "timeline": timeline, "installs": installs}


async def _carrier(external_id: str, context: Context, caller: KeyCaller) -> dict[str, Any]:
    from unbroken.flow import profile  # noqa: PLC0415

    found = await profile.profile_by_external_id(context, caller, external_id)
    return {"application_id": caller.app.app_id.hex(), **await _user(context, found.id, caller)}


async def _install(install_id: str, context: Context, caller: KeyCaller) -> dict[str, Any]:
    from unbroken.flow import profile, whose  # noqa: PLC0415

    install = await context.store.read(lambda tx: whose.install_of_app(tx, caller, install_id))
    user_id = install.user.hex()
    page = await profile.installs(context, caller, user_id, wire.PAGE_MAX, None)
    view = next(view for view in page.installs if view.install_id == install_id)
    return {"application_id": caller.app.app_id.hex(), "user_id": user_id, **wire.plain(view)}


async def _explain(install_id: str, at_ms: int | None, context: Context, caller: KeyCaller) -> _Explained:
    from unbroken.flow import explain as step  # noqa: PLC0415

    told = await step.explain(context, caller, install_id, at_ms)
    items = None
    if told.state != State.DELETED:
        items = await step.outcomes(context, caller, install_id, context.clock.now_ms() - _ITEMS_DAYS * DAY_MS)
    return _Explained(told, caller.app, items)


def _instant(text: str | None) -> int | None:
    at_ms = None if text is None else wire.parse_iso(text)
    if text is not None and at_ms is None:
        raise InvalidRequest(f"{text!r} is not a time: ISO 8601 with offset, as 2026-11-23T21:12:54+00:00.")
    return at_ms


def _print(title: str, shown: dict[str, Any]) -> None:
    """Members as lines, lists of objects as tables."""
    facts = dict(shown)
    tables = {name: facts.pop(name) for name in list(facts) if _is_table(facts[name])}
    print_facts(title, facts)
    for name, rows in tables.items():
        columns = [column for column in rows[0] if column not in _FOR_ONE_INSTALL]
        print_table([c.upper() for c in columns], [[row[c] for c in columns] for row in rows], empty=f"No {name}.")


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
