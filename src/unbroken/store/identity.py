"""Installs, users and spans as rows: read one by one, or the part of `People` that a fact can reach; see `saving`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, FactId, InstallId, UserId
from unbroken.domain.install import Form, Install, State
from unbroken.domain.ledger.people import People, Span
from unbroken.domain.payload import Outcome
from unbroken.domain.user import User
from unbroken.store import sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import ExternalId
    from unbroken.store.contract import Row, Transaction

INSTALL: Final = (
    "install_id, own_user, user_id, form, registered_at, place, named_at, link, sealed_id, linked_at, standing,"
    " is_disabled"
)
USER: Final = "user_id, created_at, named_at, touched_at, sealed_id, holder, is_disabled, redirect"
SPAN: Final = "install_id, user_id, state, outcome, from_ms, to_ms, cause, rival"

_INSTALL_ROW: Final = f"SELECT {INSTALL} FROM installs WHERE app_id = $1 AND install_id = $2 FOR UPDATE"
_INSTALLS_OF: Final = (
    f"SELECT {INSTALL} FROM installs WHERE app_id = $1 AND user_id = $2 ORDER BY install_id FOR UPDATE"
)
_USER_ROW: Final = f"SELECT {USER} FROM users WHERE app_id = $1 AND user_id = $2 FOR UPDATE"
_CARRIER: Final = "SELECT user_id FROM carriers WHERE app_id = $1 AND sealed_id = $2"
_CARRIED: Final = "SELECT sealed_id FROM carriers WHERE app_id = $1 AND user_id = $2"
_OPEN_SPAN: Final = f"SELECT {SPAN} FROM spans WHERE install_id = $1 AND to_ms IS NULL"
_SPANS: Final = f"SELECT {SPAN} FROM spans WHERE install_id = $1 ORDER BY from_ms"
_USED: Final = "SELECT used FROM installs WHERE install_id = $1"
_SPANS_OF_USER: Final = (
    "SELECT s.install_id, s.user_id, s.state, s.outcome, s.from_ms, s.to_ms, s.cause, s.rival"
    " FROM installs i JOIN spans s ON s.install_id = i.install_id WHERE i.user_id = $1 ORDER BY s.install_id, s.from_ms"
)
_APP_OF_LIVING: Final = "SELECT app_id FROM users WHERE user_id = $1 AND redirect IS NULL"
_DEVICE: Final = "SELECT device FROM installs WHERE install_id = $1"
_DEVICES: Final = "SELECT install_id, device FROM installs WHERE user_id = $1"


# Loading


async def load_install(tx: Transaction, people: People, app_id: AppId, install_id: InstallId) -> Install | None:
    """The install with its open span, its user and that user's holder, into `people`."""
    install = await read_install(tx, app_id, install_id)
    if install is not None:
        await load_around(tx, people, app_id, install)
    return install


async def load_around(tx: Transaction, people: People, app_id: AppId, install: Install) -> None:
    """An install that was just read, with its open span, its user and that user's holder, into `people`."""
    await _add_install(tx, people, install)
    for user_id in {install.own_user, install.user}:
        await load_user(tx, people, app_id, user_id)


async def load_user(tx: Transaction, people: People, app_id: AppId, user_id: UserId) -> User | None:
    """The user, with its holder, and the user that it redirects to."""
    user = await read_user(tx, app_id, user_id)
    if user is None:
        return None
    people.users[user.user_id] = user
    if user.holder is not None and user.holder not in people.installs:
        holder = await read_install(tx, app_id, user.holder)
        assert holder is not None
        await _add_install(tx, people, holder)
    if user.redirect is not None and user.redirect not in people.users:
        await load_user(tx, people, app_id, user.redirect)
    return user


async def load_installs_of(tx: Transaction, people: People, app_id: AppId, user_id: UserId) -> None:
    """All installs of a user, with their open spans; needed where one of several may follow."""
    for install in await read_installs_of(tx, app_id, user_id):
        if install.install_id not in people.installs:
            await _add_install(tx, people, install)


async def load_whole(
    tx: Transaction, people: People, app_id: AppId, installs: Iterable[InstallId], users: Iterable[UserId]
) -> None:
    """All that the tables say of some installs and users: every span, every external id. Who is not there stays out."""
    for install_id in installs:
        install = await read_install(tx, app_id, install_id)
        if install is not None:
            people.installs[install_id] = install
            people.spans[install_id] = await read_spans(tx, install_id)
    belonging = {user_id for install in people.installs.values() for user_id in (install.user, install.own_user)}
    for user_id in {*users, *belonging}:
        user = await read_user(tx, app_id, user_id)
        if user is not None:
            people.users[user_id] = user
            people.carriers |= dict.fromkeys(await external_ids_of(tx, app_id, user_id), user_id)


async def _add_install(tx: Transaction, people: People, install: Install) -> None:
    people.installs[install.install_id] = install
    people.spans[install.install_id] = [span_of(row) for row in await tx.all(_OPEN_SPAN, install.install_id)]


