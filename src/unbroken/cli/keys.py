"""`unbroken key ...`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_facts, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.app import Scope
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import AppId, KeyId

if TYPE_CHECKING:
    from unbroken.flow.keys import CreatedKey
    from unbroken.store.api_keys import Key

program = typer.Typer(help="API keys: what the customer's server calls with.", no_args_is_help=True)

AppOption = Annotated[str, typer.Option("--app", metavar="APP_ID", help="The app's id.")]


@program.command()
def create(
    *,
    app: AppOption,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[list[str], typer.Option(help=f"What it may do; again for more: {', '.join(Scope)}.")],
    expires_days: Annotated[int, typer.Option(help="How long it lives.")] = 365,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Create a key. It is shown this once."""
    from unbroken.flow import keys  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        target, scopes = AppId(id_of(app, "an app")), [_scope(text) for text in dict.fromkeys(scope)]
        made = run(data, lambda context: keys.create_key(context, target, name, scopes, expires_days))
        if json:
            print_json(_made(made))
        else:
            print_facts(f"The key {name} was created. Keep it: it is not shown again.", _made(made))


def _made(made: CreatedKey) -> dict[str, str]:
    return {"key_id": made.key_id.hex(), "api_key": made.api_key, "expires_at": wire.iso(made.expires_at_ms)}


@program.command("list")
def list_(app: AppOption, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """List every key an app ever had."""
    from unbroken.flow import keys  # noqa: PLC0415

    with errors_as_sentences(json=json):
        target = AppId(id_of(app, "an app"))
        rows = list(map(_view, run(data, lambda context: keys.list_keys(context, target))))
        if json:
            print_json({"keys": rows})
        else:
            columns = ("key_id", "name", "scopes", "expires_at", "revoked_at", "last_used_at")
            cells = [[row[column] for column in columns] for row in rows]
            print_table([column.upper() for column in columns], cells, empty="This app has no key yet.")


@program.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key that is to end.")],
    *,
    overlap_days: Annotated[int, typer.Option(help="How long both are in force; 30 at most.")] = 7,
    expires_days: Annotated[int, typer.Option(help="How long the successor lives.")] = 365,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Create the successor of a key, with its name and scopes; the old one ends after the overlap."""
    from unbroken.flow import rotate as step  # noqa: PLC0415

    with errors_as_sentences(json=json):
        target = KeyId(id_of(key_id, "a key"))
        made = run(
            data,
            lambda context: step.rotate_key(context, target, overlap_days=overlap_days, expires_days=expires_days),
        )
        if json:
            print_json(_made(made))
        else:
            print_facts("The successor was created. Keep it: it is not shown again.", _made(made))


@program.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id.")],
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """End a key at once."""
    from unbroken.flow import keys  # noqa: PLC0415

    with errors_as_sentences(json=json):
        target = KeyId(id_of(key_id, "a key"))
        key = run(data, lambda context: keys.revoke_key(context, target))
        if json:
            print_json(_view(key))
        else:
            typer.echo(f"The key {key.name} is revoked.")


def _view(key: Key) -> dict[str, Any]:
    return {
        "key_id": key.key_id.hex(),
        "name": key.name,
        "scopes": sorted(key.scopes),
        "created_at": wire.iso(key.created_at),
        "expires_at": wire.iso(key.expires_at),
        "revoked_at": _when(key.revoked_at),
        "last_used_at": _when(key.last_used_at),
        "successor": None if key.successor is None else key.successor.hex(),
    }


def _when(at_ms: int | None) -> str | None:
    return None if at_ms is None else wire.iso(at_ms)


def _scope(text: str) -> Scope:
    try:
        return Scope(text)
    except ValueError:
        raise InvalidRequest(f"There is no scope {text}; there are {', '.join(Scope)}.") from None
