"""Explain: why an install stands, or stood, as it does; what became of each item of a person."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from unbroken import wire
from unbroken.domain import explain as rules
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.install import why_form
from unbroken.domain.ledger.counterfactual import counterfactuals
from unbroken.domain.ledger.deciding import decision
from unbroken.domain.ledger.facts import PolicyChanged
from unbroken.domain.payload import Outcome
from unbroken.flow import encoding
from unbroken.flow.items import Judged, judged_between
from unbroken.flow.pages import read_cursor, write_cursor
from unbroken.flow.person_facts import facts_of_person
from unbroken.flow.refusals import refused_links
from unbroken.flow.whose import install_of_app, person
from unbroken.store import identity, timelines, tombstones, traces

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.deciding import Decision
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.encoding import Encoded
    from unbroken.store.contract import Transaction
    from unbroken.store.timelines import EventRow


async def explain(context: Context, caller: KeyCaller, install_id: str, at: int | None) -> wire.Explanation:
    """GET /v3/installs/{install_id}/explain; `at` is now if None.

    Raises:
        NotFound.
        InvalidRequest: the install was not registered at that instant.
    """

    async def load(tx: Transaction) -> wire.Explanation:
        install = await install_of_app(tx, caller, install_id)
        if at is not None and at < install.registered_at:
            message = f"The install was registered at {wire.iso(install.registered_at)}, after that instant."
            raise InvalidRequest.at("at", message)
        is_erased = await tombstones.find(tx, context.vault.tombstone(install.install_id), "install") is not None
        at_ms = await _latest(context, tx, install) if at is None else at
        return await _explain(tx, caller.app.app_id, install, at_ms, is_erased=is_erased)

    return await context.store.read_long(load)


async def _latest(context: Context, tx: Transaction, install: Install) -> int:
    """Now, but before nothing that is known of the install: the clock may have run back."""
    spans = await identity.read_spans(tx, install.install_id)
    return max(context.clock.now_ms(), spans[-1].from_ms, install.named_at)


async def _explain(
    tx: Transaction, app_id: AppId, install: Install, at_ms: int, *, is_erased: bool
) -> wire.Explanation:
    decided = decision(await facts_of_person(tx, app_id, install.install_id), install.install_id, at_ms)
    told = rules.explain(decided, is_erased=is_erased)
    versions = [fact.position for fact in decided.facts if isinstance(fact.said, PolicyChanged)]
    return wire.Explanation(
        install_id=install.install_id.hex(),
        at=wire.iso(at_ms),
        state=told.state.value,
        linked=told.linked,
        rule=told.rule,
        inputs=told.inputs | ({} if is_erased else await _form_because(tx, decided)),
        sentence=told.sentence,
        policy_version=max(versions, default=0),
        link=await traces.trace_of(tx, install.link) if told.linked else None,
        counterfactuals=[
            wire.Counterfactual(one.change, one.then.value, one.sentence) for one in counterfactuals(decided)
        ],
        refused_links=await refused_links(tx, install.install_id, at_ms),
    )


async def _form_because(tx: Transaction, decided: Decision) -> dict[str, str]:
    """Where a phone and a tablet were compared, why the install is which of them."""
    install, rival = decided.install, decided.rival
    if rival is None or rival.form is install.form:
        return {}
    reported = await identity.device_of(tx, install.install_id)
    assert reported is not None
    device = wire.convert(wire.decode(reported, dict[str, Any])["device"], wire.Device)
    return {"form_because": why_form(device.platform, device.screen_inches, device.idiom, device.model)}


async def explain_event(context: Context, caller: KeyCaller, user_id: str, event_id: str) -> wire.EventExplanation:
    """GET /v3/users/{user_id}/events/{event_id}/explain: what an event rests on.

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> wire.EventExplanation:
        of = await person(tx, caller, user_id)
        row = await timelines.event(tx, of.user_id, event_id)
        if row is None:
            raise NotFound("There is no such event.")
        judged = await judged_between(tx, of, row.start_ms, wire.LATEST_MS if row.end_ms is None else row.end_ms)
        inside = [one for one in judged if _is_inside(one, row)]
        return _event_explanation(row, inside)

    return await context.store.read_long(load)


