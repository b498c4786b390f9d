"""Facts between the ledger's rows and the rules: what a fact says, as the row's fields, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import UsedInstall, policy_of, written
from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
from unbroken.domain.install import Form
from unbroken.domain.ledger.facts import (
    Activated,
    Disabled,
    Enabled,
    Fact,
    FactKind,
    Linked,
    PolicyChanged,
    Registered,
    Renamed,
    Reset,
    Said,
    Unlinked,
    UserDisabled,
    UserEnabled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.store.ledger import Entry


def fields_of(said: Said) -> dict[str, Any]:
    """What a fact says beside the ids it names (`linking.md`, the fold, column "fields")."""
    match said:
        case Registered(form=form, aliases=aliases):
            return {"form": form.value} | ({"aliases": [one.hex() for one in aliases]} if aliases else {})
        case Linked(used_install=used_install, pristine=pristine, floor_ms=floor_ms):
            settled = {} if floor_ms is None else {"floor_ms": floor_ms}
            return {"used_install": used_install.value, "pristine": pristine} | settled
        case Renamed(release_old=release_old):
            return {"release_old": release_old}
        case Unlinked(subject, fresh_user):
            return {"subject": subject.hex()} | ({"fresh_user": fresh_user.hex()} if fresh_user is not None else {})
        case PolicyChanged(policy):
            return written(policy)
        case _:
            return {}


MOVING_NOBODY: Final = frozenset({FactKind.ERASED, FactKind.REPLAYED})
"""What was done to captures, and not to people."""


def fact_of(entry: Entry) -> Fact | None:
    """A row of the ledger as the fold reads it; None for what moves nobody, and for what an erasure has hidden."""
    if entry.kind in MOVING_NOBODY or entry.is_hidden:
        return None
    return Fact(entry.fact_id, entry.position, entry.at, _SAID[entry.kind](entry))


def _install(entry: Entry) -> InstallId:
    assert entry.install_id is not None
    return entry.install_id


def _user(entry: Entry) -> UserId:
    assert entry.user_id is not None
    return entry.user_id


def _external_id(entry: Entry) -> ExternalId:
    assert entry.external_id is not None
    return entry.external_id


def _fields(entry: Entry) -> dict[str, Any]:
    return dict(entry.fields or {})


def _registered(entry: Entry) -> Registered:
    fields = _fields(entry)
    aliases = tuple(UserId(bytes.fromhex(one)) for one in fields.get("aliases", ()))
    return Registered(_install(entry), _user(entry), Form(fields["form"]), aliases)


def _linked(entry: Entry) -> Linked:
    fields = _fields(entry)
    used_install, floor_ms = UsedInstall(fields["used_install"]), fields.get("floor_ms")
    settled_ms = None if floor_ms is None else int(floor_ms)
    return Linked(_install(entry), _external_id(entry), used_install, fields["pristine"], settled_ms)


def _unlinked(entry: Entry) -> Unlinked:
    fields = _fields(entry)
    fresh = fields.get("fresh_user")
    fresh_user = UserId(bytes.fromhex(fresh)) if fresh is not None else None
    return Unlinked(FactId(bytes.fromhex(fields["subject"])), fresh_user)


_SAID: Final[dict[FactKind, Callable[[Entry], Said]]] = {
    FactKind.REGISTERED: _registered,
    FactKind.LINKED: _linked,
    FactKind.RESET: lambda entry: Reset(_install(entry)),
    FactKind.DISABLED: lambda entry: Disabled(_install(entry)),
    FactKind.ENABLED: lambda entry: Enabled(_install(entry)),
    FactKind.ACTIVATED: lambda entry: Activated(_install(entry)),
    FactKind.USER_DISABLED: lambda entry: UserDisabled(_user(entry)),
    FactKind.USER_ENABLED: lambda entry: UserEnabled(_user(entry)),
    FactKind.RENAMED: lambda entry: Renamed(_user(entry), _external_id(entry), _fields(entry)["release_old"]),
    FactKind.UNLINKED: _unlinked,
    FactKind.POLICY_CHANGED: lambda entry: PolicyChanged(policy_of(_fields(entry))),
}
