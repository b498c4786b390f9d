"""The Device API: the calls of the SDK (http-api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.domain import errors
from unbroken.flow import codes, profile, register, tokens
from unbroken.flow.authenticate import AppCaller, CredentialCaller
from unbroken.server import ingest, samples
from unbroken.server.callers import install_of, same_of
from unbroken.server.route import Call, Credential, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _register(context: Context, call: Call) -> wire.Registered:
    assert call.caller is None or isinstance(call.caller, AppCaller)
    return await register.register(context, call.caller, call.body, call.idempotency_key)


async def _own_state(context: Context, call: Call) -> wire.OwnState:
    return await tokens.own_state(context, install_of(call))


async def _link(context: Context, call: Call) -> wire.OwnState:
    return await codes.redeem(context, install_of(call), call.body.authentication_code, same_of(call))


async def _renew(context: Context, call: Call) -> wire.Tokens:
    assert isinstance(call.caller, CredentialCaller)
    return await tokens.renew(context, call.caller, call.idempotency_key)


async def _metadata(context: Context, call: Call) -> dict[str, str]:
    return await profile.merge_metadata(context, install_of(call), call.body)


async def _reset(context: Context, call: Call) -> None:
    assert isinstance(call.caller, CredentialCaller)
    await tokens.reset(context, call.caller)


_LINK_ROWS = (
    errors.UserlinkingNotConfigured,
    errors.InstallDisabled,
    errors.InstallLinkedToOtherUser,
    errors.InstallDeactivated,
    errors.UserDisabled,
    errors.LinkBurst,
    errors.CannotLinkExistingPersonToOtherPerson,
)
_CODE = (errors.AuthCodeUnknown, errors.AuthCodeUsed, errors.AuthCodeExpired)

_DEVICE: dict[str, Any] = {
    "platform": "android",
    "screen_inches": 6.1,
    "model": "Pixel 9",
    "os_version": "16",
    "time_zone": "Europe/Brussels",
}
_OWN_STATE: dict[str, Any] = {
    "install_id": samples.INSTALL_ID,
    "user_id": samples.USER_ID,
    "state": "active",
    "state_reason": None,
    "linked": False,
    "config": {"linking": "on"},
}
_TOKEN = {"token": "unb_user_...", "expires_at": "2026-11-28T09:12:54.000+00:00"}

ROUTES = (
    Route(
        method="POST",
        path="/sdk/installs",
        handler=_register,
        credential=Credential.APP_SECRET_OR_CODE,
        scope=None,
        summary="Register an install, and its own user with it; with an authentication code also link it.",
        request=wire.Register,
        reply=wire.Registered,
        status=201,
        errors=(*_CODE, errors.UserlinkingNotConfigured, errors.UserDisabled, errors.LinkBurst),
        keyed=True,
        does="register an install",
        example_request={"device": _DEVICE, "sdk": {"name": "unbroken-python", "version": "0.1.0"}},
        example_reply={**_OWN_STATE, "install_credential": "unb_inst_...", "user_token": _TOKEN},
    ),
    Route(
        method="GET",
        path="/sdk/install",
        handler=_own_state,
        credential=Credential.USER_TOKEN,
        scope=None,
        summary="How the platform sees this install; the SDK asks this after its linker and believes only this.",
        reply=wire.OwnState,
        errors=(errors.InstallGone,),
        does="ask for its own state",
        example_reply=_OWN_STATE,
    ),
    Route(
        method="POST",
        path="/sdk/link",
        handler=_link,
        credential=Credential.USER_TOKEN,
        scope=None,
        summary="Link an install that registered without a code, by a code.",
        request=wire.RedeemCode,
        reply=wire.OwnState,
        errors=(*_CODE, errors.InstallGone, *_LINK_ROWS),
        keyed=True,
        does="redeem a code",
        example_request={"authentication_code": "unb_code_..."},
        example_reply={**_OWN_STATE, "linked": True},
    ),
    Route(
        method="POST",
        path="/sdk/tokens",
        handler=_renew,
        credential=Credential.INSTALL_CREDENTIAL,
        scope=None,
        summary="Exchange the install credential for the next one and a new user token.",
        reply=wire.Tokens,
        errors=(errors.InstallKeyUnproven, errors.InstallCloned, errors.InstallGone),
        keyed=True,
        does="get tokens",
        example_reply={"install_credential": "unb_inst_...", "user_token": _TOKEN},
    ),
    ingest.ROUTE,
    Route(
        method="PUT",
        path="/sdk/metadata",
        handler=_metadata,
        credential=Credential.USER_TOKEN,
        scope=None,
        summary="Merge key-value pairs into the user's metadata; answers all of them.",
        request=wire.Metadata,
        reply=dict[str, str],
        errors=(errors.InstallGone, errors.InstallDeactivated, errors.InstallDisabled),
        does="write metadata",
        example_request={"plan": "gold"},
        example_reply={"plan": "gold"},
    ),
    Route(
        method="DELETE",
        path="/sdk/install",
        handler=_reset,
        credential=Credential.INSTALL_CREDENTIAL,
        scope=None,
        summary="Reset: the install is gone for ever.",
        reply=None,
        status=204,
        errors=(errors.InstallKeyUnproven, errors.InstallCloned),
        does="reset an install",
    ),
)
