"""Labels: by which ids customers know the users of a fold (docs/decisions/0010-labels.md).

Facts are folded under the ids that registrations gave out. A label moves only when an undo changes who is the first of
a person: as long as any link to an external id stands, its user keeps the id under which it was answered, and the
install that had that id gets the fresh one of the undo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from unbroken.domain.ledger.people import People
from unbroken.domain.user import User

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.ids import InstallId, UserId
    from unbroken.domain.ledger.facts import Registered


@dataclass(frozen=True, slots=True)
class Moved:
    """What undos have done to ids, up to some place in the ledger.

    Args:
        labels: the label of each user that is known by another id than its install's registration gave out.
        given: of each id that an undo gave out, or gave on, or that is an alias, the user that had it last.
    """

    labels: Mapping[UserId, UserId]
    given: Mapping[UserId, UserId]

    def registered(self, named: UserId) -> UserId:
        """The id that a registration gave to the user that a fact names; an id that redirects stays one that does."""
        of_label = (user_id for user_id, label in self.labels.items() if label == named)
        return next(of_label, self.given.get(named, named))

    def with_aliases(self, said: Registered) -> Moved:
        """The same after the registration of somebody who has further ids."""
        return (
            replace(self, given={**self.given, **dict.fromkeys(said.aliases, said.user_id)}) if said.aliases else self
        )

    def after_undo(self, before: People, after: People, fresh_user: UserId | None) -> Moved:
        """The same after one more undo.

        Args:
            before: the fold of all facts before the undo.
            after: the fold of these and the undo.
            fresh_user: the id that it brought along.
        """
        labels = _moved(self.labels, before, after, fresh_user)
        given = dict(self.given) | {label: user_id for user_id, label in labels.items()}
        for install in after.installs.values():
            if install.own_user not in labels:  # it has its own again
                given.pop(install.own_user, None)
        return Moved(labels, given)


NOTHING_MOVED: Final = Moved({}, {})


def _moved(
    labels: Mapping[UserId, UserId], before: People, after: People, fresh_user: UserId | None
) -> dict[UserId, UserId]:
    """A person that is still there keeps its label, and so does whoever lost none to it; the others get another."""
    moved: dict[UserId, UserId] = {}
    for external_id in before.carriers.keys() & after.carriers.keys():
        was, is_ = before.resolve(before.carriers[external_id]), after.resolve(after.carriers[external_id])
        moved[is_.user_id] = labels.get(was.user_id, was.user_id)
    taken = set(moved.values())
    left = sorted({install.own_user for install in after.installs.values()} - moved.keys())
    kept = {user_id: label for user_id in left if (label := labels.get(user_id, user_id)) not in taken}
    taken |= set(kept.values())
    for user_id in left:
        choices = (kept.get(user_id), *(other for other in (user_id, fresh_user) if other not in taken), user_id)
        moved[user_id] = next(choice for choice in choices if choice is not None)
        taken.add(moved[user_id])
    return {user_id: label for user_id, label in moved.items() if label != user_id}


@dataclass(frozen=True, slots=True)
class Labels:
    """By which ids the users of a fold are known.

    Args:
        of: the label of each user, by the id of its install's registration.
        aliases: every other id that was given out, and the label of the user it stands for.
    """

    of: dict[UserId, UserId]
    aliases: dict[UserId, UserId]


def issued(people: People, moved: Moved) -> dict[UserId, InstallId]:
    """Every id that was given out, and the install whose own user had it last."""
    own = {install.own_user: install.install_id for install in people.installs.values()}
    return own | {user_id: own[whose] for user_id, whose in moved.given.items() if whose in own}


def labels_of(people: People, moved: Moved) -> Labels:
    """The labels of a fold's users."""
    own = {install.own_user: install.own_user for install in people.installs.values()}
    labels = {**own, **moved.labels}
    known = set(labels.values())
    aliases = {
        user_id: labels[people.resolve(people.installs[install_id].own_user).user_id]
        for user_id, install_id in issued(people, moved).items()
        if user_id not in known
    }
    return Labels(labels, aliases)


def known_by(people: People, labels: Labels) -> People:
    """The same people under the ids that customers know; every id that was given out is there."""
    known = People(people.policy)
    known.installs = {
        install.install_id: install._replace(own_user=labels.of[install.own_user], user=labels.of[install.user])
        for install in people.installs.values()
    }
    known.users = {labels.of[user.user_id]: _user(user, labels) for user in people.users.values()}
    for alias, target in labels.aliases.items():
        known.users[alias] = _alias(alias, target, known.users[target])
    known.carriers = {external_id: labels.of[user_id] for external_id, user_id in people.carriers.items()}
    known.spans = {
        install_id: [span._replace(user_id=labels.of[span.user_id]) for span in spans]
        for install_id, spans in people.spans.items()
    }
    return known


def _user(user: User, labels: Labels) -> User:
    redirect = None if user.redirect is None else labels.of[user.redirect]
    return user._replace(user_id=labels.of[user.user_id], redirect=redirect)


def _alias(user_id: UserId, target: UserId, of: User) -> User:
    return User(user_id, created_at=of.created_at, named_at=of.named_at, touched_at=of.touched_at, redirect=target)
