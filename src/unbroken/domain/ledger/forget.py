"""Forget: which facts an erasure takes along, and how what others said stays true without them (linking.md, erasure).

The live facts of a person can go without a trace in anybody else's fold: what was live together is one person. But
undone links do reach across: of an install that was linked to this person once, the ledger remembers the link and its
undo, and by them the ids under which customers know the two. They go too, so a fact that stays may have to name its
user by the id that the user has now, and a registration the ids that the user had before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from unbroken.domain.ids import InstallId
from unbroken.domain.ledger.facts import Fact, Linked, Registered, Renamed, Unlinked, UserDisabled, UserEnabled
from unbroken.domain.ledger.labels import issued
from unbroken.domain.ledger.refold import labelled, live, refold

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from unbroken.domain.ids import ExternalId, FactId, UserId
    from unbroken.domain.ledger.people import People

_FOR_EVER = 2**63


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What an erasure does to the facts.

    Args:
        gone: the facts to be put out of sight.
        rewritten: facts of others, as they are to be from now on.
        called: the external ids that ever meant the person; one that it released may be another's by now.
    """

    gone: list[Fact]
    rewritten: list[Fact]
    called: frozenset[ExternalId]


def forget(facts: Sequence[Fact], installs: Collection[InstallId], external_ids: Collection[ExternalId]) -> Forgotten:
    """Take a person out of the facts of everybody it ever had to do with.

    Args:
        facts: all of them, live or not.
        installs: the person's.
        external_ids: what it carries, aliases too.
    """
    folded = refold(facts)
    before, owners, had = labelled(folded), _owners(facts, folded.about), issued(folded.people, folded.moved)
    theirs = _carried_until(facts, owners, installs, external_ids)
    gone, called = _gone(facts, owners, installs, theirs), frozenset(theirs)
    first = _without(facts, gone, owners, before, had)
    if _others(first[1], installs) == _others(before, installs) and not _is_named(facts, gone, before, installs):
        return Forgotten(gone, first[0], called)
    # The undone links of others decide about ids as well: then these go too, and everybody is known by what is told.
    gone = sorted({fact.fact_id: fact for fact in [*gone, *_undone(facts)]}.values(), key=lambda fact: fact.position)
    return Forgotten(gone, _without(facts, gone, owners, before, had)[0], called)


# What goes


def _gone(
    facts: Sequence[Fact],
    owners: dict[FactId, InstallId],
    installs: Collection[InstallId],
    theirs: Mapping[ExternalId, int],
) -> list[Fact]:
    taking_part = {fact.fact_id for fact in live(facts)}
    gone: dict[FactId, Fact] = {}
    for fact in sorted(facts, key=lambda fact: fact.position):
        said = fact.said
        is_own = _install_of(fact, owners) in installs
        is_lost_link = (
            isinstance(said, Linked)
            and fact.fact_id not in taking_part
            and fact.position < theirs.get(said.external_id, 0)
        )
        is_undo = isinstance(said, Unlinked) and said.subject in gone
        if is_own or is_lost_link or is_undo:
            gone[fact.fact_id] = fact
    return list(gone.values())


def _install_of(fact: Fact, owners: dict[FactId, InstallId]) -> InstallId | None:
    named: InstallId | None = getattr(fact.said, "install_id", None)
    return named if named is not None else owners.get(fact.fact_id)


def _carried_until(
    facts: Sequence[Fact],
    owners: dict[FactId, InstallId],
    installs: Collection[InstallId],
    external_ids: Collection[ExternalId],
) -> dict[ExternalId, int]:
    """The position up to which each external id meant this person; what a rename released may be another's by now."""
    until = dict.fromkeys(external_ids, _FOR_EVER)
    named: set[ExternalId] = set()
    for fact in sorted(live(facts), key=lambda fact: fact.position):
        said = fact.said
        if _install_of(fact, owners) not in installs or not isinstance(said, Linked | Renamed):
            continue
        if isinstance(said, Renamed) and said.release_old:
            until |= {one: fact.position for one in named - {said.external_id} if until.get(one) != _FOR_EVER}
            named.clear()
        named.add(said.external_id)
    return until


