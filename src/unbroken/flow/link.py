"""Link: the customer's server says whose an install is (linking.md, linking an install I to an external id E)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from unbroken import wire
from unbroken.credentials import Kind
from unbroken.domain.errors import NotFound, Refusal
from unbroken.domain.ids import InstallId, UserId, parse_id
from unbroken.domain.install import State
from unbroken.domain.ledger.facts import Linked
from unbroken.domain.link import Effect, Situation, Ticket, Whose, decide_link
from unbroken.domain.standing import REASONS, STATES
from unbroken.flow.dry_run import once_or_tried
from unbroken.flow.link_facts import record_link, refuse, situation
from unbroken.flow.recording import Recording
from unbroken.flow.refusals import Refused
from unbroken.flow.summary import look, summary_of
from unbroken.flow.timeline import compute_due
from unbroken.store import reach, tombstones, used_proofs

if TYPE_CHECKING:
    from unbroken.domain.app import App
    from unbroken.domain.ids import AppId, ExternalId
    from unbroken.domain.link import Row
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.repeat import Repeatable
    from unbroken.store.contract import Transaction
    from unbroken.store.reach import OfInstall


async def link(
    context: Context, caller: KeyCaller, install_id: str, body: wire.Link, *, dry_run: bool, same: Repeatable | None
) -> wire.Linked:
    """POST /v2/users/{install_id}/link.

    Args:
        dry_run: decide and answer as always, and let nothing stay.
        same: the call's idempotency.

    Raises:
        Refusal: the row's, NotFound where only a repeat was asked for, or IdempotencyKeyReused.
    """
    asked = _Asked(context.tried(dry_run), caller, install_id, body)

    async def write(tx: Transaction) -> tuple[wire.Linked, UserId | None]:
        await tx.hold(beside=not dry_run)
        answer = await asked.decide_and_record(tx, dry_run=dry_run)
        return answer, UserId(bytes.fromhex(answer.id))

    try:
        return await once_or_tried(context, same, wire.Linked, write, dry_run=dry_run, beside=True)
    except Refusal:
        if not dry_run:
            await asked.refused.keep(context)
        raise


class _Asked:
    """One link call."""

    def __init__(self, context: Context, caller: KeyCaller, install_id: str, body: wire.Link) -> None:
        self.context = context
        self.app_id = caller.app.app_id
        self.caller = caller
        self.body = body
        parsed = parse_id(install_id)
        self.install_id = None if parsed is None else InstallId(parsed)
        self.external_id: ExternalId | None = None
        self.proofs = _proofs_of(body.attestation)
        self.refused = Refused(caller.app.app_id, self.install_id or InstallId(b""))

    async def decide_and_record(self, tx: Transaction, *, dry_run: bool) -> wire.Linked:
        recording = await Recording.of_key(self.context, tx, self.caller)
        self.external_id = recording.app.policy.external_id_of(self.body.external_id)
        self.refused.begin()
        row, looked_at = await self._decide(recording)
        await self.refused.note(recording, row, looked_at)
        refuse(row)
        assert self.external_id is not None
        install_id = self.install_id or InstallId(b"")
        if row.answer is Effect.NONE:
            return msgspec.structs.replace(self._reply(recording, install_id), is_repeat=dry_run)
        if self.body.repeat_only:
            raise NotFound("This install is not linked to this account.")
        if not dry_run:
            await self._record(recording, install_id, looked_at)
            return self._reply(recording, install_id)
        summary = await self._try(recording, install_id, looked_at)
        return msgspec.structs.replace(self._reply(recording, install_id), summary=summary)

    async def _try(self, recording: Recording, install_id: InstallId, looked_at: Situation) -> wire.Summary:
        """Do it all and look before and after."""
        tx, people = recording.tx, recording.people
        users = sorted(user_id for user_id, user in people.users.items() if user.redirect is None)
        for user_id in users:
            await recording.load_installs_of(user_id)  # both looks are at the same installs
        before = await look(tx, recording.app_id, people.installs)
        await self._record(recording, install_id, looked_at)
        rewritten = await compute_due(tx, users)
        return summary_of(before, await look(tx, recording.app_id, people.installs), rewritten)

    async def _decide(self, recording: Recording) -> tuple[Row, Situation]:
        """The row, and what it was decided on."""
        found = None if self.install_id is None else await reach.of_install(recording.tx, self.install_id)
        if self.external_id is None or found is None or found.app_id != self.app_id:
            outside = self._outside(recording.app, await self._app_of(recording.tx, found))
            return decide_link(outside), outside
        await recording.load_found(found)
        await recording.load_carrier(self.external_id)
        install_id, is_used = found.itself.install.install_id, found.itself.is_used
        said = Linked(install_id, self.external_id, recording.app.policy.used_install, pristine=not is_used)
        looked_at = situation(recording, said, self._ticket())
        if self.proofs:
            is_replayed = await used_proofs.is_any_used(recording.tx, self.app_id, self.proofs)
            looked_at = looked_at._replace(is_replayed=is_replayed)
        return decide_link(looked_at), looked_at

    async def _app_of(self, tx: Transaction, found: OfInstall | None) -> AppId | None:
        """The app of the install, which may have been erased."""
        if found is not None or self.install_id is None:
            return None if found is None else found.app_id
        erased = await tombstones.find(tx, self.context.vault.tombstone(self.install_id), "install")
        return None if erased is None else erased[0]

    def _outside(self, app: App, app_id: AppId | None) -> Situation:
        """What rows 1 to 5 ask of an install that is not there, of another app, or erased."""
        return Situation(
            external_id_is_valid=self.external_id is not None,
            install_exists=app_id is not None,
            same_app=app_id == self.app_id,
            linking=app.policy.linking,
            state=State.DELETED,
            whose=Whose.NOBODY,
            person_exists=False,
            person_is_disabled=False,
            is_pristine=False,
            used_install=app.policy.used_install,
        )

    def _ticket(self) -> Ticket:
        install_id = self.install_id or InstallId(b"")
        return ticket_shown(self.context, self.app_id, install_id, self.body.link_ticket)

    async def _record(self, recording: Recording, install_id: InstallId, looked_at: Situation) -> None:
        assert self.external_id is not None
        await record_link(
            recording,
            install_id,
            self.external_id,
            is_pristine=looked_at.is_pristine,
            ticket=looked_at.ticket,
            attested=self.body.attestation,
        )
        if self.proofs:
            now_ms = self.context.clock.now_ms()
            await used_proofs.use(recording.tx, self.app_id, self.proofs, install_id, now_ms)
        await recording.save()

    def _reply(self, recording: Recording, install_id: InstallId) -> wire.Linked:
        install = recording.people.install(install_id)
        standing = recording.standing(install_id)
        assert install.link is not None
        user_id = recording.people.resolve(install.user).user_id.hex()
        return wire.Linked(
            id=user_id,
            person_id=user_id,
            link_id=install.link.hex(),
            state=STATES[standing].value,
            state_reason=REASONS[standing],
        )


def ticket_shown(context: Context, app_id: AppId, install_id: InstallId, text: str | None) -> Ticket:
    """What a link call carries: valid is what this platform signed for this very install, not long ago."""
    if text is None:
        return Ticket.ABSENT
    signed = context.vault.open(Kind.LINK_TICKET, text)
    is_valid = (
        signed is not None
        and signed.app_id == app_id
        and signed.install_id == install_id
        and signed.expires_at > context.clock.now_ms()
    )
    return Ticket.VALID if is_valid else Ticket.INVALID


def _proofs_of(attested: wire.Attested | None) -> tuple[bytes, ...]:
    """What may be used once. A challenge and a proof of the same digest would be the same bytes, which none are."""
    if attested is None or attested.challenge_digest is None or attested.proof_digest is None:
        return ()
    return tuple(sorted({bytes.fromhex(attested.challenge_digest), bytes.fromhex(attested.proof_digest)}))
