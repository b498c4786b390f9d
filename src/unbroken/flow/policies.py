"""The policies of an app: what an operator may set each to, and setting them."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import App, Linking, LinkTicket, Policy, Precedence, Takeover, UsedInstall, written
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import AppId, FactId
from unbroken.domain.ledger.facts import FactKind
from unbroken.flow import audit
from unbroken.flow.administer import OPERATOR, existing_app
from unbroken.flow.reckoning import reckon
from unbroken.flow.retention import refuse_policy
from unbroken.store import apps, ledger, standing_changes
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import StrEnum

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

CLOCK_TOLERANCE_MS: Final = 600_000
"""A fact that lies further ahead was said by a clock that was wrong, and must not carry the whole app along."""

_CHOICES: Final[dict[str, type[StrEnum]]] = {
    "linking": Linking,
    "used_install": UsedInstall,
    "precedence": Precedence,
    "takeover": Takeover,
    "link_ticket": LinkTicket,
}
NUMBERS: Final = {
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
    time = await reckon(context, dry_run=True)

    async def change(tx: Transaction) -> Policy:
        app = await existing_app(tx, app_id)
        policy = policy_with(app.policy, changes)
        await refuse_policy(tx, app_id, app.policy, policy, time.deletes_by_ms)
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
    if name in NUMBERS:
        return _number(name, value)
    if name == _PLACEHOLDERS:
        return _words(name, value)
    raise InvalidRequest.at(
        name, f"There is no policy {name}; there are {', '.join([*_CHOICES, *NUMBERS, _PLACEHOLDERS])}."
    )


def _choice(name: str, value: str) -> StrEnum:
    choices = _CHOICES[name]
    try:
        return choices(value)
    except ValueError:
        raise InvalidRequest.at(name, f"{name} is one of {', '.join(choices)}.") from None


def _number(name: str, value: str) -> int:
    least, most = NUMBERS[name]
    number = int(value) if value.isascii() and value.isdigit() else -1
    if not least <= number <= most:
        raise InvalidRequest.at(name, f"{name} is a whole number from {least} to {most}.")
    return number


def _words(name: str, value: str) -> str:
    """Each once, compared as external ids are: in NFC and lower case."""
    words = dict.fromkeys(unicodedata.normalize("NFC", word).strip().lower() for word in value.split(","))
    if len(value) > _WORDS_MAX_CHARACTERS or not value.isprintable():
        raise InvalidRequest.at(
            name, f"{name} are words with commas between, {_WORDS_MAX_CHARACTERS} characters at most."
        )
    return ",".join(word for word in words if word)
