"""Erase: a person is gone from every store of the platform (linking.md, erasure; law 10).

Keyed hashes remember only that there was somebody. One install, or a stretch of time: `erase_part.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from unbroken import wire
from unbroken.domain.errors import InstallGone, NotFound
from unbroken.domain.ids import FactId, parse_id
from unbroken.domain.ledger.facts import FactKind, Linked, Registered, Renamed, Unlinked, UserDisabled, UserEnabled
from unbroken.domain.ledger.forget import forget
from unbroken.flow import audit
from unbroken.flow.authenticate import InstallCaller, KeyCaller, still_admitted
from unbroken.flow.dry_run import DryRun, unless_dry
from unbroken.flow.facts import fields_of
from unbroken.flow.person_facts import facts_of_installs
from unbroken.flow.purge import IN_A_MOMENT_BYTES, purge, scrub
from unbroken.flow.receipts import signed
from unbroken.flow.whose import person, writer
from unbroken.store import erasure, ledger, standing_changes, tombstones
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId, UserId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.flow.context import Context
    from unbroken.flow.whose import Person, Reader
    from unbroken.store.contract import Transaction


async def erase(context: Context, caller: Reader, user_id: str, *, dry_run: bool) -> wire.Receipt:
    """DELETE /users/{user_id}; repeated, it gives the same receipt.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def run(tx: Transaction) -> tuple[wire.Receipt, erasure.Found | None]:
        if isinstance(caller, KeyCaller):
            await still_admitted(tx, caller)
        before = await _receipt_of(context, tx, caller, user_id)
        if before is not None:
            return given_again(before, dry_run=dry_run), None
        of = await _erasable(tx, caller, user_id)
        found = await erasure.find(tx, of.app_id, of.user_id)
        erasing = Erasing(context.tried(dry_run), tx, of.app_id, _actor(caller), dry_run=dry_run)
        return await _erase(erasing, found), found

    try:
        receipt, found = await context.store.write(run)
    except DryRun as dry:
        return dry.answer_as(wire.Receipt)
    if found is not None:
        context.standings.forget(found.installs)
        await scrub(context, found.installs)
    await purge(context, rewrite_up_to_bytes=IN_A_MOMENT_BYTES)
    return receipt


