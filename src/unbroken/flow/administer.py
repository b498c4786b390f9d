"""Administer: apps, their policies, and API keys. The command line and the console call the same functions."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from unbroken.credentials import SECRET_BYTES, Kind, write_opaque
from unbroken.domain.app import App, Linking, LinkTicket, Policy, Precedence, Scope, Takeover, UsedInstall, written
from unbroken.domain.errors import Conflict, InvalidRequest, NotFound
from unbroken.domain.ids import AppId, FactId, KeyId
from unbroken.domain.ledger.facts import FactKind
from unbroken.flow import audit
from unbroken.flow.audit import Event, What
from unbroken.flow.retention import refuse_policy
from unbroken.store import api_keys, apps, ledger, standing_changes
from unbroken.store.api_keys import Key
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from enum import StrEnum

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

DAY_MS: Final = 86_400_000
KEY_LIFE_MAX_DAYS: Final = 365
KEYS_MAX: Final = 10
NAME_MAX_CHARACTERS: Final = 100
OPERATOR: Final = "operator"
CLOCK_TOLERANCE_MS: Final = 600_000
"""A fact that lies further ahead was said by a clock that was wrong, and must not carry the whole app along."""


@dataclass(frozen=True, slots=True)
class CreatedApp:
    """A new app and its secret, shown this once."""

    app_id: AppId
    app_secret: str


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new API key, shown this once."""

    key_id: KeyId
    api_key: str
    expires_at_ms: int


# Apps


async def create_app(context: Context, name: str) -> CreatedApp:
    """Create an app with the default policy.

    Raises:
        InvalidRequest: the name is empty or too long.
    """
    _check_name(name)
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
    return await context.store.read(lambda tx: _existing(tx, app_id))


async def set_app_disabled(context: Context, app_id: AppId, disabled: bool) -> App:
    """Stop an app: every credential of it is refused at once. Or let it go on.

    Raises:
        NotFound.
    """

    async def change(tx: Transaction) -> App:
        app = await _existing(tx, app_id)
        await apps.set_app_disabled(tx, app_id, is_disabled=disabled)
        audit.note(context, tx, Event(What.APP_STOPPED if disabled else What.APP_STARTED, OPERATOR, app_id))
        await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
        return replace(app, is_disabled=disabled)

    return await context.store.write(change)


async def _existing(tx: Transaction, app_id: AppId) -> App:
    app = await apps.app_by_id(tx, app_id)
    if app is None:
        raise NotFound(f"There is no app {app_id.hex()}.")
    return app


# Policies

_CHOICES: Final[dict[str, type[StrEnum]]] = {
    "linking": Linking,
    "used_install": UsedInstall,
    "precedence": Precedence,
    "takeover": Takeover,
    "link_ticket": LinkTicket,
}
_NUMBERS: Final = {
    "late_window_days": (1, 3650),
    "late_after_handover_hours": (0, 87_600),
    "retention_days": (1, 3650),
    "link_burst": (1, 1_000_000),
}
_PLACEHOLDERS: Final = "placeholders"
_WORDS_MAX_CHARACTERS: Final = 2_000


async def set_policy(context: Context, app_id: AppId, changes: Mapping[str, str]) -> Policy:
    """Change policies of an app by name; the change is a fact of its ledger.

    Raises:
        InvalidRequest: a name or a value is not known, or payloads would not be kept as long as late items may come.
        NotFound.
    """

    async def change(tx: Transaction) -> Policy:
        app = await _existing(tx, app_id)
        policy = policy_with(app.policy, changes)
        await refuse_policy(tx, app_id, app.policy, policy, context.clock.now_ms())
        if policy != app.policy:
            await apps.set_policy(tx, app_id, policy)
            await _record_policy(context, tx, app, policy)
            await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
        return policy

    return await context.store.write(change)


def policy_with(policy: Policy, changes: Mapping[str, str]) -> Policy:
    """A policy with some of its values changed by name.

    Raises:
        InvalidRequest: a name or a value is not known.
    """
    return replace(policy, **{name: _parse(name, value) for name, value in changes.items()})


async def _record_policy(context: Context, tx: Transaction, app: App, policy: Policy) -> None:
    app_id, now_ms = app.app_id, context.clock.now_ms()
    last_at = await ledger.last_at(tx, app_id, now_ms + CLOCK_TOLERANCE_MS)
    fact_id = FactId(context.randomness.id("fact", now_ms))
    entry = Entry(fact_id, max(now_ms, last_at + 1), FactKind.POLICY_CHANGED, OPERATOR, fields=written(policy))
    await ledger.append(tx, app_id, entry)
    before = asdict(app.policy)
    changed = {name: value for name, value in asdict(policy).items() if value != before[name]}
    audit.note_fact(context, tx, app_id, entry, {"policy": changed})


def policy_as_text(policy: Policy) -> dict[str, str | int]:
    """A policy as the command line shows and takes it."""
    return asdict(policy)


def _parse(name: str, value: str) -> Any:
    if name in _CHOICES:
        return _choice(name, value)
    if name in _NUMBERS:
        return _number(name, value)
    if name == _PLACEHOLDERS:
        return _words(name, value)
    raise _bad(name, f"There is no policy {name}; there are {', '.join([*_CHOICES, *_NUMBERS, _PLACEHOLDERS])}.")


