"""Undo: a link is taken back exactly, or not at all (linking.md, unlinking, and the fold).

The facts of everybody it can reach are folded with and without it. Both timelines are computed in the transaction that
adds the fact, so that nobody ever sees one of them without the other. An undo has an id of its own; undoing that
restores the link.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.errors import HistoryExpired, NotFound
from unbroken.domain.ids import FactId, UserId, parse_id
from unbroken.domain.ledger.facts import Fact, Linked, Unlinked
from unbroken.domain.ledger.fold import instant
from unbroken.domain.ledger.people import People
from unbroken.domain.ledger.undo import Undone, decide_undo
from unbroken.domain.payload import Outcome
from unbroken.domain.standing import standing_of
from unbroken.flow import audit
from unbroken.flow.authenticate import still_admitted
from unbroken.flow.dry_run import once_or_tried
from unbroken.flow.facts import fact_of
from unbroken.flow.person_facts import facts_of_person
from unbroken.flow.recording import entry_of
from unbroken.flow.retention import is_all_there_since, is_open_since
from unbroken.flow.summary import look, summary_of
from unbroken.flow.timeline import compute_within
from unbroken.store import answers, identity, ledger, saving, standing_changes

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, InstallId
    from unbroken.domain.ledger.people import Span
    from unbroken.domain.user import User
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.operate import Order
    from unbroken.flow.timeline_rows import Rewritten
    from unbroken.store.contract import Transaction

_NO_ID: Final = b""
"""In the place of ids while it is not decided whether there is anything to give them to."""


async def undo(context: Context, caller: KeyCaller, link_id: str, order: Order) -> wire.Undone:
    """POST /v3/links/{link_id}/undo: take back a link, or an undo.

    Raises:
        NotFound: no such link or undo, or an erased one.
        LaterFactsDepend, HistoryExpired, UserDisabled, IdempotencyKeyReused.
    """

    async def write(tx: Transaction) -> tuple[wire.Undone, UserId | None]:
        await still_admitted(tx, caller)
        subject = await _subject(tx, caller.app.app_id, link_id)
        answered = await answers.answer_to(tx, subject.fact_id)
        if answered is not None and await _is_cancelled(tx, caller.app.app_id, subject.fact_id):
            first = wire.decode(answered, wire.Undone)
            return first, UserId(bytes.fromhex(first.user_id))
        answer = await _Undo(context.tried(order.dry_run), tx, caller, subject).run(order.reason)
        return answer, UserId(bytes.fromhex(answer.user_id))

    return await once_or_tried(context, order.same, wire.Undone, write, dry_run=order.dry_run)


async def _subject(tx: Transaction, app_id: AppId, link_id: str) -> Fact:
    known = parse_id(link_id)
    entry = await ledger.fact(tx, app_id, FactId(known)) if known is not None else None
    fact = fact_of(entry) if entry is not None else None
    if fact is None or not isinstance(fact.said, Linked | Unlinked):
        raise NotFound("There is no such link or undo.")
    return fact


async def _is_cancelled(tx: Transaction, app_id: AppId, subject: FactId) -> bool:
    """Whether an undo of it stands: one that is not itself undone."""
    for entry in await ledger.cancelling(tx, app_id, subject):
        if not await _is_cancelled(tx, app_id, entry.fact_id):
            return True
    return False


class _Undo:
    """One undo inside its transaction."""

    def __init__(self, context: Context, tx: Transaction, caller: KeyCaller, subject: Fact) -> None:
        self.context = context
        self.tx = tx
        self.app_id = caller.app.app_id
        self.actor = caller.actor
        self.subject = subject

    async def run(self, reason: str | None) -> wire.Undone:
        link = await self._link()
        assert isinstance(link.said, Linked)
        facts = await facts_of_person(self.tx, self.app_id, link.said.install_id)
        blank = self._blank(facts, link.said.install_id)
        undone = await self._decide(link, facts, blank)
        blank = blank._replace(fact_id=FactId(self._new_id("fact")))
        before = await look(self.tx, self.app_id, undone.before.installs)
        rewritten = await self._write(blank._replace(said=undone.said), link.said.install_id, undone, reason)
        after = await look(self.tx, self.app_id, undone.after.installs)
        install = undone.after.installs[link.said.install_id]
        answer = wire.Undone(
            undo_id=blank.fact_id.hex(),
            link_id=link.fact_id.hex(),
            user_id=_account(undone, link.said).user_id.hex(),
            own_user_id=install.own_user.hex(),
            summary=summary_of(before, after, rewritten),
        )
        await answers.keep_answer(self.tx, self.subject.fact_id, wire.encode(answer))
        return answer

    async def _link(self) -> Fact:
        """The link that it is about in the end."""
        fact = self.subject
        while isinstance(fact.said, Unlinked):
            fact = await _subject(self.tx, self.app_id, fact.said.subject.hex())
        return fact

    async def _decide(self, link: Fact, facts: list[Fact], blank: Fact) -> Undone:
        """What it does. An id is given out only when nothing refuses it any more, and then to every undo.

        So a lab that is started again knows how many there were (`administer.id_counts`).
        """
        undone = await self._from_tables(decide_undo(facts, self.subject, blank, UserId(_NO_ID)))
        await self._refuse_expired(link, undone)
        fresh_user = UserId(self._new_id("undo user"))
        if undone.said.fresh_user is None:
            return undone
        return replace(decide_undo(facts, self.subject, blank, fresh_user), before=undone.before)

    async def _from_tables(self, undone: Undone) -> Undone:
        """Before it is what the tables say: so what is written is whole, even where they differ from the fold."""
        before = People(undone.before.policy)
        await identity.load_whole(self.tx, before, self.app_id, undone.after.installs, undone.after.users)
        return replace(undone, before=before)

    def _new_id(self, kind: str) -> bytes:
        return self.context.randomness.id(kind, self.context.clock.now_ms())

    def _blank(self, facts: list[Fact], install_id: InstallId) -> Fact:
        """The fact to be added, still without an id: its time is after every fact that it can reach."""
        now_ms = self.context.clock.now_ms()
        at = instant(now_ms, [fact.at for fact in facts if getattr(fact.said, "install_id", None) == install_id])
        at = max([at, *(fact.at for fact in facts)])
        return Fact(FactId(_NO_ID), max(fact.position for fact in facts) + 1, at, Unlinked(self.subject.fact_id))

    async def _refuse_expired(self, link: Fact, undone: Undone) -> None:
        """The payloads of every install that stands otherwise must be there, and no floor may know what changes."""
        assert isinstance(link.said, Linked)
        changed = [one for one in undone.after.installs if undone.after.spans[one] != undone.before.spans[one]]
        registered_at = undone.after.installs[link.said.install_id].registered_at
        since_ms = link.at if link.said.pristine else registered_at
        if not await is_all_there_since(self.tx, changed, since_ms):
            raise HistoryExpired
        for user_id, from_ms in _changed_from(undone).items():
            if not await is_open_since(self.tx, user_id, from_ms):
                raise HistoryExpired

    async def _write(self, fact: Fact, of: InstallId, undone: Undone, reason: str | None) -> dict[UserId, Rewritten]:
        entry = entry_of(fact, self.actor, reason)
        await ledger.append(self.tx, self.app_id, entry)
        audit.note_fact(self.context, self.tx, self.app_id, entry._replace(install_id=of))
        await saving.replace(self.tx, undone.before, _touched(undone, fact.at), self.app_id)
        for install_id, install in undone.after.installs.items():
            standing = standing_of(install, undone.after.resolve(install.user))
            was = undone.before.installs[install_id]
            if standing is not standing_of(was, undone.before.resolve(was.user)):
                now_ms = self.context.clock.now_ms()
                await standing_changes.add_change(self.tx, install_id, standing.value, now_ms)
        changed = _changed_from(undone).items()
        return {user_id: await compute_within(self.tx, user_id, from_ms) for user_id, from_ms in changed}


def _account(undone: Undone, link: Linked) -> User:
    """Who carries the external id of the link; with the last link to it gone, who did; else the install's own user.

    Where somebody carries it before and after, they have one id: the undo moves nobody's.
    """
    for people in (undone.before, undone.after):
        if link.external_id in people.carriers:
            return people.resolve(people.carriers[link.external_id])
    return undone.after.resolve(undone.after.installs[link.install_id].user)


def _touched(undone: Undone, at: int) -> People:
    """Everybody concerned was named now: no later fact may lie before this one."""
    after = undone.after
    after.installs = {one: install._replace(named_at=at) for one, install in after.installs.items()}
    after.users = {one: user._replace(named_at=at, touched_at=at) for one, user in after.users.items()}
    return after


def _changed_from(undone: Undone) -> dict[UserId, int]:
    """Each user whose activations differ, and since when."""
    changed: dict[UserId, int] = {}
    for span in _activations(undone.before) ^ _activations(undone.after):
        changed[span.user_id] = min(span.from_ms, changed.get(span.user_id, span.from_ms))
    return changed


def _activations(people: People) -> set[Span]:
    """Without what opened them: an activation is who, whose and when."""
    return {
        span._replace(cause=FactId(b""), rival=None)
        for spans in people.spans.values()
        for span in spans
        if span.outcome is Outcome.ACCEPTED
    }
