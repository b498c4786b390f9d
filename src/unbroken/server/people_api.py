"""People over HTTP: profiles, installs, and the facts about a person (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import profile
from unbroken.server import samples
from unbroken.server.callers import READ_REFUSALS, key_of, reader_of
from unbroken.server.listing import AS_OF, LIST, page_of
from unbroken.server.route import Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


async def _me(context: Context, call: Call) -> wire.Profile:
    return await profile.profile(context, reader_of(call), None)


async def _user(context: Context, call: Call) -> wire.Profile:
    return await profile.profile(context, reader_of(call), call.path["user_id"])


async def _user_by_external_id(context: Context, call: Call) -> wire.Profile:
    return await profile.profile_by_external_id(context, key_of(call), call.query["external_id"])


async def _installs(context: Context, call: Call) -> wire.InstallList:
    return await profile.installs(context, key_of(call), call.path["user_id"], *page_of(call), call.query.get("as_of"))


async def _ledger(context: Context, call: Call) -> wire.FactList:
    return await profile.facts(context, key_of(call), call.path["user_id"], *page_of(call), call.query.get("as_of"))


_PROFILE = {
    "type": "User",
    "id": samples.USER_ID,
    "created_at": "2026-11-23T20:12:54.000+00:00",
    "application_id": samples.APP_ID,
    "install_id": samples.INSTALL_ID,
    "external_id": "account-4711",
    "metadata": {},
}

PROFILES = (
    Route(
        method="GET",
        path="/v2/users/me",
        handler=_me,
        credential=Credential.USER_TOKEN,
        scope=None,
        summary="The profile of the token's own user.",
        reply=wire.Profile,
        errors=READ_REFUSALS[1:],
        does="ask who it is",
        example_reply=_PROFILE,
    ),
    Route(
        method="GET",
        path="/v2/users/{user_id}",
        handler=_user,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="A profile; an id that redirects answers with the current user.",
        reply=wire.Profile,
        errors=READ_REFUSALS,
        does="read a user",
        example_reply=_PROFILE,
    ),
)

LOOK_UPS = (
    Route(
        method="GET",
        path="/v3/users",
        handler=_user_by_external_id,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="The profile of whoever carries an external id.",
        reply=wire.Profile,
        query=(Query("external_id", "text", required=True, summary="The customer's own identifier."),),
        errors=(errors.NotFound,),
        does="look a user up",
        example_reply=_PROFILE,
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/installs",
        handler=_installs,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="Every install of a user, with its activations.",
        reply=wire.InstallList,
        query=(AS_OF, *LIST),
        errors=(errors.NotFound,),
        does="list installs",
        example_reply={"installs": []},
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/ledger",
        handler=_ledger,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="The facts about a user, oldest first, with who said them and why.",
        reply=wire.FactList,
        query=(AS_OF, *LIST),
        errors=(errors.NotFound,),
        does="read the ledger",
        example_reply={"facts": []},
    ),
)
