"""How an install is told that it stands: a state and the reason, as one word that a token can carry."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from unbroken.domain.install import Install, State

if TYPE_CHECKING:
    from unbroken.domain.user import User


class Standing(StrEnum):
    """A state of linking.md with what is behind it."""

    ACTIVE = "active"
    STANDBY = "standby"
    SUPERSEDED = "superseded"
    INSTALL_DISABLED = "install disabled"
    USER_DISABLED = "user disabled"
    DELETED = "deleted"


STATES: Final = {
    Standing.ACTIVE: State.ACTIVE,
    Standing.STANDBY: State.STANDBY,
    Standing.SUPERSEDED: State.SUPERSEDED,
    Standing.INSTALL_DISABLED: State.DISABLED,
    Standing.USER_DISABLED: State.DISABLED,
    Standing.DELETED: State.DELETED,
}

REASONS: Final = {
    Standing.ACTIVE: None,
    Standing.STANDBY: (
        "Another install of this person had precedence: a phone goes before a tablet, of two of a kind the later one."
    ),
    Standing.SUPERSEDED: "Another install of this person became the active one.",
    Standing.INSTALL_DISABLED: "This install was disabled by the operator.",
    Standing.USER_DISABLED: "The user of this install was disabled by the operator.",
    Standing.DELETED: "This install was reset or erased.",
}
"""The `state_reason` of every reply. It rests on the state alone, so it must be true of any other install."""


def standing_of(install: Install, user: User) -> Standing:
    """How `install` stands with `user`, the one it belongs to."""
    if install.standing is State.DELETED:
        return Standing.DELETED
    if install.is_disabled:
        return Standing.INSTALL_DISABLED
    if user.is_disabled:
        return Standing.USER_DISABLED
    return Standing(install.standing.value)
