"""The audit log: who changed what, when and why, in the transaction of the change, chained by keyed hashes.

An entry names people by keyed hashes only, so an erasure has nothing to look for here (linking.md, law 10): installs,
users and facts as a receipt of erasure and a hidden fact name them, external ids under the same key. A reason may name
somebody too: it stands in the ledger, which can be erased, and here by its hash.

What the log proves and what it does not: docs/explanation/audit.md.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - a NamedTuple's
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId  # noqa: TC001 - a NamedTuple's
from unbroken.domain.ledger.facts import FactKind

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_INSTALL: Final = "install:"
_OPERATOR: Final = "operator"
_NAME_CHARACTERS: Final = 24


class What(StrEnum):
    """What was changed, where it is no fact; a fact is called by its kind (`FactKind`)."""

    APP_CREATED = "app created"
    APP_STOPPED = "app stopped"
    APP_STARTED = "app started"
    KEY_CREATED = "key created"
    KEY_ROTATED = "key rotated"
    KEY_REVOKED = "key revoked"
    CODE_MINTED = "code minted"
    CODE_REDEEMED = "code redeemed"
    CODE_REUSED = "code reused"
    CREDENTIAL_RENEWED = "credential renewed"
    CREDENTIAL_REUSED = "credential reused"
    CREDENTIAL_LEAKED = "credential leaked"
    METADATA_WRITTEN = "metadata written"
    USER_IMPORTED = "user imported"
    TIMELINE_SWITCHED = "timeline switched"
    ROWS_REPAIRED = "rows repaired"
    SEALING_BEGUN = "sealing under another key begun"
    SEALING_ENDED = "sealing under another key ended"
    SEALING_KEYS_DROPPED = "earlier sealing keys dropped"
    DEAD_LETTER_DROPPED = "dead letter dropped"


WORDS: Final = frozenset(map(str, (*What, *FactKind)))
"""All that an entry may be called."""


class Event(NamedTuple):
    """One change.

    Args:
        what: a `What`, or a kind of fact.
        actor: who, as the ledger has it: `key:<id>`, `install:<id>`, `operator`, `user`, `app`.
        reason: why, in the words of whoever did it.
        more: what else there is to say, of nobody.
    """

    what: str
    actor: str
    app_id: AppId | None = None
    install_id: InstallId | None = None
    user_id: UserId | None = None
    external_id: ExternalId | None = None
    fact_id: FactId | None = None
    subject: FactId | None = None
    reason: str | None = None
    more: Mapping[str, Any] | None = None


def note(context: Context, tx: Transaction, event: Event) -> None:
    """Write an event down, if the call stays."""
    tx.audit(_ENCODER.encode(_members(context, event)), context.vault.seal_entry)


def note_fact(
    context: Context, tx: Transaction, app_id: AppId, entry: Entry, more: Mapping[str, Any] | None = None
) -> None:
    """The same of a fact of the ledger."""
    event = Event(
        what=entry.kind.value,
        actor=entry.actor,
        app_id=app_id,
        install_id=entry.install_id,
        user_id=entry.user_id,
        external_id=entry.external_id,
        fact_id=entry.fact_id,
        subject=entry.subject,
        reason=entry.reason,
        more=more,
    )
    note(context, tx, event)


def name_of(context: Context, id_: bytes) -> str:
    """How the log names an install, a user or a fact."""
    return context.vault.tombstone(id_).hex()[:_NAME_CHARACTERS]


def name_of_account(context: Context, app_id: AppId, external_id: str) -> str:
    """How the log names an external id of an app."""
    return name_of(context, app_id + external_id.encode())


def _members(context: Context, event: Event) -> dict[str, Any]:
    """An event as the members of its JSON, without those that say nothing."""
    members: dict[str, Any] = {
        "at": context.clock.now_ms(),
        "what": event.what,
        "actor": _actor(context, event.actor),
        **(event.more or {}),
    }
    if event.app_id is not None:
        members["app"] = event.app_id.hex()
        if event.external_id is not None:
            members["external_id"] = name_of_account(context, event.app_id, event.external_id)
    if event.install_id is not None:
        members["install"] = name_of(context, event.install_id)
    if event.user_id is not None:
        members["user"] = name_of(context, event.user_id)
    if event.fact_id is not None:
        members["fact"] = name_of(context, event.fact_id)
    if event.subject is not None:
        members["of"] = name_of(context, event.subject)
    if event.reason is not None:
        members["reason"] = name_of(context, event.reason.encode())
    return members


def _actor(context: Context, actor: str) -> str:
    """Who it was: an install by its name here, the operator by the account that ran the command."""
    if actor.startswith(_INSTALL):
        return _INSTALL + name_of(context, bytes.fromhex(actor.removeprefix(_INSTALL)))
    if actor == _OPERATOR and context.account:
        return f"{_OPERATOR}:{context.account}"
    return actor
