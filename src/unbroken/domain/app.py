"""An app: one mobile app of one customer, its policies, and what an API key of it may do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.ids import PLACEHOLDERS, parse_external_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.ids import AppId, ExternalId


class Scope(StrEnum):
    """What an API key may do (http-api.md, credentials). A key has none by default."""

    USER_READ = "user.read"
    USER_LINK = "user.link"
    USER_DELETE = "user.delete"
    USER_MANAGE = "user.manage"


class Linking(StrEnum):
    """Whether installs of the app can, or must, be linked."""

    OFF = "off"
    ON = "on"
    REQUIRED = "required"


class UsedInstall(StrEnum):
    """What becomes of an install that has uploaded already when it is linked to a known person (rows 13 to 15)."""

    REFUSE = "refuse"
    CLAIM = "claim"
    DROP = "drop"


class Precedence(StrEnum):
    """Which time decides among installs of one form (linking.md, activation)."""

    LAST_INSTALLED = "last_installed"
    LAST_LINKED = "last_linked"


class Takeover(StrEnum):
    """Whether an install on standby follows when the active one goes away."""

    NEVER = "never"
    STANDBY = "standby"


class LinkTicket(StrEnum):
    """Whether a link call must carry the install's own proof that it asks."""

    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator decided for one app; every decision is made under the policy in force at its moment.

    Args:
        late_window_days: how long after its capture an item may arrive; a change counts for what arrives after it.
        late_after_handover_hours: how long after another install has taken over an item may arrive that was captured
            in the activation which that ended; 0 is no bound. A change counts for what arrives after it.
        retention_days: how long payloads are kept.
        link_burst: how many installs may be linked to one external id within 24 hours.
        placeholders: what broken apps send in place of an external id (row 1), with commas between, in lower case.
    """

    linking: Linking = Linking.ON
    used_install: UsedInstall = UsedInstall.REFUSE
    precedence: Precedence = Precedence.LAST_INSTALLED
    takeover: Takeover = Takeover.NEVER
    link_ticket: LinkTicket = LinkTicket.OPTIONAL
    late_window_days: int = 30
    retention_days: int = 90
    link_burst: int = 20
    placeholders: str = ",".join(PLACEHOLDERS)
    late_after_handover_hours: int = 0

    def external_id_of(self, text: object) -> ExternalId | None:
        """The external id that `text` is, or None where row 1 of linking.md refuses it."""
        placeholders = frozenset(self.placeholders.split(","))
        return parse_external_id(text, placeholders) if isinstance(text, str) else None


def policy_of(stored: Mapping[str, Any]) -> Policy:
    """A policy from the object it is written down as (`written`)."""
    return Policy(
        linking=Linking(stored["linking"]),
        used_install=UsedInstall(stored["used_install"]),
        precedence=Precedence(stored["precedence"]),
        takeover=Takeover(stored["takeover"]),
        link_ticket=LinkTicket(stored["link_ticket"]),
        late_window_days=stored["late_window_days"],
        retention_days=stored["retention_days"],
        link_burst=stored["link_burst"],
        placeholders=stored["placeholders"],
        late_after_handover_hours=stored.get(_LATER, 0),
    )


_LATER: Final = "late_after_handover_hours"


def written(policy: Policy) -> dict[str, Any]:
    """The object a policy is written down as; what came to be later is in it only where it says something."""
    members = asdict(policy)
    if not policy.late_after_handover_hours:
        del members[_LATER]
    return members


@dataclass(frozen=True, slots=True)
class App:
    """A tenant. Ids of different apps never meet."""

    app_id: AppId
    name: str
    is_disabled: bool
    policy: Policy