def _choice(name: str, value: str) -> StrEnum:
    choices = _CHOICES[name]
    try:
        return choices(value)
    except ValueError:
        raise _bad(name, f"{name} is one of {', '.join(choices)}.") from None


def _number(name: str, value: str) -> int:
    least, most = _NUMBERS[name]
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not least <= number <= most:
        raise _bad(name, f"{name} is a whole number from {least} to {most}.")
    return number


def _words(name: str, value: str) -> str:
    """Each once, compared as external ids are: in NFC and lower case."""
    words = dict.fromkeys(unicodedata.normalize("NFC", word).strip().lower() for word in value.split(","))
    if len(value) > _WORDS_MAX_CHARACTERS or not value.isprintable():
        raise _bad(name, f"{name} are words with commas between, {_WORDS_MAX_CHARACTERS} characters at most.")
    return ",".join(word for word in words if word)


def _bad(path: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, details=((path, message),))


# Keys


async def create_key(
    context: Context, app_id: AppId, name: str, scopes: Sequence[Scope], expires_days: int = KEY_LIFE_MAX_DAYS
) -> CreatedKey:
    """Create an API key.

    Raises:
        InvalidRequest: no scope, or a life that is not 1 to 365 days.
        Conflict: the app has ten keys that are in force and have no successor.
        NotFound.
    """
    _check_name(name)
    if not scopes:
        raise _bad("scope", f"A key needs at least one scope: {', '.join(Scope)}.")
    if not 1 <= expires_days <= KEY_LIFE_MAX_DAYS:
        raise _bad("expires_days", f"A key lives 1 to {KEY_LIFE_MAX_DAYS} days.")
    now_ms = context.wall.now_ms()
    made = make_key(context, now_ms, expires_days)

    async def add(tx: Transaction) -> None:
        await _existing(tx, app_id)
        await add_key(context, tx, Key(made.key_id, app_id, name, frozenset(scopes), now_ms, made.expires_at_ms), made)
        audit.note(context, tx, Event(What.KEY_CREATED, OPERATOR, app_id, more={"key": made.key_id.hex()}))

    await context.store.write(add)
    return made


def make_key(context: Context, now_ms: int, expires_days: int) -> CreatedKey:
    """A new key that nobody knows of yet."""
    key_id = KeyId(context.randomness.id("key", now_ms))
    text = write_opaque(Kind.API_KEY, key_id, context.randomness.secret(SECRET_BYTES))
    return CreatedKey(key_id, text, now_ms + expires_days * DAY_MS)


async def add_key(context: Context, tx: Transaction, key: Key, made: CreatedKey) -> None:
    """Write a new key.

    Raises:
        Conflict: the app has ten keys that are in force and have no successor.
    """
    in_force = [one for one in await api_keys.keys_of_app(tx, key.app_id) if is_in_force(one, key.created_at)]
    if sum(one.successor is None for one in in_force) >= KEYS_MAX:
        raise Conflict(f"The app has {KEYS_MAX} keys that are in force and have no successor; revoke one first.")
    await api_keys.add_key(tx, key, context.vault.digest(made.api_key))


def is_in_force(key: Key, now_ms: int) -> bool:
    """Whether a key is neither revoked nor expired."""
    return key.revoked_at is None and key.expires_at > now_ms


async def list_keys(context: Context, app_id: AppId) -> list[Key]:
    """Every key an app ever had.

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> list[Key]:
        await _existing(tx, app_id)
        return await api_keys.keys_of_app(tx, app_id)

    return await context.store.read(load)


async def revoke_key(context: Context, key_id: KeyId) -> Key:
    """End a key at once; saying it again changes nothing.

    Raises:
        NotFound.
    """

    async def end(tx: Transaction) -> Key:
        key = await existing_key(tx, key_id)
        await end_key(context, tx, key, OPERATOR)
        return await existing_key(tx, key_id)

    return await context.store.write(end)


async def existing_key(tx: Transaction, key_id: KeyId) -> Key:
    """A key of any app.

    Raises:
        NotFound.
    """
    found = await api_keys.key_by_id(tx, key_id)
    if found is None:
        raise NotFound(f"There is no key {key_id.hex()}.")
    return found[0]


async def end_key(context: Context, tx: Transaction, key: Key, actor: str) -> bool:
    """Revoke a key in this transaction; whether it was not yet."""
    if not await api_keys.revoke_key(tx, key.key_id, context.wall.now_ms()):
        return False
    await standing_changes.add_change_of_apps(tx, context.clock.now_ms())
    audit.note(context, tx, Event(What.KEY_REVOKED, actor, key.app_id, more={"key": key.key_id.hex()}))
    return True


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > NAME_MAX_CHARACTERS or not name.isprintable():
        raise _bad("name", f"A name has 1 to {NAME_MAX_CHARACTERS} printable characters.")


# Labs


async def id_counts(context: Context) -> dict[str, int]:
    """How many ids of each kind were given out, so that a seeded lab that is started again goes on counting."""
    counts = await context.store.read(ledger.count_by_kind)
    registered, linked = counts.get(FactKind.REGISTERED, 0), counts.get(FactKind.LINKED, 0)
    apps = len(await list_apps(context))
    others = sum(counts.values()) - linked
    return {"install": registered, "user": registered, "link": linked, "fact": others, "app": apps, "key": 1000 * apps}
