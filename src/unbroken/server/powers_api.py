"""The powers of the ledger over HTTP: undo, activate, rename, disable and enable (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import operate, rename, undo
from unbroken.flow.operate import Order
from unbroken.server import samples
from unbroken.server.callers import key_of, same_of
from unbroken.server.route import Call, Credential, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _undo(context: Context, call: Call) -> wire.Undone:
    return await undo.undo(context, key_of(call), call.path["link_id"], _order(call))


async def _activate(context: Context, call: Call) -> wire.Changed:
    return await operate.activate(context, key_of(call), call.path["install_id"], _order(call))


async def _rename(context: Context, call: Call) -> wire.Renamed:
    return await rename.rename(context, key_of(call), call.path["user_id"], call.body, _order(call))


async def _user_state(context: Context, call: Call) -> wire.Changed:
    return await operate.set_user_state(context, key_of(call), call.path["user_id"], call.body.state, _order(call))


async def _install_state(context: Context, call: Call) -> wire.Changed:
    key, install_id = key_of(call), call.path["install_id"]
    return await operate.set_install_state(context, key, install_id, call.body.state, _order(call))


def _order(call: Call) -> Order:
    reason = call.body.reason if call.body is not None else None
    return Order(reason, call.query["dry_run"], same_of(call))


_SUMMARY: dict[str, Any] = {"installs": [], "activations": [], "days": []}
_CHANGED: dict[str, Any] = {
    "user_id": samples.USER_ID,
    "install_id": samples.INSTALL_ID,
    "state": "active",
    "state_reason": None,
    "summary": _SUMMARY,
}

ROUTES = (
    Route(
        method="POST",
        path="/v3/links/{link_id}/undo",
        handler=_undo,
        credential=Credential.API_KEY,
        scope=Scope.USER_MANAGE,
        summary="Take a link back exactly, as if it had never been made; the id of an undo restores its link.",
        request=wire.Why,
        has_optional_body=True,
        reply=wire.Undone,
        errors=(errors.NotFound, errors.LaterFactsDepend, errors.HistoryExpired, errors.UserDisabled),
        keyed=True,
        has_dry_run=True,
        does="undo a link",
        example_request={"reason": "wrong account"},
        example_reply={
            "undo_id": "6924c1b000000000000001ff",
            "link_id": samples.LINK_ID,
            "user_id": samples.USER_ID,
            "own_user_id": "6924c1a69afbf4c8996fb925",
            "summary": _SUMMARY,
        },
    ),
    Route(
        method="POST",
        path="/v3/installs/{install_id}/activate",
        handler=_activate,
        credential=Credential.API_KEY,
        scope=Scope.USER_MANAGE,
        summary="Make an install the active one of its user, on purpose.",
        request=wire.Why,
        has_optional_body=True,
        reply=wire.Changed,
        errors=(errors.NotFound, errors.Conflict, errors.InstallDeleted),
        keyed=True,
        has_dry_run=True,
        does="activate an install",
        example_request={"reason": "the person asked for it"},
        example_reply=_CHANGED,
    ),
    Route(
        method="PUT",
        path="/v3/users/{user_id}/external_id",
        handler=_rename,
        credential=Credential.API_KEY,
        scope=Scope.USER_MANAGE,
        summary="Give a user another external id; the older ones stay aliases, unless they are released.",
        request=wire.Rename,
        reply=wire.Renamed,
        errors=(errors.InvalidExternalId, errors.NotFound, errors.Conflict, errors.UserDisabled),
        has_dry_run=True,
        does="rename a user",
        example_request={"external_id": "anna@example.org"},
        example_reply={
            "id": samples.USER_ID,
            "external_id": "anna@example.org",
            "external_ids": ["anna@example.org", "anna@example.com"],
        },
    ),
    Route(
        method="PUT",
        path="/v3/users/{user_id}/state",
        handler=_user_state,
        credential=Credential.API_KEY,
        scope=Scope.USER_MANAGE,
        summary="Disable a user, so that no install of it is active, or enable it again.",
        request=wire.SetState,
        reply=wire.Changed,
        errors=(errors.NotFound,),
        has_dry_run=True,
        does="disable a user",
        example_request={"state": "disabled"},
        example_reply={**_CHANGED, "install_id": None, "state": "disabled"},
    ),
    Route(
        method="PUT",
        path="/v3/installs/{install_id}/state",
        handler=_install_state,
        credential=Credential.API_KEY,
        scope=Scope.USER_MANAGE,
        summary="Disable an install, or enable it again.",
        request=wire.SetState,
        reply=wire.Changed,
        errors=(errors.NotFound, errors.InstallDeleted),
        has_dry_run=True,
        does="disable an install",
        example_request={"state": "disabled"},
        example_reply={**_CHANGED, "state": "disabled"},
    ),
)