# Reading single rows


async def read_install(tx: Transaction, app_id: AppId, install_id: InstallId) -> Install | None:
    """One install of an app."""
    await tx.hold(install_id)
    row = await tx.one(_INSTALL_ROW, app_id, install_id)
    return install_of(tx, app_id, row) if row else None


async def read_installs_of(tx: Transaction, app_id: AppId, user_id: UserId) -> list[Install]:
    """The installs that belong to a user now."""
    await tx.hold(user_id)
    return [install_of(tx, app_id, row) for row in await tx.all(_INSTALLS_OF, app_id, user_id)]


async def read_user(tx: Transaction, app_id: AppId, user_id: UserId) -> User | None:
    """One user of an app, as it is: it may redirect."""
    await tx.hold(user_id)
    row = await tx.one(_USER_ROW, app_id, user_id)
    return user_of(tx, app_id, row) if row else None


async def resolve_user(tx: Transaction, app_id: AppId, user_id: UserId) -> User | None:
    """The user that an id stands for (linking.md, retired)."""
    user = await read_user(tx, app_id, user_id)
    while user is not None and user.redirect is not None:
        user = await read_user(tx, app_id, user.redirect)
    return user


async def carrier_of(tx: Transaction, app_id: AppId, external_id: ExternalId) -> UserId | None:
    """The user that carries an external id."""
    await tx.hold(app_id + external_id.encode())
    row = await tx.one(_CARRIER, app_id, await sealed.seal(tx, app_id, external_id))
    return UserId(row[0]) if row else None


async def external_ids_of(tx: Transaction, app_id: AppId, user_id: UserId) -> list[ExternalId]:
    """Every external id that links to a user."""
    return sorted(sealed.unseal(tx, app_id, row[0]) for row in await tx.all(_CARRIED, app_id, user_id))


async def is_used(tx: Transaction, install_id: InstallId) -> bool:
    """Whether an install that is there ever uploaded."""
    await tx.hold(install_id)
    row = await tx.one(_USED, install_id)
    assert row is not None
    return bool(row[0])


async def read_spans(tx: Transaction, install_id: InstallId) -> list[Span]:
    """All spans of an install, in order of time."""
    await tx.hold(install_id)
    return [span_of(row) for row in await tx.all(_SPANS, install_id)]


async def read_spans_of_user(tx: Transaction, user_id: UserId) -> dict[InstallId, list[Span]]:
    """All spans of all installs of a user, each in order of time."""
    spans: dict[InstallId, list[Span]] = {}
    for row in await tx.all(_SPANS_OF_USER, user_id):
        spans.setdefault(InstallId(row[0]), []).append(span_of(row))
    return spans


async def app_of_living_user(tx: Transaction, user_id: UserId) -> AppId | None:
    """The app of a user that is there and was not retired."""
    row = await tx.one(_APP_OF_LIVING, user_id)
    return AppId(row[0]) if row else None


async def device_of(tx: Transaction, install_id: InstallId) -> str | None:
    """What the SDK reported of one install, as JSON."""
    row = await tx.one(_DEVICE, install_id)
    return str(row[0]) if row else None


async def devices_of_user(tx: Transaction, user_id: UserId) -> dict[InstallId, str]:
    """What the SDK reported of each install of a user, as JSON."""
    return {InstallId(row[0]): row[1] for row in await tx.all(_DEVICES, user_id)}


# Rows, with the columns of INSTALL, USER and SPAN


def install_of(tx: Transaction, app_id: AppId, row: Row) -> Install:
    """From `INSTALL`."""
    return Install(
        install_id=InstallId(row[0]),
        own_user=UserId(row[1]),
        user=UserId(row[2]),
        form=Form(row[3]),
        registered_at=row[4],
        place=row[5],
        named_at=row[6],
        link=FactId(row[7]) if row[7] is not None else None,
        external_id=sealed.unseal_if_any(tx, app_id, row[8]),
        linked_at=row[9],
        standing=State(row[10]),
        is_disabled=bool(row[11]),
    )


def user_of(tx: Transaction, app_id: AppId, row: Row) -> User:
    """From `USER`."""
    return User(
        user_id=UserId(row[0]),
        created_at=row[1],
        named_at=row[2],
        touched_at=row[3],
        external_id=sealed.unseal_if_any(tx, app_id, row[4]),
        holder=InstallId(row[5]) if row[5] is not None else None,
        is_disabled=bool(row[6]),
        redirect=UserId(row[7]) if row[7] is not None else None,
    )


def span_of(row: Row) -> Span:
    """From `SPAN`."""
    return Span(
        install_id=InstallId(row[0]),
        user_id=UserId(row[1]),
        state=State(row[2]),
        outcome=Outcome(row[3]),
        from_ms=row[4],
        to_ms=row[5],
        cause=FactId(row[6]),
        rival=InstallId(row[7]) if row[7] is not None else None,
    )
