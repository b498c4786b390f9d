"""Reach: what a link can touch, read with one statement for the install and one for the person.

Read row by row (`identity`) it is the same, in seven. A database answers each of them alone, however many calls share
it, so this is what a link mostly costs. What is not as usual (an install that is linked already, an id that redirects)
is left to `identity`.

The ids of some rows become known with the rows themselves, so they are held only then. That is in time: nothing was
decided yet, and who holds them already sends this call away, to be run again after it (docs/decisions/0020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.domain.ids import AppId, ExternalId, InstallId
from unbroken.store.identity import INSTALL, SPAN, USER, install_of, span_of, user_of
from unbroken.store.sealed import other_seal, seal

if TYPE_CHECKING:
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.people import Span
    from unbroken.domain.user import User
    from unbroken.store.contract import Row, Transaction


def _of(alias: str, columns: str) -> str:
    return ", ".join(f"{alias}.{column.strip()}" for column in columns.split(","))


_COLUMNS: Final = f"i.used, {_of('i', INSTALL)}, {_of('s', SPAN)}"
_OPEN_SPAN: Final = "LEFT JOIN spans s ON s.install_id = i.install_id AND s.to_ms IS NULL"
_OF_INSTALL: Final = (
    f"SELECT i.app_id, {_of('u', USER)}, {_COLUMNS} FROM installs i JOIN users u ON u.user_id = i.user_id"
    f" {_OPEN_SPAN} WHERE i.install_id = $1"
)
_OF_PERSON: Final = (
    "SELECT (SELECT count(*) FROM installs l WHERE l.user_id = u.user_id AND l.sealed_id IN ($2, $4)"
    " AND l.linked_at > $3),"
    f" {_of('u', USER)}, {_COLUMNS} FROM carriers c JOIN users u ON u.user_id = c.user_id"
    f" LEFT JOIN installs i ON i.install_id = u.holder {_OPEN_SPAN} WHERE c.app_id = $1 AND c.sealed_id = $2"
)
_USER_AT: Final = 1
_INSTALL_AT: Final = _USER_AT + USER.count(",") + 1
_SPAN_AT: Final = _INSTALL_AT + 1 + INSTALL.count(",") + 1


@dataclass(frozen=True, slots=True)
class Lying:
    """An install, whether it ever uploaded, and its open span."""

    install: Install
    is_used: bool
    spans: list[Span]


@dataclass(frozen=True, slots=True)
class OfInstall:
    """What lies around an install of any app: itself and the user that it belongs to."""

    app_id: AppId
    user: User
    itself: Lying


@dataclass(frozen=True, slots=True)
class OfPerson:
    """What lies around an external id: who carries it, and the active install, if there is one.

    Args:
        links_since: how many of the person's installs were linked to it since the instant that was asked for.
    """

    user: User
    holder: Lying | None
    links_since: int


async def of_install(tx: Transaction, install_id: InstallId) -> OfInstall | None:
    """An install, whatever its app, with its user; None where it is not there."""
    await tx.hold(install_id)
    row = await tx.one(_OF_INSTALL, install_id)
    if row is None:
        return None
    app_id = AppId(row[0])
    user = user_of(tx, app_id, row[_USER_AT:_INSTALL_AT])
    await tx.hold(user.user_id)
    return OfInstall(app_id, user, _lying(tx, app_id, row))


async def of_person(tx: Transaction, app_id: AppId, external_id: ExternalId, since_ms: int) -> OfPerson | None:
    """The user that carries an external id, as it is: it may redirect. None where nobody does."""
    await tx.hold(app_id + external_id.encode())
    sealed = await seal(tx, app_id, external_id)
    row = await tx.one(_OF_PERSON, app_id, sealed, since_ms, await other_seal(tx, app_id, external_id, sealed))
    if row is None:
        return None
    user = user_of(tx, app_id, row[_USER_AT:_INSTALL_AT])
    holder = None if row[_INSTALL_AT + 1] is None else _lying(tx, app_id, row)
    await tx.hold(user.user_id, *([] if holder is None else [holder.install.install_id]))
    return OfPerson(user, holder, int(row[0]))


def _lying(tx: Transaction, app_id: AppId, row: Row) -> Lying:
    install = install_of(tx, app_id, row[_INSTALL_AT + 1 : _SPAN_AT])
    spans = [] if row[_SPAN_AT] is None else [span_of(row[_SPAN_AT:])]
    return Lying(install, bool(row[_INSTALL_AT]), spans)
