"""Settling: the one transaction in which adopted persons come to be there, with all that the fold says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.app import policy_of
from unbroken.domain.errors import Conflict
from unbroken.domain.payload import DAY_MS
from unbroken.domain.standing import Standing, standing_of
from unbroken.flow import archive, audit, encoding
from unbroken.flow.administer import OPERATOR
from unbroken.flow.audit import Event, What
from unbroken.flow.facts import fact_of
from unbroken.flow.proof import placed
from unbroken.store import (
    adoption,
    answers,
    apps,
    due_timelines,
    install_credentials,
    ledger,
    refusals,
    retention,
    saving,
    standing_changes,
    timelines,
    tombstones,
    traces,
    users,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.app import App
    from unbroken.domain.ids import AppId, FactId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.ledger.people import People
    from unbroken.flow.arrival import Arrival, Told
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def refuse_taken(context: Context, tx: Transaction, app_id: AppId, arrival: Arrival) -> None:
    """Everything that an archive names must be new here.

    Raises:
        Conflict: with what is not.
    """
    for user_id in arrival.users:
        if await adoption.is_user_there(tx, user_id):
            raise Conflict(f"The user {user_id.hex()} is there already.")
    for install_id in arrival.installs:
        if await adoption.is_install_there(tx, install_id):
            raise Conflict(f"The install {install_id.hex()} is there already.")
    for id_ in [*arrival.users, *arrival.installs]:
        if await tombstones.is_any_gone(tx, context.vault.tombstone(id_)):
            raise Conflict(f"{id_.hex()} was erased here. Gone is gone: it cannot be imported.")
    await _refuse_taken_names(tx, app_id, arrival)


async def _refuse_taken_names(tx: Transaction, app_id: AppId, arrival: Arrival) -> None:
    for external_id in arrival.external_ids:
        if await adoption.is_external_id_there(tx, app_id, external_id):
            raise Conflict(
                f"The external id {external_id!r} is in use in this app already, or was.",
                hint="Persons who carried the same one after each other are imported in one command.",
            )
    for told in arrival.facts:
        if not told.is_policy and await adoption.is_fact_there(tx, told.entry.fact_id):
            raise Conflict(f"The fact {told.entry.fact_id.hex()} is in the ledger already.")


@dataclass(frozen=True, slots=True)
class Policies:
    """The changes of policy in the app's ledger, and whether those of the archives are taken after them.

    They are, where the app holds nobody yet and its own are the beginning of theirs; else people are decided again
    under the app's own, and must come out the same.
    """

    facts: list[Fact]
    known: frozenset[FactId]
    are_taken: bool

    def takes(self, told: Told) -> bool:
        """Whether a fact of an archive goes into the ledger."""
        return not told.is_policy or (self.are_taken and told.entry.fact_id not in self.known)


async def policies_there(tx: Transaction, app: App, arrivals: Sequence[Arrival]) -> Policies:
    """See `Policies`."""
    entries = sorted(await ledger.policies(tx, app.app_id), key=lambda entry: entry.position)
    mine = [entry.fact_id for entry in entries]
    is_empty = not await adoption.is_anybody_there(tx, app.app_id)
    brought = [[one.entry.fact_id for one in arrival.facts if one.is_policy] for arrival in arrivals]
    begins = all(theirs[: len(mine)] == mine for theirs in brought)
    facts = [fact for entry in entries if (fact := fact_of(entry)) is not None]
    return Policies(facts, frozenset(mine), is_empty and begins)


class Settling:
    """Writes persons whose payloads and events are there, unseen."""

    def __init__(
        self, context: Context, app: App, arrivals: Sequence[Arrival], told: Sequence[Told], there: Policies
    ) -> None:
        self._context = context
        self._app = app
        self._arrivals = arrivals
        self._told = told
        self._there = there

    async def write(self, tx: Transaction, people: People) -> None:
        """Write everything.

        Raises:
            Conflict: something came to be there since it was looked for.
        """
        for arrival in self._arrivals:
            await refuse_taken(self._context, tx, self._app.app_id, arrival)
        if await policies_there(tx, self._app, self._arrivals) != self._there:
            raise Conflict("The policy of the app was changed meanwhile. Import again.")
        positions = [await self._append(tx, one) for one in self._told]
        await self._write_people(tx, placed(people, self._told, positions))
        for arrival in self._arrivals:
            await self._write_rest(tx, arrival, people)
            imported = Event(What.USER_IMPORTED, OPERATOR, self._app.app_id, user_id=arrival.user_id)
            audit.note(self._context, tx, imported)

    async def _append(self, tx: Transaction, told: Told) -> int:
        position = await ledger.append(tx, self._app.app_id, told.entry)
        line = told.line
        if isinstance(line, archive.Policy):
            await apps.set_policy(tx, self._app.app_id, policy_of(line.fields))
            await standing_changes.add_change_of_apps(tx, self._context.clock.now_ms())
            audit.note_fact(self._context, tx, self._app.app_id, told.entry)
            return position
        if line.trace is not None:
            await traces.keep_trace(tx, told.entry.fact_id, line.trace)
        if line.undo_answer != archive.NULL:
            await answers.keep_answer(tx, told.entry.fact_id, bytes(line.undo_answer))
        return position

    async def _write_people(self, tx: Transaction, people: People) -> None:
        people.touched_users = set(people.users)
        people.touched_carriers = set(people.carriers)
        people.touched_installs = set(people.installs)
        for arrival in self._arrivals:
            for install_id, line in arrival.installs.items():
                install = people.installs[install_id]
                await saving.insert_install(
                    tx,
                    self._app.app_id,
                    install,
                    device=bytes(line.device).decode(),
                    credential_digest=install_credentials.NO_CREDENTIAL,
                    credential_key=None,
                    install_key=None,
                )
                await retention.raise_kept_from(tx, install_id, line.kept_from)
                if line.used:
                    await adoption.set_used(tx, install_id)
        await saving.save(tx, people, self._app.app_id, {})

    async def _write_rest(self, tx: Transaction, arrival: Arrival, people: People) -> None:
        for user_id, pairs in arrival.metadata.items():
            await users.set_metadata(tx, user_id, pairs)
        for install_id, line in arrival.refused_links:
            await refusals.keep(tx, self._app.app_id, install_id, line.at, bytes(line.trace))
        if arrival.floor is not None:
            await retention.set_floor(tx, arrival.user_id, arrival.floor)
            await self._write_chunks(tx, arrival)
        for install_id in arrival.installs:
            install = people.installs[install_id]
            await self._tell(tx, install, standing_of(install, people.resolve(install.user)))
            await due_timelines.mark_due(tx, install_id, install.user, 0)
        if await timelines.has_events(tx, arrival.user_id):  # of an install that was taken away, so that none uploaded
            await due_timelines.mark(tx, arrival.user_id, 0)

    async def _tell(self, tx: Transaction, install: Install, standing: Standing) -> None:
        """To whoever takes uploads: a token that was signed elsewhere, under the same key, may say otherwise."""
        if standing is not Standing.ACTIVE:
            await standing_changes.add_change(tx, install.install_id, standing.value, self._context.clock.now_ms())

    async def _write_chunks(self, tx: Transaction, arrival: Arrival) -> None:
        """The days that will not be computed again."""
        rows = await timelines.events_between(tx, arrival.user_id, 0, arrival.kept_before)
        by_day: dict[int, list[encoding.Encoded]] = {}
        for row in rows:
            by_day.setdefault(row.start_ms // DAY_MS, []).append(encoding.unpack(row.body))
        for day, events in by_day.items():
            await timelines.set_chunk(tx, arrival.user_id, day, encoding.pack_chunk(events))
