"""An install: one installation of the SDK on one device. Its form, its states, and the table that moves them."""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain import errors

if TYPE_CHECKING:
    from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId

TABLET_FROM_INCHES: Final = 7.0


class Form(StrEnum):
    """What kind of device it is; decided here, from the facts that the SDK reports."""

    PHONE = "phone"
    TABLET = "tablet"


RANK: Final = {Form.PHONE: 2, Form.TABLET: 1}


def form_of(platform: str, screen_inches: float | None, idiom: str | None, model: str | None) -> Form:
    """The form of a device (linking.md, form of a device). Whatever is not known to be a tablet is a phone."""
    if platform == "android":
        is_tablet = screen_inches is not None and screen_inches >= TABLET_FROM_INCHES
    elif platform == "ios":
        is_tablet = idiom == "pad" or (model or "").startswith("iPad")
    else:
        is_tablet = False
    return Form.TABLET if is_tablet else Form.PHONE


def why_form(platform: str, screen_inches: float | None, idiom: str | None, model: str | None) -> str:
    """The rule that gives a device its form, and what it looked at, in plain words."""
    form = form_of(platform, screen_inches, idiom, model).value
    if platform == "android":
        if screen_inches is None:
            return f"Android of unknown size is a {form}: what is not known to be a tablet is one."
        bound = f"below {TABLET_FROM_INCHES} inches" if form == Form.PHONE else f"from {TABLET_FROM_INCHES} inches on"
        return f"Android of {screen_inches:g} inches is a {form}: {bound} it is one."
    if platform == "ios":
        on = "an iPad" if form == Form.TABLET else "what is no iPad"
        return f"iOS on {on} is a {form}."
    return f"What runs neither Android nor iOS is a {form}."


class State(StrEnum):
    """Where an install stands with its user. An unlinked one is active on its own user."""

    ACTIVE = "active"
    STANDBY = "standby"
    SUPERSEDED = "superseded"
    DISABLED = "disabled"
    DELETED = "deleted"


class Event(StrEnum):
    """What moves a state."""

    OTHER_ACTIVE = "another one becomes active"
    DISABLED = "disabled"
    ENABLED = "enabled"
    ACTIVATED = "activated on purpose, or takes over"
    UNLINKED = "its link is undone"
    DELETED = "reset, user erased"


class Rule(Enum):
    """A place in the table where the next state is not one word."""

    RETURN = "what it was; was active and another one is by now: the activation rule, the loser superseded"


Next = State | Rule | type[errors.Refusal]

TRANSITIONS: Final[dict[tuple[State, Event], Next]] = {
    (State.ACTIVE, Event.OTHER_ACTIVE): State.SUPERSEDED,
    (State.ACTIVE, Event.DISABLED): State.DISABLED,
    (State.ACTIVE, Event.ENABLED): State.ACTIVE,
    (State.ACTIVE, Event.ACTIVATED): State.ACTIVE,
    (State.ACTIVE, Event.UNLINKED): State.ACTIVE,
    (State.ACTIVE, Event.DELETED): State.DELETED,
    (State.STANDBY, Event.OTHER_ACTIVE): State.STANDBY,
    (State.STANDBY, Event.DISABLED): State.DISABLED,
    (State.STANDBY, Event.ENABLED): State.STANDBY,
    (State.STANDBY, Event.ACTIVATED): State.ACTIVE,
    (State.STANDBY, Event.UNLINKED): State.ACTIVE,
    (State.STANDBY, Event.DELETED): State.DELETED,
    (State.SUPERSEDED, Event.OTHER_ACTIVE): State.SUPERSEDED,
    (State.SUPERSEDED, Event.DISABLED): State.DISABLED,
    (State.SUPERSEDED, Event.ENABLED): State.SUPERSEDED,
    (State.SUPERSEDED, Event.ACTIVATED): State.ACTIVE,
    (State.SUPERSEDED, Event.UNLINKED): State.ACTIVE,
    (State.SUPERSEDED, Event.DELETED): State.DELETED,
    (State.DISABLED, Event.OTHER_ACTIVE): State.DISABLED,
    (State.DISABLED, Event.DISABLED): State.DISABLED,
    (State.DISABLED, Event.ENABLED): Rule.RETURN,
    (State.DISABLED, Event.ACTIVATED): errors.Conflict,
    (State.DISABLED, Event.UNLINKED): State.DISABLED,
    (State.DISABLED, Event.DELETED): State.DELETED,
    (State.DELETED, Event.OTHER_ACTIVE): State.DELETED,
    (State.DELETED, Event.DISABLED): errors.InstallDeleted,
    (State.DELETED, Event.ENABLED): errors.InstallDeleted,
    (State.DELETED, Event.ACTIVATED): errors.InstallDeleted,
    (State.DELETED, Event.UNLINKED): State.DELETED,
    (State.DELETED, Event.DELETED): State.DELETED,
}
"""The table of states in linking.md, whole: every state meets every event."""


def next_state(state: State, event: Event) -> State | Rule:
    """What `event` makes of an install in `state`.

    Raises:
        Refusal: the leaf that stands in the table.
    """
    found = TRANSITIONS[state, event]
    if isinstance(found, State | Rule):
        return found
    raise found


class Install(NamedTuple):
    """What the ledger says of one install.

    Args:
        own_user: the user that was created together with it.
        user: the user it belongs to now: its own, or the one it joined.
        registered_at: server time, epoch milliseconds.
        place: the position of its registration in the ledger.
        link: the fact that linked it, and the external id that fact names; both None while it is unlinked.
        standing: its state but for a disabling, which hides it and gives it back.
        named_at: the time of the last fact that names it.
    """

    install_id: InstallId
    own_user: UserId
    user: UserId
    form: Form
    registered_at: int
    place: int
    named_at: int
    link: FactId | None = None
    external_id: ExternalId | None = None
    linked_at: int | None = None
    standing: State = State.ACTIVE
    is_disabled: bool = False

    @property
    def state(self) -> State:
        """Its own state; a disabled user hides it too (`people.status_of`)."""
        if self.standing is State.DELETED:
            return State.DELETED
        return State.DISABLED if self.is_disabled else self.standing

    def in_state(self, state: State) -> Install:
        """The same install in another state; a disabling keeps what it was, to give that back."""
        if state is State.DISABLED:
            return self._replace(is_disabled=True)
        return self._replace(standing=state, is_disabled=False)

    @property
    def is_linked(self) -> bool:
        """Whether the customer's server said whose it is."""
        return self.link is not None