def _is_inside(judged: Judged, row: EventRow) -> bool:
    return row.start_ms <= judged.captured_at and (row.end_ms is None or judged.captured_at < row.end_ms)


def _event_explanation(row: EventRow, inside: list[Judged]) -> wire.EventExplanation:
    counts = Counter((one.install_id.hex(), one.outcome.value) for one in inside)
    items = [wire.ItemCount(install, outcome, count) for (install, outcome), count in sorted(counts.items())]
    if row.is_removed:
        sentence = "Later data took the place of this event."
        return wire.EventExplanation(row.event_id, row.revision, None, sentence, items, row.successor)
    event = encoding.unpack(row.body)
    accepted = sum(one.count for one in items if one.outcome == Outcome.ACCEPTED)
    return wire.EventExplanation(row.event_id, row.revision, event.type, _told(event, accepted), items, None)


def _told(event: Encoded, accepted: int) -> str:
    """What the event says and what it rests on."""
    rests = f"it rests on {accepted} accepted items" if accepted else "it rests on silence between items"
    openness = "" if event.is_closed else " It is still open: later items may change it."
    match event.type:
        case "Stationary":
            return f"The person stayed at one place; {rests}.{openness}"
        case "Transport":
            return f"The person moved ({event.mode}); {rests}.{openness}"
        case "OffTheGrid":
            return f"Nothing is known of this time and nothing is claimed; {rests}.{openness}"
        case _:
            return f"What came does not say what happened; {rests}.{openness}"


async def items(
    context: Context, caller: KeyCaller, user_id: str, window: tuple[int, int], limit: int, cursor: str | None
) -> wire.ItemList:
    """GET /v3/users/{user_id}/items: what became of everything captured in `[from, to)`, in order of capture.

    Raises:
        NotFound, InvalidRequest.
    """
    after = read_cursor(cursor, int, str, str)
    from_ms, to_ms = window

    async def load(tx: Transaction) -> list[Judged]:
        return await judged_between(tx, await person(tx, caller, user_id), from_ms, to_ms)

    judged = await context.store.read_long(load)
    inside = sorted((one for one in judged if from_ms <= one.captured_at < to_ms), key=_place)
    later = [one for one in inside if after is None or _place(one) > after]
    page = later[:limit]
    return wire.ItemList([_view(one) for one in page], write_cursor(*_place(page[-1])) if len(later) > limit else None)


async def outcomes(context: Context, caller: KeyCaller, install_id: str, from_ms: int) -> Counter[str]:
    """How many items of an install that were captured since `from_ms` had each outcome; items of the future too.

    Raises:
        NotFound.
    """

    async def load(tx: Transaction) -> Counter[str]:
        install = await install_of_app(tx, caller, install_id)
        judged = await judged_between(tx, await person(tx, caller, install.user.hex()), from_ms, wire.LATEST_MS)
        mine = [one for one in judged if one.install_id == install.install_id and one.captured_at >= from_ms]
        return Counter(one.outcome.value for one in mine)

    return await context.store.read_long(load)


def _place(judged: Judged) -> tuple[int, str, str]:
    """An order that depends on the items alone."""
    return (judged.captured_at, judged.install_id.hex(), hashlib.sha256(judged.identity).hexdigest()[:16])


def _view(judged: Judged) -> wire.ItemView:
    return wire.ItemView(
        install_id=judged.install_id.hex(),
        payload_id=judged.payload_id,
        captured_at=wire.iso(judged.captured_at),
        received_at=wire.iso(judged.received_at),
        outcome=judged.outcome.value,
        item=msgspec.Raw(judged.raw),
    )


ALL_TIME = (0, wire.LATEST_MS + 1)
"""The window of a call that names none."""
