"""The facts of a person: everything in the ledger that the undo of one of its links can reach.

From one install the facts lead to external ids, from these to other installs, and so on until nothing new is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.ledger.facts import FactKind
from unbroken.flow.facts import fact_of
from unbroken.store import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry


class _Reached:
    """What was found so far, and what is still to be followed."""

    def __init__(self, tx: Transaction, app_id: AppId) -> None:
        self._tx = tx
        self._app_id = app_id
        self.entries: dict[FactId, Entry] = {}
        self._installs: set[InstallId] = set()
        self._users: set[UserId] = set()
        self._external_ids: set[ExternalId] = set()

    async def install(self, install_id: InstallId) -> None:
        if install_id not in self._installs:
            self._installs.add(install_id)
            await self._follow(await ledger.naming_install(self._tx, self._app_id, install_id))

    async def in_order(self) -> list[Fact]:
        entries = [*self.entries.values(), *await ledger.policies(self._tx, self._app_id)]
        facts = [fact for entry in entries if (fact := fact_of(entry)) is not None]
        return sorted(facts, key=lambda fact: fact.position)

    async def user(self, user_id: UserId) -> None:
        if user_id not in self._users:
            self._users.add(user_id)
            await self._follow(await ledger.naming_user(self._tx, self._app_id, user_id))

    async def _external_id(self, external_id: ExternalId) -> None:
        if external_id not in self._external_ids:
            self._external_ids.add(external_id)
            await self._follow(await ledger.naming_external_id(self._tx, self._app_id, external_id))

    async def _follow(self, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.fact_id in self.entries or entry.is_hidden:
                continue
            self.entries[entry.fact_id] = entry
            if entry.install_id is not None:
                await self.install(entry.install_id)
            if entry.user_id is not None:
                await self.user(entry.user_id)
            if entry.external_id is not None:
                await self._external_id(entry.external_id)
            if entry.kind in {FactKind.LINKED, FactKind.UNLINKED}:
                await self._follow(await ledger.cancelling(self._tx, self._app_id, entry.fact_id))
            if entry.subject is not None:
                await self._subject(entry.subject)

    async def _subject(self, fact_id: FactId) -> None:
        entry = await ledger.fact(self._tx, self._app_id, fact_id)
        if entry is not None:
            await self._follow([entry])


async def facts_of_person(tx: Transaction, app_id: AppId, install_id: InstallId) -> list[Fact]:
    """All facts, live or not, that an undo about an install can reach, with the app's changes of policy; in order."""
    return await facts_of_installs(tx, app_id, [install_id])


async def facts_of_installs(tx: Transaction, app_id: AppId, installs: Iterable[InstallId]) -> list[Fact]:
    """The same about several installs; what was reached from one is not walked again from the next."""
    reached = _Reached(tx, app_id)
    for install_id in installs:
        await reached.install(install_id)
    return await reached.in_order()


async def facts_of_user(tx: Transaction, app_id: AppId, user_id: UserId) -> list[Fact]:
    """The same from a user's id, whatever it stands for; empty where it was never given out, or was erased."""
    reached = _Reached(tx, app_id)
    await reached.user(user_id)
    return await reached.in_order() if reached.entries else []