def _owners(facts: Sequence[Fact], about: Mapping[FactId, UserId]) -> dict[FactId, InstallId]:
    """Of each live fact that names a user, an install of that user: whom it is about as the fold has it."""
    registered = {fact.said.user_id: fact.said.install_id for fact in facts if isinstance(fact.said, Registered)}
    return {fact_id: registered[user_id] for fact_id, user_id in about.items()}


def _is_named(facts: Sequence[Fact], gone: Sequence[Fact], before: People, installs: Collection[InstallId]) -> bool:
    """Whether an undo of somebody else's link, which would stay, gave this person the id by which it is known."""
    known_as = {before.installs[install_id].own_user for install_id in installs if install_id in before.installs}
    hidden = {fact.fact_id for fact in gone}
    undos = [fact.said for fact in facts if isinstance(fact.said, Unlinked) and fact.fact_id not in hidden]
    return any(undo.fresh_user in known_as for undo in undos)


def _undone(facts: Sequence[Fact]) -> list[Fact]:
    """Undos, and what they undid."""
    taking_part = {fact.fact_id for fact in live(facts)}
    return [fact for fact in facts if fact.fact_id not in taking_part]


# What stays


def _without(
    facts: Sequence[Fact],
    gone: Sequence[Fact],
    owners: dict[FactId, InstallId],
    before: People,
    had: Mapping[UserId, InstallId],
) -> tuple[list[Fact], People]:
    """The facts that stay and are to be otherwise, and the people that all which stay then make."""
    hidden = {fact.fact_id for fact in gone}
    kept = [fact for fact in facts if fact.fact_id not in hidden]
    named = _named_as_known(kept, owners)
    after = labelled(refold(named))
    known_as = {
        install_id: before.installs[install_id].own_user
        for install_id, install in after.installs.items()
        if install.own_user != before.installs[install_id].own_user
    }
    if known_as:
        named = [_naming(fact, known_as.get(_install_of(fact, owners) or InstallId(b""))) for fact in named]
        after = labelled(refold(named))
    lost = {user_id: install_id for user_id, install_id in had.items() if user_id not in after.users}
    stay = [_with_aliases(fact, lost) for fact in named]
    return [new for old, new in zip(kept, stay, strict=True) if new != old], after


def _with_aliases(fact: Fact, lost: Mapping[UserId, InstallId]) -> Fact:
    """Ids that no fact gives out any more stay those of whoever had them last."""
    said = fact.said
    if not isinstance(said, Registered):
        return fact
    aliases = sorted(user_id for user_id, install_id in lost.items() if install_id == said.install_id)
    return fact._replace(said=replace(said, aliases=(*said.aliases, *aliases)))


def _named_as_known(kept: Sequence[Fact], owners: dict[FactId, InstallId]) -> list[Fact]:
    """Facts that name somebody by an id that went away name it by its registration; without undos, all facts do."""
    registered = {fact.said.install_id: fact.said.user_id for fact in kept if isinstance(fact.said, Registered)}
    undos = [fact.said for fact in kept if isinstance(fact.said, Unlinked)]
    known = {*registered.values(), *(undo.fresh_user for undo in undos)}
    return [
        fact
        if fact.fact_id not in owners or (undos and _user_of(fact) in known)
        else _naming(fact, registered[owners[fact.fact_id]])
        for fact in kept
    ]


def _user_of(fact: Fact) -> UserId | None:
    named: UserId | None = getattr(fact.said, "user_id", None)
    return named


def _naming(fact: Fact, user_id: UserId | None) -> Fact:
    said = fact.said
    if user_id is None or not isinstance(said, Registered | UserDisabled | UserEnabled | Renamed):
        return fact
    return fact._replace(said=replace(said, user_id=user_id))


def _others(people: People, installs: Collection[InstallId]) -> tuple[object, ...]:
    """What must stay as it is: everybody else."""
    others = {install_id: install for install_id, install in people.installs.items() if install_id not in installs}
    users = {install.user for install in others.values()}
    return (
        others,
        {install_id: people.spans[install_id] for install_id in others},
        {external_id: user for external_id, user in people.carriers.items() if user in users},
    )
