"""Linking over HTTP: whose an install is, said by the customer's server (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import codes, link
from unbroken.server import samples
from unbroken.server.callers import key_of, same_of
from unbroken.server.route import Call, Credential, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _link(context: Context, call: Call) -> wire.Linked:
    key, install_id = key_of(call), call.path["install_id"]
    dry_run = call.query["dry_run"]
    return await link.link(context, key, install_id, call.body, dry_run=dry_run, same=same_of(call))


async def _auth_code(context: Context, call: Call) -> wire.AuthCode:
    return await codes.mint(context, key_of(call), call.body.external_id, same_of(call))


_LINK_REFUSALS = (
    errors.InvalidExternalId,
    errors.InstallNotFound,
    errors.NotFound,
    errors.InstallDoesNotBelongToApp,
    errors.UserlinkingNotConfigured,
    errors.InstallDeleted,
    errors.InstallDisabled,
    errors.InstallLinkedToOtherUser,
    errors.InstallDeactivated,
    errors.InvalidLinkTicket,
    errors.AttestationReplayed,
    errors.LinkBurst,
    errors.UserDisabled,
    errors.CannotLinkExistingPersonToOtherPerson,
)

ROUTES = (
    Route(
        method="POST",
        path="/v2/users/{install_id}/link",
        handler=_link,
        credential=Credential.API_KEY,
        scope=Scope.USER_LINK,
        summary="Say whose an install is. The decision table of linking.md answers.",
        request=wire.Link,
        reply=wire.Linked,
        errors=_LINK_REFUSALS,
        keyed=True,
        has_dry_run=True,
        does="link",
        example_request={"external_id": "account-4711"},
        example_reply={
            "id": samples.USER_ID,
            "person_id": samples.USER_ID,
            "link_id": samples.LINK_ID,
            "state": "active",
            "state_reason": None,
        },
    ),
    Route(
        method="POST",
        path="/users/auth-code",
        handler=_auth_code,
        credential=Credential.API_KEY,
        scope=Scope.USER_LINK,
        summary="Mint a code with which one install may link to this account: once, within five minutes.",
        request=wire.MintCode,
        reply=wire.AuthCode,
        errors=(errors.InvalidExternalId, errors.UserlinkingNotConfigured, errors.UserDisabled),
        keyed=True,
        does="mint a code",
        example_request={"external_id": "account-4711"},
        example_reply={"authentication_code": "unb_code_...", "expires_at": "2026-11-23T20:17:54.000+00:00"},
    ),
)
