"""Profile: what is known of a user as such: ids, installs, metadata, and the ledger's facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.domain.errors import AppDisabled, InvalidRequest, NotFound
from unbroken.domain.ids import parse_external_id
from unbroken.domain.ledger.people import People, Span, activation_id
from unbroken.domain.payload import Outcome
from unbroken.domain.standing import REASONS, STATES, standing_of
from unbroken.flow import audit
from unbroken.flow.as_of import Believed, believed, ledger_as_of
from unbroken.flow.audit import Event, What
from unbroken.flow.pages import read_cursor, write_cursor
from unbroken.flow.whose import Person, person, writer
from unbroken.store import apps, identity, ledger, traces, users

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.install import Install
    from unbroken.domain.user import User
    from unbroken.flow.authenticate import InstallCaller, KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.whose import Reader
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry


async def profile(context: Context, caller: Reader, user_id: str | None) -> wire.Profile:
    """GET /v2/users/{user_id}, and /v2/users/me for None.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def load(tx: Transaction) -> wire.Profile:
        return await _profile(tx, await person(tx, caller, user_id))

    return await context.store.read(load)


async def profile_by_external_id(context: Context, caller: KeyCaller, external_id: str) -> wire.Profile:
    """GET /v3/users?external_id=.

    Raises:
        NotFound: nobody carries it.
    """

    async def load(tx: Transaction) -> wire.Profile:
        known = parse_external_id(external_id, placeholders=())
        user_id = await identity.carrier_of(tx, caller.app.app_id, known) if known is not None else None
        if user_id is None:
            raise NotFound
        return await _profile(tx, await person(tx, caller, user_id.hex()))

    return await context.store.read(load)


async def _profile(tx: Transaction, of: Person) -> wire.Profile:
    user = of.user
    holder = None if user.is_disabled else user.holder
    return wire.Profile(
        id=user.user_id.hex(),
        created_at=wire.iso(user.created_at),
        application_id=of.app_id.hex(),
        install_id=None if holder is None else holder.hex(),
        external_id=user.external_id,
        metadata=await users.metadata(tx, user.user_id),
    )


async def merge_metadata(context: Context, caller: InstallCaller, fields: Mapping[str, str]) -> dict[str, str]:
    """PUT /sdk/metadata; answers the whole of it.

    Raises:
        InvalidRequest: more keys than a user may have.
        AppDisabled, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def merge(tx: Transaction) -> dict[str, str]:
        app = await apps.app_by_id(tx, caller.app_id)
        if app is None or app.is_disabled:
            raise AppDisabled
        user_id = (await writer(tx, caller)).user_id
        merged = {**await users.metadata(tx, user_id), **fields}
        if len(merged) > wire.METADATA_KEYS_MAX:
            raise InvalidRequest.at("", f"A user has at most {wire.METADATA_KEYS_MAX} metadata keys.")
        await users.set_metadata(tx, user_id, merged)
        actor = f"install:{caller.install_id.hex()}"
        audit.note(context, tx, Event(What.METADATA_WRITTEN, actor, caller.app_id, caller.install_id, user_id))
        return merged

    return await context.store.write(merge)


# Installs


async def installs(
    context: Context, caller: KeyCaller, user_id: str, limit: int, cursor: str | None, as_of: int | None = None
) -> wire.InstallList:
    """GET /v3/users/{user_id}/installs, oldest first; as they were believed to be at `as_of`.

    Raises:
        NotFound, InvalidRequest.
    """
    after = read_cursor(cursor, int) or (-1,)

    async def load(tx: Transaction) -> wire.InstallList:
        seen = await _now(tx, caller, user_id) if as_of is None else await believed(tx, caller, user_id, as_of)
        found = sorted(seen.people.installs_of(seen.user.user_id), key=lambda one: one.place)
        later = [install for install in found if install.place > after[0]]
        page = later[:limit]
        views = [
            install_view(
                one,
                seen.user,
                seen.devices[one.install_id],
                seen.people.spans[one.install_id],
                await traces.attestation_of(tx, one.link),
            )
            for one in page
        ]
        return wire.InstallList(views, write_cursor(page[-1].place) if len(later) > limit else None)

    return await context.store.read(load)


async def _now(tx: Transaction, caller: KeyCaller, user_id: str) -> Believed:
    of = await person(tx, caller, user_id)
    people = People(caller.app.policy)
    for install in await identity.read_installs_of(tx, of.app_id, of.user_id):
        people.installs[install.install_id] = install
    people.spans = await identity.read_spans_of_user(tx, of.user_id)
    return Believed(of.app_id, of.user, people, of.user, await identity.devices_of_user(tx, of.user_id))


def install_view(
    install: Install, user: User, device: str, spans: list[Span], attestation: str | None
) -> wire.InstallView:
    """One install as an operator sees it."""
    standing = standing_of(install, user)
    reported = wire.decode(device, dict[str, Any])
    return wire.InstallView(
        install_id=install.install_id.hex(),
        form=install.form.value,
        device=wire.convert(reported["device"], wire.Device),
        registered_at=wire.iso(install.registered_at),
        state=STATES[standing].value,
        state_reason=REASONS[standing],
        linked=install.is_linked,
        link_id=install.link.hex() if install.link is not None else None,
        activations=[_activation(span) for span in spans if span.outcome is Outcome.ACCEPTED],
        attestation=attestation,
    )


def _activation(span: Span) -> wire.ActivationView:
    to = None if span.to_ms is None else wire.iso(span.to_ms)
    return wire.ActivationView(activation_id(span).hex(), wire.iso(span.from_ms), to)


# The ledger


async def facts(
    context: Context, caller: KeyCaller, user_id: str, limit: int, cursor: str | None, as_of: int | None = None
) -> wire.FactList:
    """GET /v3/users/{user_id}/ledger, oldest first; at `as_of`, of the person it was believed to be.

    Raises:
        NotFound, InvalidRequest.
    """
    after = read_cursor(cursor, int) or (0,)

    async def load(tx: Transaction) -> wire.FactList:
        if as_of is None:
            of = await person(tx, caller, user_id)
            found = await ledger.facts_of_user(tx, of.app_id, of.user_id, after[0], limit + 1)
        else:
            said = await ledger_as_of(tx, caller, user_id, as_of)
            found = [entry for entry in said if entry.position > after[0]]
        page = found[:limit]
        next_cursor = write_cursor(page[-1].position) if len(found) > limit else None
        return wire.FactList([_fact(entry) for entry in page], next_cursor)

    return await context.store.read(load)


def _fact(entry: Entry) -> wire.FactView:
    named = {
        "install_id": entry.install_id.hex() if entry.install_id is not None else None,
        "user_id": entry.user_id.hex() if entry.user_id is not None else None,
        "external_id": entry.external_id,
    }
    return wire.FactView(
        fact_id=entry.fact_id.hex(),
        position=entry.position,
        at=wire.iso(entry.at),
        kind=entry.kind.value,
        fields={**{name: value for name, value in named.items() if value is not None}, **(entry.fields or {})},
        actor=entry.actor,
        reason=entry.reason,
    )
