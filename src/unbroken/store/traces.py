"""Traces: what a link was decided on, kept when it was decided; not part of the ledger, as it follows from a rule."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unbroken import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.ids import AppId, FactId
    from unbroken.store.contract import Transaction

_KEEP: Final = "INSERT INTO traces (fact_id, body) VALUES ($1, $2)"
_TRACE: Final = "SELECT body FROM traces WHERE fact_id = $1"
_OF_NEWEST_LINKS: Final = (
    "SELECT t.body FROM facts f JOIN traces t ON t.fact_id = f.fact_id"
    " WHERE f.app_id = $1 AND f.kind = 'linked' ORDER BY f.position DESC LIMIT $2"
)

TICKET: Final = "ticket"
"""Among the inputs of a trace: whether the link call carried a link ticket. Where a code linked, there is none."""


class Tickets(NamedTuple):
    """Of the newest links of an app that a call made: how many there are, and how many carried a ticket."""

    links: int
    carried: int


async def keep_trace(tx: Transaction, fact_id: FactId, trace: Mapping[str, Any]) -> None:
    """Keep what a fact was decided on; it names nobody."""
    await tx.run(_KEEP, fact_id, wire.encode(trace).decode())


async def trace_of(tx: Transaction, fact_id: FactId | None) -> dict[str, Any] | None:
    """What a fact was decided on, kept when it was; None for none."""
    row = None if fact_id is None else await tx.one(_TRACE, fact_id)
    trace: dict[str, Any] | None = json.loads(row[0]) if row else None
    return trace


async def attestation_of(tx: Transaction, link_id: FactId | None) -> str | None:
    """The level of what the device proved when it was linked, where the link call told one."""
    attested = (await trace_of(tx, link_id) or {}).get("attestation")
    return str(attested.get("level")) if isinstance(attested, dict) else None


async def tickets_of_app(tx: Transaction, app_id: AppId, limit: int) -> Tickets:
    """Whether the customer's server hands tickets on, as its newest links tell; of older ones it was not kept."""
    told = [_ticket_in(row[0]) for row in await tx.all(_OF_NEWEST_LINKS, app_id, limit)]
    shown = [ticket for ticket in told if ticket is not None]
    return Tickets(len(shown), shown.count("valid"))


def _ticket_in(body: str) -> str | None:
    """A damaged trace tells nothing here; `verify` tells of it."""
    try:
        ticket = json.loads(body)["inputs"][TICKET]
    except (ValueError, LookupError, TypeError):
        return None
    return str(ticket)
