"""Whose: which person a call speaks of, and whether the caller may know of them at all.

To a key, every user of another app is as good as not there; to a user token, every user but its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.errors import InstallDeactivated, InstallDisabled, InstallGone, NotFound
from unbroken.domain.ids import AppId, InstallId, UserId, parse_id
from unbroken.domain.standing import Standing, standing_of
from unbroken.flow.authenticate import InstallCaller, KeyCaller
from unbroken.store import identity

if TYPE_CHECKING:
    from unbroken.domain.install import Install
    from unbroken.domain.user import User
    from unbroken.store.contract import Transaction

Reader = KeyCaller | InstallCaller


@dataclass(frozen=True, slots=True)
class Person:
    """The user a call speaks of; `user` is the current one, whatever id was named."""

    app_id: AppId
    user: User

    @property
    def user_id(self) -> UserId:
        """The current user's id."""
        return self.user.user_id


async def person(tx: Transaction, caller: Reader, user_id: str | None) -> Person:
    """The user behind an id, which may redirect; None is the caller's own.

    Raises:
        NotFound: unknown, erased, of another app, or not the token's own.
        InstallGone, InstallDisabled, InstallDeactivated: the token's install reads nothing any more.
    """
    app_id = caller.app.app_id if isinstance(caller, KeyCaller) else caller.app_id
    own = await _own_user(tx, caller) if isinstance(caller, InstallCaller) else None
    if user_id is None:
        assert own is not None
        return Person(app_id, own)
    known = parse_id(user_id)
    user = await identity.resolve_user(tx, app_id, UserId(known)) if known is not None else None
    if user is None or (own is not None and own.user_id != user.user_id):
        raise NotFound
    return Person(app_id, user)


async def _own_user(tx: Transaction, caller: InstallCaller) -> User:
    install, user = await _install_and_user(tx, caller)
    refuse_reader(standing_of(install, user))
    return user


async def writer(tx: Transaction, caller: InstallCaller) -> Person:
    """The token's own user, for a call that changes it: only the active install may (http-api.md, credentials).

    Raises:
        InstallGone, InstallDisabled, InstallDeactivated.
    """
    install, user = await _install_and_user(tx, caller)
    standing = standing_of(install, user)
    refuse_reader(standing)
    if standing is not Standing.ACTIVE:
        raise InstallDeactivated("Another install of this person is the active one.")
    return Person(caller.app_id, user)


async def _install_and_user(tx: Transaction, caller: InstallCaller) -> tuple[Install, User]:
    install = await identity.read_install(tx, caller.app_id, caller.install_id)
    user = await identity.resolve_user(tx, caller.app_id, install.user) if install is not None else None
    if install is None or user is None:
        raise InstallGone
    return install, user


def refuse_reader(standing: Standing) -> None:
    """An install that is superseded may lie in a drawer or be sold: it reads nothing of the person any more."""
    match standing:
        case Standing.DELETED:
            raise InstallGone
        case Standing.INSTALL_DISABLED | Standing.USER_DISABLED:
            raise InstallDisabled
        case Standing.SUPERSEDED:
            raise InstallDeactivated
        case Standing.ACTIVE | Standing.STANDBY:
            return


async def install_of_app(tx: Transaction, caller: KeyCaller, install_id: str) -> Install:
    """An install of the key's app.

    Raises:
        NotFound.
    """
    known = parse_id(install_id)
    install = await identity.read_install(tx, caller.app.app_id, InstallId(known)) if known is not None else None
    if install is None:
        raise NotFound
    return install
