"""People: what the ledger says, as a value that facts are applied to: installs, users, external ids, and spans of time.

It may hold a whole app, or only the part that one fact can reach: the flow loads that part, applies the fact, and
saves what was touched. The full fold and the single call so run the same code.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from unbroken.domain.install import Install, State

if TYPE_CHECKING:
    from unbroken.domain.app import Policy
    from unbroken.domain.ids import ExternalId, FactId, InstallId, UserId
    from unbroken.domain.payload import Outcome
    from unbroken.domain.user import User


class Span(NamedTuple):
    """A stretch `[from_ms, to_ms)` of an install's life in which it stood one way; `to_ms` is None for the present one.

    A span whose outcome is ACCEPTED is an activation (linking.md, words). The stretch before a join is void: the
    install was active on its own user, and what it captured never counts for the user it joined.

    Args:
        outcome: of an item captured in it.
        cause: the fact that opened it.
        rival: the install whose precedence decided, where one did.
    """

    install_id: InstallId
    user_id: UserId
    state: State
    outcome: Outcome
    from_ms: int
    to_ms: int | None
    cause: FactId
    rival: InstallId | None = None


def activation_id(span: Span) -> bytes:
    """The id of an activation: a hash of user, install and `from` (linking.md, words)."""
    content = span.user_id + span.install_id + span.from_ms.to_bytes(8, "big", signed=True)
    return hashlib.sha256(content).digest()[:12]


@dataclass(slots=True)
class People:
    """Installs and users under one app's policy. Facts change it in place (`fold.apply`).

    `spans` holds of each install at least the open span, in order of time; `touched_*` name what a fact changed.
    """

    policy: Policy
    installs: dict[InstallId, Install] = field(default_factory=dict)
    users: dict[UserId, User] = field(default_factory=dict)
    carriers: dict[ExternalId, UserId] = field(default_factory=dict)
    spans: dict[InstallId, list[Span]] = field(default_factory=dict)
    touched_installs: set[InstallId] = field(default_factory=set)
    touched_users: set[UserId] = field(default_factory=set)
    touched_carriers: set[ExternalId] = field(default_factory=set)
    voided: set[InstallId] = field(default_factory=set)
    """Installs of which the closed spans were replaced as well: they joined another user."""
    released: set[ExternalId] = field(default_factory=set)
    """External ids that nobody carries any more."""

    def copy(self) -> People:
        """The same people, to go on from otherwise; what was touched so far is not remembered."""
        spans = {install_id: list(spans) for install_id, spans in self.spans.items()}
        return People(self.policy, dict(self.installs), dict(self.users), dict(self.carriers), spans)

    def install(self, install_id: InstallId) -> Install:
        """The install; it must have been loaded."""
        return self.installs[install_id]

    def resolve(self, user_id: UserId) -> User:
        """The user that an id stands for."""
        user = self.users[user_id]
        while user.redirect is not None:
            user = self.users[user.redirect]
        return user

    def set_install(self, install_id: InstallId, **fields: Any) -> None:
        """Change fields of an install."""
        self.installs[install_id] = self.installs[install_id]._replace(**fields)
        self.touched_installs.add(install_id)

    def set_user(self, user_id: UserId, **fields: Any) -> None:
        """Change fields of a user."""
        self.users[user_id] = self.users[user_id]._replace(**fields)
        self.touched_users.add(user_id)

    def carry(self, external_id: ExternalId, user_id: UserId) -> None:
        """Let a user carry an external id."""
        self.carriers[external_id] = user_id
        self.touched_carriers.add(external_id)
        self.released.discard(external_id)

    def installs_of(self, user_id: UserId) -> list[Install]:
        """The installs of a user, as far as they were loaded."""
        return [install for install in self.installs.values() if install.user == user_id]


def status_of(install: Install, user: User) -> State:
    """What an install is told: its own state, or disabled while its user is."""
    if install.standing is not State.DELETED and user.is_disabled:
        return State.DISABLED
    return install.state
