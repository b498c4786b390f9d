"""Recording: inside one transaction facts are written to the ledger, applied to people, and what they touched is saved.

Every step that changes who is who goes through here: load the part of `People` the fact can reach, `record`, `save`.
Saving also tells those who take uploads which installs stand otherwise now, and marks the timelines that must be
computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from unbroken.domain.errors import AppDisabled
from unbroken.domain.ids import FactId, UserId
from unbroken.domain.ledger.facts import KINDS, Fact, Registered, Said
from unbroken.domain.ledger.fold import apply, instant
from unbroken.domain.ledger.people import People
from unbroken.domain.standing import Standing, standing_of
from unbroken.flow import audit
from unbroken.flow.authenticate import NO_KEY, still_admitted
from unbroken.flow.facts import fields_of
from unbroken.store import apps, due_timelines, identity, ledger, reach, saving, standing_changes
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from unbroken.domain.app import App
    from unbroken.domain.ids import AppId, ExternalId, InstallId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.people import Span
    from unbroken.domain.user import User
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.reach import Lying, OfInstall

BURST_WINDOW_MS: Final = 24 * 3_600_000


@dataclass(slots=True)
class Recording:
    """One transaction's work on the ledger of one app.

    Args:
        actor: who does it: `key:<id>`, `install:<id>`, `operator`.
        reason: why, in the operator's words.
        policy_since: when the policy in force was decided; no fact that is decided under it lies before.
    """

    context: Context
    tx: Transaction
    app: App
    actor: str
    reason: str | None = None
    policy_since: int = 0
    people: People = field(init=False)
    links_within_a_day: dict[ExternalId, int] = field(default_factory=dict, init=False)
    """How many installs were linked to an external id whose carrier was loaded (linking.md, bursts)."""
    _before: dict[InstallId, list[Span]] = field(default_factory=dict, init=False)
    _unused: set[InstallId] = field(default_factory=set, init=False)
    _stood: dict[InstallId, Standing] = field(default_factory=dict, init=False)
    _new: set[InstallId] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.people = People(self.app.policy)

    @classmethod
    async def of_app(cls, context: Context, tx: Transaction, app_id: AppId, actor: str) -> Recording:
        """Begin, under the policies in force in this transaction.

        Whoever calls was let in by an earlier read. A policy that was changed since stands before his fact in the
        ledger, so the fact must be decided under it ("policies are those in force at that point").

        Raises:
            AppDisabled: the app was stopped since.
        """
        found = await apps.in_force(tx, app_id, NO_KEY)
        assert found is not None, "apps are not deleted"
        if found.app.is_disabled:
            raise AppDisabled
        return cls(context, tx, found.app, actor, policy_since=found.policy_since)

    @classmethod
    async def of_key(cls, context: Context, tx: Transaction, caller: KeyCaller, reason: str | None = None) -> Recording:
        """The same for a call with a key, which must be in force still.

        Raises:
            Unauthenticated, AppDisabled.
        """
        found = await still_admitted(tx, caller)
        return cls(context, tx, found.app, caller.actor, reason, found.policy_since)

    @property
    def app_id(self) -> AppId:
        """The app's id."""
        return self.app.app_id

    async def load_install(self, install_id: InstallId) -> Install | None:
        """Load an install of the app, with its users and their active install."""
        install = await identity.load_install(self.tx, self.people, self.app_id, install_id)
        self._remember()
        return install

    async def load_found(self, found: OfInstall) -> None:
        """Load what belongs to an install of the app that was just read."""
        install = found.itself.install
        if install.user == install.own_user and found.user.holder in {None, install.install_id}:
            self.people.users[found.user.user_id] = found.user
            self._lay(found.itself)
        else:
            await identity.load_around(self.tx, self.people, self.app_id, install)
        self._remember()

    def _lay(self, lying: Lying) -> None:
        install_id = lying.install.install_id
        self.people.installs[install_id], self.people.spans[install_id] = lying.install, lying.spans
        if not lying.is_used:
            self._unused.add(install_id)

    async def load_named(self, user_id: str) -> UserId:
        """Load a user by an id that was given out for it: a fact keeps the id that the call named, redirecting or not.

        But where the ledger has forgotten that it gave that id out, with the erasure of somebody else, no fold could
        tell whom it means: then it is the id for which it stands.

        The caller has seen that it stands for somebody (`whose.person`).
        """
        named = UserId(bytes.fromhex(user_id))
        await identity.load_user(self.tx, self.people, self.app_id, named)
        self._remember()
        if await ledger.gave_out(self.tx, self.app_id, named):
            return named
        return self.people.resolve(named).user_id

    async def load_carrier(self, external_id: ExternalId) -> User | None:
        """Load the user that carries an external id, with its active install, and count its links of the last day."""
        since_ms = self.context.clock.now_ms() - BURST_WINDOW_MS
        found = await reach.of_person(self.tx, self.app_id, external_id, since_ms)
        if found is None:
            return None
        user_id = found.user.user_id
        self.people.carriers[external_id] = user_id
        if found.user.redirect is None:
            self.people.users[user_id] = found.user
            if found.holder is not None and found.holder.install.install_id not in self.people.installs:
                self._lay(found.holder)
            self.links_within_a_day[external_id] = found.links_since
        else:
            await identity.load_user(self.tx, self.people, self.app_id, user_id)
            person = self.people.resolve(user_id).user_id
            self.links_within_a_day[external_id] = await ledger.links_since(
                self.tx, self.app_id, person, external_id, since_ms
            )
        self._remember()
        return found.user

    async def load_installs_of(self, user_id: UserId) -> None:
        """Load all installs of a user."""
        await identity.load_installs_of(self.tx, self.people, self.app_id, user_id)
        self._remember()

    async def load_spans_of(self, user_id: UserId) -> None:
        """Load all installs of a user with all their spans, where it matters who was active when."""
        await self.load_installs_of(user_id)
        for install in self.people.installs_of(user_id):
            if install.install_id in self._new:  # registered in this transaction: all its spans are here
                continue
            spans = await identity.read_spans(self.tx, install.install_id)
            self.people.spans[install.install_id] = spans
            self._before[install.install_id] = list(spans)

    def _remember(self) -> None:
        """How everything loaded stood before the first fact."""
        for install_id in self.people.spans.keys() - self._before.keys() - self._new:
            self._before[install_id] = list(self.people.spans[install_id])
            self._stood[install_id] = self.standing(install_id)

    async def record(self, said: Said, fact_id: FactId, *, named: list[int], touched: list[int] | None = None) -> Fact:
        """Write a fact and apply it.

        Args:
            named: `named_at` of what the fact names (`fold.instant`).
            touched: `touched_at` of the users that it may change.

        Raises:
            Refusal: a rule of the fold forbids it; the transaction must end with it.
        """
        blank = self._blank(said, fact_id, named, touched or [])
        entry = entry_of(blank, self.actor, self.reason)
        position = await ledger.append(self.tx, self.app_id, entry)
        audit.note_fact(self.context, self.tx, self.app_id, entry)
        fact = blank._replace(position=position)
        apply(self.people, fact)
        if isinstance(said, Registered):
            self._new.add(said.install_id)
        return fact

    async def record_if_allowed(self, said: Said, *, named: list[int], touched: list[int]) -> Fact:
        """The same of a fact that the fold may refuse; only one that it does not refuse uses up an id.

        So a lab that is started again knows how many ids were given out (`administer.id_counts`).
        """
        apply(self.people.copy(), self._blank(said, FactId(b""), named, touched))
        return await self.record(said, FactId(self.new_id("fact")), named=named, touched=touched)

    def _blank(self, said: Said, fact_id: FactId, named: list[int], touched: list[int]) -> Fact:
        """A fact without its place in the ledger."""
        return Fact(fact_id, 0, instant(self.context.clock.now_ms(), named, [self.policy_since, *touched]), said)

    async def touched_before(self, external_id: ExternalId) -> list[int]:
        """The `touched_at` of everybody who carried an external id that nobody carries now.

        One of them may have released it by a fact that does not name it, and whoever takes it comes after that. The
        facts that do name it lie before: a millisecond at least, as they name the same user or install.
        """
        if external_id in self.people.carriers:
            return []  # its carrier came after all of them
        entries = await ledger.naming_external_id(self.tx, self.app_id, external_id)
        users = [await self._user_of(entry) for entry in entries]
        return [user.touched_at for user in users if user is not None]

    async def _user_of(self, entry: Entry) -> User | None:
        """The user that a fact is about by now."""
        user_id = entry.user_id
        if entry.install_id is not None:
            install = await identity.read_install(self.tx, self.app_id, entry.install_id)
            user_id = None if install is None else install.user
        return None if user_id is None else await identity.resolve_user(self.tx, self.app_id, user_id)

    def new_id(self, kind: str) -> bytes:
        """A fresh id; taken only where it will be used, so that a seeded lab counts nothing twice."""
        return self.context.randomness.id(kind, self.context.clock.now_ms())

    async def save(self) -> None:
        """Write what the facts touched; the last thing a step does with the ledger."""
        await saving.save(self.tx, self.people, self.app_id, self._before)
        for install_id in sorted(self.people.touched_installs & self._before.keys()):
            await self._tell_and_mark(install_id)

    async def _tell_and_mark(self, install_id: InstallId) -> None:
        standing = self.standing(install_id)
        if standing is not self._stood[install_id]:
            await standing_changes.add_change(self.tx, install_id, standing.value, self.context.clock.now_ms())
        install = self.people.installs[install_id]
        if install_id in self._unused:
            return  # there is nothing to make a timeline of
        if install_id in self.people.voided:
            await due_timelines.mark_due(self.tx, install_id, install.user, install.registered_at)
            await due_timelines.mark_due(self.tx, install_id, install.own_user, install.registered_at)
        elif (from_ms := self._differs_from(install_id)) is not None:
            await due_timelines.mark_due(self.tx, install_id, install.user, from_ms)

    def _differs_from(self, install_id: InstallId) -> int | None:
        """Since when the install stood otherwise than before, or None where it did not."""
        last, spans = self._before[install_id][-1], self.people.spans[install_id]
        if last in spans:
            return None
        closed = [span.to_ms for span in spans if span.from_ms == last.from_ms and span.to_ms is not None]
        return closed[0] if closed else last.from_ms

    def standing(self, install_id: InstallId) -> Standing:
        """How an install stands after the facts so far."""
        install = self.people.installs[install_id]
        return standing_of(install, self.people.resolve(install.user))


def entry_of(fact: Fact, actor: str, reason: str | None) -> Entry:
    """A fact as a row of the ledger."""
    said = fact.said
    return Entry(
        fact_id=fact.fact_id,
        at=fact.at,
        kind=KINDS[type(said)],
        actor=actor,
        reason=reason,
        install_id=getattr(said, "install_id", None),
        user_id=getattr(said, "user_id", None),
        external_id=getattr(said, "external_id", None),
        fields=fields_of(said),
        subject=getattr(said, "subject", None),
    )
