"""`unbroken app ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_facts, print_json, print_table
from unbroken.cli.policy_trial import try_policy
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import AppId

if TYPE_CHECKING:
    from unbroken.domain.app import App

program = typer.Typer(help="Apps: the tenants of the platform.", no_args_is_help=True)

AppIdArgument = Annotated[str, typer.Argument(metavar="APP_ID", help="The app's id.")]


@program.command()
def create(
    name: Annotated[str, typer.Argument(help="What to call the app.")], data: Data = DATA_DEFAULT, json: Json = False
) -> None:
    """Create an app. Its secret is shown this once."""
    from unbroken.flow import administer  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        made = run(data, lambda context: administer.create_app(context, name), create=True)
        facts = {"app_id": made.app_id.hex(), "app_secret": made.app_secret}
        if json:
            print_json(facts)
        else:
            print_facts(f"The app {name} was created. Keep the secret: it is not shown again.", facts)


@program.command("list")
def list_(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """List all apps."""
    from unbroken.flow import administer  # noqa: PLC0415

    with errors_as_sentences(json=json):
        apps = run(data, administer.list_apps)
        if json:
            print_json({"apps": list(map(_view, apps))})
        else:
            rows = [(app.app_id.hex(), app.name, "disabled" if app.is_disabled else "on") for app in apps]
            print_table(("APP_ID", "NAME", "STATE"), rows, empty="There is no app yet: unbroken app create NAME")


@program.command()
def policy(
    app_id: AppIdArgument,
    changes: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE...", help="What to change.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would differ, and change nothing.")] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Show the policies of an app, or change some."""
    from unbroken.flow import administer, policies  # noqa: PLC0415

    with errors_as_sentences(json=json):
        target, parsed = AppId(id_of(app_id, "an app")), dict(map(_pair, changes or []))
        if dry_run:
            try_policy(data, target, parsed, json=json)
            return
        if parsed:
            found = run(data, lambda context: policies.set_policy(context, target, parsed))
        else:
            found = run(data, lambda context: administer.app_by_id(context, target)).policy
        shown = policies.policy_as_text(found)
        if json:
            print_json(shown)
        else:
            print_facts(f"Policies of {app_id}", shown)


@program.command()
def disable(app_id: AppIdArgument, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Stop an app: every credential of it is refused at once."""
    _set_disabled(app_id, data, json=json, disabled=True)


@program.command()
def enable(app_id: AppIdArgument, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Let a stopped app go on."""
    _set_disabled(app_id, data, json=json, disabled=False)


def _set_disabled(app_id: str, data: Data, *, json: bool, disabled: bool) -> None:
    from unbroken.flow import administer  # noqa: PLC0415

    with errors_as_sentences(json=json):
        target = AppId(id_of(app_id, "an app"))
        app = run(data, lambda context: administer.set_app_disabled(context, target, disabled))
        if json:
            print_json(_view(app))
        else:
            typer.echo(f"The app {app.name} is {'disabled' if app.is_disabled else 'on'}.")


def _view(app: App) -> dict[str, Any]:
    from unbroken.flow import policies  # noqa: PLC0415

    shown = policies.policy_as_text(app.policy)
    return {"app_id": app.app_id.hex(), "name": app.name, "disabled": app.is_disabled, "policies": shown}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest(f"{text!r} is not of the form key=value.")
    return name, value