async def names(context: Context, caller: KeyCaller, user_id: str) -> erasure.Found:
    """Everything that a person is called, to look for it afterwards (`traces.py`).

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> erasure.Found:
        of = await person(tx, caller, user_id)
        return await erasure.find(tx, of.app_id, of.user_id)

    return await context.store.read(load)


# Who may, and who did


async def _erasable(tx: Transaction, caller: Reader, user_id: str) -> Person:
    """A key erases any user of its app; an install its own, and only while it is the active one."""
    if isinstance(caller, InstallCaller):
        own = await writer(tx, caller)
        if (await person(tx, caller, user_id)).user_id != own.user_id:
            raise NotFound
        return own
    return await person(tx, caller, user_id)


def _actor(caller: Reader) -> str:
    return caller.actor if isinstance(caller, KeyCaller) else "user"


async def _receipt_of(context: Context, tx: Transaction, caller: Reader, user_id: str) -> wire.Receipt | None:
    """The receipt, where this user was erased already."""
    known = parse_id(user_id)
    found = await tombstones.find(tx, context.vault.tombstone(known), "user") if known is not None else None
    app_id = caller.app.app_id if isinstance(caller, KeyCaller) else caller.app_id
    if found is None or found[0] != app_id:
        return None
    if isinstance(caller, InstallCaller):
        mine = await tombstones.find(tx, context.vault.tombstone(caller.install_id), "install")
        if mine is None:
            return None  # its own install lives: this user is not its own, so it is not there
        if mine != found:
            raise InstallGone
    return await kept_receipt(tx, found[1])


async def kept_receipt(tx: Transaction, receipt_id: bytes) -> wire.Receipt:
    """A receipt that was given before."""
    text = await tombstones.receipt(tx, receipt_id)
    assert text is not None
    return wire.decode(text.encode(), wire.Receipt)


def given_again(receipt: wire.Receipt, *, dry_run: bool) -> wire.Receipt:
    """The answer where everything is gone already.

    Raises:
        DryRun: with the receipt, unsigned, as no signature is over what is marked a dry run.
    """
    unless_dry(msgspec.structs.replace(receipt, key_id="", signature=""), dry_run=dry_run)
    return receipt


# What it does


@dataclass(frozen=True, slots=True)
class Erasing:
    """One erasure inside its transaction."""

    context: Context
    tx: Transaction
    app_id: AppId
    actor: str
    dry_run: bool

    async def finish(self, receipt: wire.Receipt, receipt_id: bytes) -> wire.Receipt:
        """Sign the receipt and keep it.

        Raises:
            DryRun: with the receipt as it would be.
        """
        unless_dry(receipt, dry_run=self.dry_run)
        receipt = signed(self.context.vault, receipt)
        await tombstones.add_receipt(self.tx, self.app_id, receipt_id, wire.encode(receipt).decode())
        return receipt

    async def record(self, entry: Entry, user_id: UserId) -> None:
        """Say in the ledger, and in the audit log, that something of a person was erased."""
        await ledger.append(self.tx, self.app_id, entry)
        audit.note_fact(self.context, self.tx, self.app_id, entry._replace(user_id=user_id))

    def new_fact_id(self, now_ms: int) -> FactId:
        """The id of such a fact."""
        return FactId(self.context.randomness.id("fact", now_ms))


async def _erase(erasing: Erasing, found: erasure.Found) -> wire.Receipt:
    context, tx, app_id = erasing.context, erasing.tx, erasing.app_id
    now_ms, digest = context.clock.now_ms(), context.vault.tombstone
    receipt_id = context.randomness.secret(12)
    await _bury(context, tx, app_id, found, receipt_id)
    told = await _forget(context, tx, app_id, found)
    waiting = [await context.log.take(tx, install_id) for install_id in found.installs]
    deleted = await erasure.delete(tx, app_id, found)
    deleted["waiting uploads"] = sum(map(len, waiting))
    for install_id in found.installs:
        await standing_changes.add_erased(tx, digest(install_id), now_ms)
    fields = {"users": [digest(user_id).hex() for user_id in found.users]}
    fact_id = erasing.new_fact_id(now_ms)
    await erasing.record(Entry(fact_id, now_ms, FactKind.ERASED, erasing.actor, fields=fields), found.users[0])
    receipt = wire.Receipt(
        receipt_id=receipt_id.hex(),
        application_id=app_id.hex(),
        erased="user",
        user=digest(found.users[0]).hex(),
        erased_at=wire.iso(now_ms),
        deleted={**deleted, **told},
    )
    return await erasing.finish(receipt, receipt_id)


async def _bury(context: Context, tx: Transaction, app_id: AppId, found: erasure.Found, receipt_id: bytes) -> None:
    """Tombstones for all ids and credentials, so that late calls learn that they are gone."""
    digest = context.vault.tombstone
    await tombstones.add(tx, app_id, "user", [digest(user_id) for user_id in found.users], receipt_id)
    await tombstones.add(tx, app_id, "install", [digest(install_id) for install_id in found.installs], receipt_id)
    await tombstones.add(tx, app_id, "credential", [digest(one) for one in found.credentials], receipt_id)


async def _forget(context: Context, tx: Transaction, app_id: AppId, found: erasure.Found) -> erasure.Deleted:
    """Put the person's facts out of sight, and what was told to others about it (`domain.ledger.forget`)."""
    in_order = await facts_of_installs(tx, app_id, found.installs)
    forgotten = forget(in_order, set(found.installs), set(found.external_ids))
    gone = {fact.fact_id for fact in forgotten.gone}
    links = [fact.fact_id for fact in in_order if isinstance(fact.said, Linked | Unlinked)]
    answers = await erasure.forget_answers(tx, links, gone, _users_of(in_order), found)
    positions = [fact.position for fact in forgotten.gone]
    rewritten = await erasure.hide_facts(tx, app_id, found, positions, context.vault.tombstone)
    for fact in forgotten.rewritten:
        await erasure.rewrite_fact(tx, fact.position, getattr(fact.said, "user_id", None), fields_of(fact.said))
    codes = await erasure.delete_codes(tx, app_id, forgotten.called - set(found.external_ids))
    return {"facts rewritten": rewritten, "answers about others": answers, "codes for released ids": codes}


def _users_of(facts: Sequence[Fact]) -> set[UserId]:
    """Every user that some facts name."""
    users: set[UserId] = set()
    for fact in facts:
        match fact.said:
            case Registered() | UserDisabled() | UserEnabled() | Renamed() as said:
                users.add(said.user_id)
            case Unlinked(fresh_user=user_id) if user_id is not None:
                users.add(user_id)
            case _:
                pass
    return users
