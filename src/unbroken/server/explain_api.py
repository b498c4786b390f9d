"""Reasons over HTTP: what became of items, why an install is in its state, what an event rests on (http-api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import explain
from unbroken.server import samples
from unbroken.server.callers import key_of
from unbroken.server.listing import LIST, page_of
from unbroken.server.route import Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _items(context: Context, call: Call) -> wire.ItemList:
    window = (call.query.get("from", explain.ALL_TIME[0]), call.query.get("to", explain.ALL_TIME[1]))
    return await explain.items(context, key_of(call), call.path["user_id"], window, *page_of(call))


async def _explain(context: Context, call: Call) -> wire.Explanation:
    return await explain.explain(context, key_of(call), call.path["install_id"], call.query.get("at"))


async def _explain_event(context: Context, call: Call) -> wire.EventExplanation:
    return await explain.explain_event(context, key_of(call), call.path["user_id"], call.path["event_id"])


ROUTES = (
    Route(
        method="GET",
        path="/v3/users/{user_id}/items",
        handler=_items,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="What became of every item that was captured in a window.",
        reply=wire.ItemList,
        query=(
            Query("from", "instant", required=False, summary="Captured at or after."),
            Query("to", "instant", required=False, summary="Captured before."),
            *LIST,
        ),
        errors=(errors.NotFound,),
        does="read items",
        example_reply={"items": []},
    ),
    Route(
        method="GET",
        path="/v3/installs/{install_id}/explain",
        handler=_explain,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="Why an install is, or was, active, standby, superseded or not linked.",
        reply=wire.Explanation,
        query=(Query("at", "instant", required=False, summary="The instant asked about; now if left out."),),
        errors=(errors.NotFound,),
        does="explain an install",
        example_reply={
            "install_id": samples.INSTALL_ID,
            "at": "2026-11-23T21:12:54.000+00:00",
            "state": "active",
            "linked": True,
            "rule": "activation: precedence(I) > precedence(A)",
            "inputs": {},
            "sentence": "This phone is the active one: of two phones the newer is active.",
        },
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/events/{event_id}/explain",
        handler=_explain_event,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="What an event rests on, and what stands where a removed one stood.",
        reply=wire.EventExplanation,
        errors=(errors.NotFound,),
        does="explain an event",
        example_reply={
            "event_id": samples.EVENT_ID,
            "revision": 3,
            "type": "Stationary",
            "sentence": "The person stayed at one place; it rests on 12 accepted items.",
            "items": [{"install_id": samples.INSTALL_ID, "outcome": "accepted", "count": 12}],
            "successor": None,
        },
    ),
)
