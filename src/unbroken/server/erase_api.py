"""Erasing over HTTP: a person, or a part of one: an install, a stretch of time (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import erase, erase_part
from unbroken.server import samples
from unbroken.server.callers import READ_REFUSALS, key_of, reader_of
from unbroken.server.route import Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _erase_user(context: Context, call: Call) -> wire.Receipt:
    return await erase.erase(context, reader_of(call), call.path["user_id"], dry_run=call.query["dry_run"])


async def _erase_install(context: Context, call: Call) -> wire.Receipt:
    return await erase_part.erase_install(context, key_of(call), call.path["install_id"], dry_run=call.query["dry_run"])


async def _erase_items(context: Context, call: Call) -> wire.Receipt:
    query = call.query
    return await erase_part.erase_items(
        context, key_of(call), call.path["user_id"], query["from"], query["to"], dry_run=query["dry_run"]
    )


WHOLE = (
    Route(
        method="DELETE",
        path="/users/{user_id}",
        handler=_erase_user,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_DELETE,
        summary="Erase a person from every store. Repeated, it gives the same receipt.",
        reply=wire.Receipt,
        errors=READ_REFUSALS,
        has_dry_run=True,
        does="erase a user",
        example_reply={**samples.RECEIPT, "erased": "user", "deleted": {"payloads": 12}},
    ),
)

PARTS = (
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
        example_reply={**samples.RECEIPT, "erased": "install", "deleted": {"payloads": 12}, "install": "0e" * 32},
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
            **samples.RECEIPT,
            "erased": "items",
            "deleted": {"items": 240},
            "from": "2026-11-23T00:00:00.000+00:00",
            "to": "2026-11-24T00:00:00.000+00:00",
        },
    ),
)
