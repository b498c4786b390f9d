"""Explain: why an install stands, or stood, as it does; what became of each item of a person."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec

from unbroken import wire
from unbroken.domain import explain as rules
from unbroken.domain.errors import InvalidRequest
from unbroken.flow.items import LATEST_MS, Judged, judge_uploads
from unbroken.flow.pages import read_cursor, write_cursor
from unbroken.flow.whose import install_of_app, person
from unbroken.store import access, identity, payloads

if TYPE_CHECKING:
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


async def explain(context: Context, caller: KeyCaller, install_id: str, at: int | None) -> wire.Explanation:
    """GET /v3/installs/{install_id}/explain; `at` is now if None.

    Raises:
        NotFound.
        InvalidRequest: the install was not registered at that instant.
    """

    async def load(tx: Transaction) -> wire.Explanation:
        install = await install_of_app(tx, caller, install_id)
        spans = await identity.read_spans(tx, install.install_id)
        place = len(spans) if at is None else bisect_right(spans, at, key=lambda span: span.from_ms)
        if place == 0:
            message = f"The install was registered at {wire.iso(install.registered_at)}, after that instant."
            raise InvalidRequest(message, details=(("at", message),))
        span = spans[place - 1]
        at_ms = max(context.clock.now_ms(), span.from_ms, install.named_at) if at is None else at
        rival = await identity.read_install(tx, caller.app.app_id, span.rival) if span.rival is not None else None
        user = await identity.resolve_user(tx, caller.app.app_id, install.user)
        is_disabled = user is not None and user.is_disabled
        told = rules.explain(install, span, rival, at_ms, user_is_disabled=is_disabled)
        return wire.Explanation(
            install_id=install.install_id.hex(),
            at=wire.iso(at_ms),
            state=told.state.value,
            linked=told.linked,
            rule=told.rule,
            inputs=told.inputs,
            sentence=told.sentence,
        )

    return await context.store.read(load)


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
        of = await person(tx, caller, user_id)
        app = await access.app_by_id(tx, of.app_id)
        assert app is not None
        uploads = await payloads.of_user(tx, of.user_id, from_ms)
        spans = await identity.read_spans_of_user(tx, of.user_id)
        return judge_uploads(uploads, spans, app.policy.late_window_days)

    judged = await context.store.read_long(load)
    inside = sorted((one for one in judged if from_ms <= one.captured_at < to_ms), key=_place)
    later = [one for one in inside if after is None or _place(one) > after]
    page = later[:limit]
    return wire.ItemList([_view(one) for one in page], write_cursor(*_place(page[-1])) if len(later) > limit else None)


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


ALL_TIME = (0, LATEST_MS + 1)
"""The window of a call that names none."""
