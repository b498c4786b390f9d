"""Administer apps: make, stop and list them. The command line and the console call the same functions.

Their policies are in `policies`, their API keys in `keys`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.credentials import SECRET_BYTES, Kind, write_opaque
from unbroken.domain.app import App, Policy
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.ids import AppId
from unbroken.domain.ledger.facts import FactKind
from unbroken.flow import audit
from unbroken.flow.audit import Event, What
from unbroken.store import apps, ledger, standing_changes

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

NAME_MAX_CHARACTERS: Final = 100
OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True)
class CreatedApp:
    """A new app and its secret, shown this once."""

    app_id: AppId
    app_secret: str


async def create_app(context: Context, name: str) -> CreatedApp:
    """Create an app with the default policy.

    Raises:
        InvalidRequest: the name is empty or too long.
    """
    check_name(name)
    now_ms = context.clock.now_ms()
    app_id = AppId(context.randomness.id("app", context.wall.now_ms()))
    secret = write_opaque(Kind.APP_SECRET, app_id, context.randomness.secret(SECRET_BYTES))
    app = App(app_id, name, is_disabled=False, policy=Policy())

    async def add(tx: Transaction) -> None:
        await apps.add_app(tx, app, context.vault.digest(secret), now_ms)
        audit.note(context, tx, Event(What.APP_CREATED, OPERATOR, app_id))

    await context.store.write(add)
    return CreatedApp(app_id, secret)


async def list_apps(context: Context) -> list[App]:
    """Every app, oldest first."""
    return await context.store.read(apps.every_app)


async def app_by_id(context: Context, app_id: AppId) -> App:
    """One app.

    Raises:
        NotFound.
    """
    return await context.store.read(lambda tx: existing_app(tx, app_id))


async def set_app_disabled(context: Context, app_id: AppId, disabled: bool) -> App:
    """Stop an app: every credential of it is refused at once. Or let it go on.

    Raises:
        NotFound.
    """

    async def change(tx: Transaction) -> App:
        app = await existing_app(tx, app_id)
        await apps.set_app_disabled(tx, app_id, is_disabled=disabled)
        audit.note(context, tx, Event(What.APP_STOPPED if disabled else What.APP_STARTED, OPERATOR, app_id))
        await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
        return replace(app, is_disabled=disabled)

    return await context.store.write(change)


async def existing_app(tx: Transaction, app_id: AppId) -> App:
    """An app, within a transaction.

    Raises:
        NotFound.
    """
    app = await apps.app_by_id(tx, app_id)
    if app is None:
        raise NotFound(f"There is no app {app_id.hex()}.")
    return app


def check_name(name: str) -> None:
    """The name of an app or a key can be shown on one line.

    Raises:
        InvalidRequest: it is empty, too long, or holds what is not printable.
    """
    if not name.strip() or len(name) > NAME_MAX_CHARACTERS or not name.isprintable():
        raise InvalidRequest.at("name", f"A name has 1 to {NAME_MAX_CHARACTERS} printable characters.")


async def id_counts(context: Context) -> dict[str, int]:
    """How many ids of each kind were given out, so that a seeded lab that is started again goes on counting."""
    counts = await context.store.read(ledger.count_by_kind)
    registered, linked = counts.get(FactKind.REGISTERED, 0), counts.get(FactKind.LINKED, 0)
    made = len(await list_apps(context))
    return {
        "install": registered,
        "user": registered,
        "link": linked,
        "undo user": counts.get(FactKind.UNLINKED, 0),
        "fact": sum(counts.values()) - linked,
        "app": made,
        "key": 1000 * made,
    }
