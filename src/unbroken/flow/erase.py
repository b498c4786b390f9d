"""Erase: a person is gone from every store of the platform (linking.md, erasure; law 10).

Keyed hashes remember only that there was somebody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.errors import InstallGone, NotFound
from unbroken.domain.ids import FactId, parse_id
from unbroken.domain.ledger.facts import FactKind
from unbroken.domain.standing import Standing
from unbroken.flow.authenticate import InstallCaller, KeyCaller
from unbroken.flow.whose import person, writer
from unbroken.store import erasure, ledger, timelines, tombstones
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId
    from unbroken.flow.context import Context
    from unbroken.flow.whose import Person, Reader
    from unbroken.store.contract import Transaction


class _DryRun(Exception):
    def __init__(self, receipt: wire.Receipt) -> None:
        super().__init__("a dry run")
        self.receipt = receipt


async def erase(context: Context, caller: Reader, user_id: str, *, dry_run: bool) -> wire.Receipt:
    """DELETE /users/{user_id}; repeated, it gives the same receipt.

    Raises:
        NotFound, InstallGone, InstallDisabled, InstallDeactivated.
    """

    async def run(tx: Transaction) -> wire.Receipt:
        before = await _receipt_of(context, tx, caller, user_id)
        if before is not None:
            return before
        of = await _erasable(tx, caller, user_id)
        receipt = await _erase(context, tx, of, _actor(caller))
        if dry_run:
            raise _DryRun(receipt)
        return receipt

    try:
        return await context.store.write(run)
    except _DryRun as dry:
        receipt = dry.receipt
        return wire.Receipt(receipt.receipt_id, receipt.erased_at, receipt.deleted, dry_run=True)


async def _erasable(tx: Transaction, caller: Reader, user_id: str) -> Person:
    """A key erases any user of its app; an install its own, and only while it is the active one."""
    if isinstance(caller, InstallCaller):
        own = await writer(tx, caller)
        if (await person(tx, caller, user_id)).user_id != own.user_id:
            raise NotFound
        return own
    return await person(tx, caller, user_id)


def _actor(caller: Reader) -> str:
    return f"key:{caller.key_id.hex()}" if isinstance(caller, KeyCaller) else "user"


async def _receipt_of(context: Context, tx: Transaction, caller: Reader, user_id: str) -> wire.Receipt | None:
    """The receipt, where this user was erased already."""
    known = parse_id(user_id)
    found = await tombstones.find(tx, context.vault.tombstone(known)) if known is not None else None
    app_id = caller.app.app_id if isinstance(caller, KeyCaller) else caller.app_id
    if found is None or found[0] != app_id:
        return None
    if isinstance(caller, InstallCaller):
        mine = await tombstones.find(tx, context.vault.tombstone(caller.install_id))
        if mine is None:
            return None  # its own install lives: this user is not its own, so it is not there
        if mine != found:
            raise InstallGone
    text = await tombstones.receipt(tx, found[1])
    assert text is not None
    return wire.decode(text.encode(), wire.Receipt)


async def _erase(context: Context, tx: Transaction, of: Person, actor: str) -> wire.Receipt:
    found = await erasure.find(tx, of.app_id, of.user_id)
    now_ms = context.clock.now_ms()
    receipt_id = context.randomness.secret(12)
    await _bury(context, tx, of.app_id, found, receipt_id)
    deleted = await erasure.delete(tx, of.app_id, found, context.vault.tombstone)
    for install_id in found.installs:
        await timelines.add_change(tx, install_id, Standing.DELETED.value, now_ms)
    fields = {"users": [context.vault.tombstone(user_id).hex() for user_id in found.users]}
    fact_id = FactId(context.randomness.id("fact", now_ms))
    await ledger.append(tx, of.app_id, Entry(fact_id, now_ms, FactKind.ERASED, actor, fields=fields))
    receipt = wire.Receipt(receipt_id.hex(), wire.iso(now_ms), deleted)
    await tombstones.add_receipt(tx, of.app_id, receipt_id, wire.encode(receipt).decode())
    return receipt


async def _bury(context: Context, tx: Transaction, app_id: AppId, found: erasure.Found, receipt_id: bytes) -> None:
    """Tombstones for all ids and credentials, so that late calls learn that they are gone."""
    digest = context.vault.tombstone
    await tombstones.add(tx, app_id, "user", [digest(user_id) for user_id in found.users], receipt_id)
    await tombstones.add(tx, app_id, "install", [digest(install_id) for install_id in found.installs], receipt_id)
    await tombstones.add(tx, app_id, "credential", [digest(one) for one in found.credentials], receipt_id)
