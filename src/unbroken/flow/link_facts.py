"""What both ways of linking share, the customer's server's and that of a code: decided by one table, kept as one fact.

What the table is asked, the refusal of its row, and the fact with the trace of what it was decided on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken.domain.app import UsedInstall
from unbroken.domain.ids import FactId
from unbroken.domain.ledger.facts import Linked
from unbroken.domain.ledger.fold import situation_of
from unbroken.domain.link import decide_link
from unbroken.store import retention, traces

if TYPE_CHECKING:
    from unbroken import wire
    from unbroken.domain.errors import Refusal
    from unbroken.domain.ids import ExternalId, InstallId
    from unbroken.domain.link import Row, Situation, Ticket
    from unbroken.flow.recording import Recording


def situation(recording: Recording, said: Linked, ticket: Ticket) -> Situation:
    """What the decision table asks, from the ledger, the policy and the call."""
    policy = recording.app.policy
    return situation_of(recording.people, said)._replace(
        linking=policy.linking,
        ticket=ticket,
        link_ticket=policy.link_ticket,
        links_within_a_day=recording.links_within_a_day.get(said.external_id, 0),
        link_burst=policy.link_burst,
    )


def refuse(row: Row) -> None:
    """Raise the refusal of a row, if it is one."""
    if isinstance(row.answer, type):
        refusal: Refusal = row.answer(hint=_HINTS.get(row.number))
        raise refusal


_HINTS = {
    "3": "The install was registered with another app id: compare the environments of app and server.",
    "4": "Switch linking on with `unbroken app policy APP_ID linking=on`.",
    "7": "Reset the SDK on the device: it registers anew and can be linked to this person.",
    "8": "A newer install of this person is the active one. Nothing needs to be done.",
    "13": "Reset the SDK on the device before the login, so that a new install is linked.",
    "attestation": "Ask for a new challenge, and let the device answer that one.",
    "burst": "Wait, or raise the policy `link_burst` of the app.",
}


async def record_link(
    recording: Recording,
    install_id: InstallId,
    external_id: ExternalId,
    *,
    is_pristine: bool,
    ticket: Ticket | None = None,
    attested: wire.Attested | None = None,
) -> None:
    """Record the fact that an install belongs to a person, and what it was decided on; a code knows no ticket."""
    people, floor = recording.people, None
    if recording.app.policy.used_install is UsedInstall.CLAIM and external_id in people.carriers:
        person = people.resolve(people.carriers[external_id]).user_id
        await recording.load_spans_of(people.install(install_id).user)
        await recording.load_spans_of(person)
        floor = await retention.floor(recording.tx, person)
    install = people.install(install_id)
    users = [people.users[install.own_user], people.resolve(install.user)]
    if external_id in people.carriers:
        users.append(people.resolve(people.carriers[external_id]))
    floor_ms = None if floor is None else floor.at_ms
    said = Linked(install_id, external_id, recording.app.policy.used_install, is_pristine, floor_ms)
    named = [install.named_at, *(user.named_at for user in users)]
    touched = [*(user.touched_at for user in users), *await recording.touched_before(external_id)]
    looked_at, link_id = situation_of(people, said), FactId(recording.new_id("link"))
    await recording.record(said, link_id, named=named, touched=touched)
    await traces.keep_trace(recording.tx, link_id, _trace(looked_at, ticket, attested))


def _trace(looked_at: Situation, ticket: Ticket | None, attested: wire.Attested | None) -> dict[str, Any]:
    """The row of the decision table and what it looked at, in the table's words; and what the device proved."""
    shown = {} if ticket is None else {traces.TICKET: ticket.value}
    inputs = {
        "state": looked_at.state.value,
        "whose": looked_at.whose.value,
        "person_exists": looked_at.person_exists,
        "is_pristine": looked_at.is_pristine,
        "used_install": looked_at.used_install.value,
        **shown,
    }
    proved = {} if attested is None else {"attestation": _told(attested)}
    return {"row": decide_link(looked_at, start="5").number, "inputs": inputs, **proved}


def _told(attested: wire.Attested) -> dict[str, str]:
    told = {"level": attested.level, "kind": attested.kind, "reason": attested.reason}
    return {name: value for name, value in told.items() if value is not None}
