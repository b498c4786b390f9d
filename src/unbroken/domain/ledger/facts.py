"""Facts: what happened, as it was called for, and nothing that follows from a rule (linking.md, the fold)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from unbroken.domain.app import Policy, UsedInstall
    from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
    from unbroken.domain.install import Form


class FactKind(StrEnum):
    """The word a fact goes by in the ledger."""

    REGISTERED = "registered"
    LINKED = "linked"
    DISABLED = "disabled"
    ENABLED = "enabled"
    USER_DISABLED = "user disabled"
    USER_ENABLED = "user enabled"
    ACTIVATED = "activated"
    RESET = "reset"
    RENAMED = "renamed"
    UNLINKED = "unlinked"
    POLICY_CHANGED = "policy changed"
    ERASED = "erased"
    REPLAYED = "replayed"


@dataclass(frozen=True, slots=True)
class Registered:
    """An install and its own user came to be.

    Args:
        aliases: further ids that were given out for the own user; only where an erasure of somebody else took the
            facts away that had given them out.
    """

    install_id: InstallId
    user_id: UserId
    form: Form
    aliases: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """The customer's server said whose an install is; with the policy and the pristineness it was decided on.

    Args:
        floor_ms: under the policy `claim`, up to when the person's timeline could be told no other way any more, as
            payloads of that time are gone; epoch milliseconds. What the install captured up to then stays aside.
    """

    install_id: InstallId
    external_id: ExternalId
    used_install: UsedInstall
    pristine: bool
    floor_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """The install is gone for ever, by the SDK's reset."""

    install_id: InstallId


@dataclass(frozen=True, slots=True)
class Disabled:
    """An operator stopped an install."""

    install_id: InstallId


@dataclass(frozen=True, slots=True)
class Enabled:
    """An operator let an install go on."""

    install_id: InstallId


@dataclass(frozen=True, slots=True)
class Activated:
    """An install was made the active one on purpose."""

    install_id: InstallId


@dataclass(frozen=True, slots=True)
class UserDisabled:
    """An operator stopped a person's installs, all of them."""

    user_id: UserId


@dataclass(frozen=True, slots=True)
class UserEnabled:
    """An operator let a person's installs go on."""

    user_id: UserId


@dataclass(frozen=True, slots=True)
class Renamed:
    """A person carries another external id from now on; the ones before stay aliases, unless they are released."""

    user_id: UserId
    external_id: ExternalId
    release_old: bool = False


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A link, or an undo, is cancelled as if it had never been said.

    Args:
        subject: the fact that is cancelled.
        fresh_user: the id that the install's own user carries from then on, where its old one stays with the person.
    """

    subject: FactId
    fresh_user: UserId | None = None

    @property
    def user_id(self) -> UserId | None:
        """The user that this fact names: the one it gives an id to."""
        return self.fresh_user


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """The operator decided otherwise; what is decided from here on is decided under it."""

    policy: Policy


Moved = Registered | Linked | Reset | Disabled | Enabled | Activated | UserDisabled | UserEnabled | Renamed
"""The facts that move installs and users."""

Said = Moved | Unlinked | PolicyChanged

KINDS: dict[type[Said], FactKind] = {
    Registered: FactKind.REGISTERED,
    Linked: FactKind.LINKED,
    Reset: FactKind.RESET,
    Disabled: FactKind.DISABLED,
    Enabled: FactKind.ENABLED,
    Activated: FactKind.ACTIVATED,
    UserDisabled: FactKind.USER_DISABLED,
    UserEnabled: FactKind.USER_ENABLED,
    Renamed: FactKind.RENAMED,
    Unlinked: FactKind.UNLINKED,
    PolicyChanged: FactKind.POLICY_CHANGED,
}


class Fact(NamedTuple):
    """One entry of the ledger.

    Args:
        position: its place in the ledger; total per app.
        at: the server's clock inside the transaction, epoch milliseconds; see `fold.instant`.
    """

    fact_id: FactId
    position: int
    at: int
    said: Said
