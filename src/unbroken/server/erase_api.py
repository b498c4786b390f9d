"""Erasing a part of a person over HTTP: one install, or a stretch of time. The whole: `backend_api.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import erase_part
from unbroken.flow.authenticate import KeyCaller
from unbroken.server.route import Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _erase_install(context: Context, call: Call) -> wire.Receipt:
    return await erase_part.erase_install(context, _key(call), call.path["install_id"], dry_run=call.query["dry_run"])


async def _erase_items(context: Context, call: Call) -> wire.Receipt:
    query = call.query
    return await erase_part.erase_items(
        context, _key(call), call.path["user_id"], query["from"], query["to"], dry_run=query["dry_run"]
    )


def _key(call: Call) -> KeyCaller:
    assert isinstance(call.caller, KeyCaller)
    return call.caller


_RECEIPT = {
    "receipt_id": "6924c1b00000000000000001",
    "application_id": "6924c19900000000000000aa",
    "user": "9c1185a5c5e9fc54612808977ee8f548b2258d31b7f5ba4c2b7b6f7d3d1f5a4e",
    "erased_at": "2026-11-23T20:12:54.000+00:00",
    "key_id": "d75a980182b10ab7",
    "signature": "MEUCIQ==",
}

ROUTES = (
    Route(
        method="DELETE",
        path="/v3/installs/{install_id}",
        handler=_erase_install,
        credential=Credential.API_KEY,
        scope=Scope.USER_DELETE,
        summary="Erase what one install captured and reported; the person stays. Repeated, it gives the same receipt.",
        reply=wire.Receipt,
        errors=(errors.NotFound, errors.HistoryExpired),
        has_dry_run=True,
        does="erase an install",
        example_reply={**_RECEIPT, "erased": "install", "deleted": {"payloads": 12}, "install": "0e" * 32},
    ),
    Route(
        method="DELETE",
        path="/v3/users/{user_id}/items",
        handler=_erase_items,
        credential=Credential.API_KEY,
        scope=Scope.USER_DELETE,
        summary="Erase every item of a person that was captured in a window.",
        reply=wire.Receipt,
        query=(
            Query("from", "instant", required=True, summary="Captured at or after."),
            Query("to", "instant", required=True, summary="Captured before."),
        ),
        errors=(errors.NotFound, errors.HistoryExpired),
        has_dry_run=True,
        does="erase items",
        example_reply={
            **_RECEIPT,
            "erased": "items",
            "deleted": {"items": 240},
            "from": "2026-11-23T00:00:00.000+00:00",
            "to": "2026-11-24T00:00:00.000+00:00",
        },
    ),
)
