"""The Backend API: the calls of the customer's server, and of a user's own token (http-api.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow import codes, erase, events, explain, link, profile
from unbroken.flow.authenticate import InstallCaller, KeyCaller
from unbroken.flow.repeat import Repeatable
from unbroken.server.route import Answer, Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.whose import Reader


async def _link(context: Context, call: Call) -> wire.Linked:
    key, install_id = _key(call), call.path["install_id"]
    dry_run = call.query["dry_run"]
    return await link.link(context, key, install_id, call.body, dry_run=dry_run, same=_same(call))


async def _auth_code(context: Context, call: Call) -> wire.AuthCode:
    return await codes.mint(context, _key(call), call.body.external_id, _same(call))


async def _delete(context: Context, call: Call) -> wire.Receipt:
    return await erase.erase(context, _reader(call), call.path["user_id"], dry_run=call.query["dry_run"])


async def _me(context: Context, call: Call) -> wire.Profile:
    return await profile.profile(context, _reader(call), None)


async def _user(context: Context, call: Call) -> wire.Profile:
    return await profile.profile(context, _reader(call), call.path["user_id"])


async def _user_by_external_id(context: Context, call: Call) -> wire.Profile:
    return await profile.profile_by_external_id(context, _key(call), call.query["external_id"])


async def _events(context: Context, call: Call) -> Answer:
    query = call.query
    wanted = events.Wanted(
        first_day=query.get("from"),
        last_day=query.get("to"),
        all_types=query.get("types") == "all",
        limit=query.get("limit"),
        cursor=query.get("cursor"),
        as_of=query.get("as_of"),
    )
    page = await events.events(context, _reader(call), call.path["user_id"], wanted)
    return Answer(page.body, headers={"x-next-cursor": page.next_cursor} if page.next_cursor is not None else {})


async def _event(context: Context, call: Call) -> Answer:
    return Answer(await events.event(context, _reader(call), call.path["user_id"], call.path["event_id"]))


async def _trajectory(context: Context, call: Call) -> Answer:
    return Answer(await events.trajectory(context, _reader(call), call.path["user_id"], call.path["event_id"]))


async def _location(context: Context, call: Call) -> Answer:
    return Answer(await events.last_location(context, _reader(call), call.path["user_id"]))


async def _installs(context: Context, call: Call) -> wire.InstallList:
    return await profile.installs(context, _key(call), call.path["user_id"], *_page(call), call.query.get("as_of"))


async def _ledger(context: Context, call: Call) -> wire.FactList:
    return await profile.facts(context, _key(call), call.path["user_id"], *_page(call), call.query.get("as_of"))


async def _explain(context: Context, call: Call) -> wire.Explanation:
    return await explain.explain(context, _key(call), call.path["install_id"], call.query.get("at"))


async def _explain_event(context: Context, call: Call) -> wire.EventExplanation:
    return await explain.explain_event(context, _key(call), call.path["user_id"], call.path["event_id"])


async def _items(context: Context, call: Call) -> wire.ItemList:
    window = (call.query.get("from", explain.ALL_TIME[0]), call.query.get("to", explain.ALL_TIME[1]))
    return await explain.items(context, _key(call), call.path["user_id"], window, *_page(call))


def _key(call: Call) -> KeyCaller:
    assert isinstance(call.caller, KeyCaller)
    return call.caller


def _same(call: Call) -> Repeatable | None:
    if call.idempotency_key is None:
        return None
    return Repeatable(_key(call).key_id, call.idempotency_key, call.body_hash)


def _reader(call: Call) -> Reader:
    assert isinstance(call.caller, KeyCaller | InstallCaller)
    return call.caller


def _page(call: Call) -> tuple[int, str | None]:
    return call.query.get("limit", wire.PAGE_DEFAULT), call.query.get("cursor")


_LINK_REFUSALS = (
    errors.InvalidExternalId,
    errors.InstallNotFound,
    errors.InstallDoesNotBelongToApp,
    errors.UserlinkingNotConfigured,
    errors.InstallDeleted,
    errors.InstallDisabled,
    errors.InstallLinkedToOtherUser,
    errors.InstallDeactivated,
    errors.InvalidLinkTicket,
    errors.LinkBurst,
    errors.UserDisabled,
    errors.CannotLinkExistingPersonToOtherPerson,
)
_READ_REFUSALS = (errors.NotFound, errors.InstallGone, errors.InstallDeactivated, errors.InstallDisabled)
_LIST = (
    Query("limit", "integer", required=False, summary="At most this many.", maximum=wire.PAGE_MAX),
    Query("cursor", "text", required=False, summary="Where the page before ended: its `next_cursor`."),
)
_AS_OF = Query("as_of", "instant", required=False, summary="What was believed at this instant; now if left out.")
_USER_ID = "6924c1a69afbf4c8996fb924"
_INSTALL_ID = "6924c1a6e3b0c44298fc1c14"
_EVENT: dict[str, Any] = {
    "type": "Stationary",
    "event_id": "mzxw6ytboi4dsnzygq3tqojqgi",
    "start": "2026-11-23T21:12:54.000+01:00",
    "end": None,
    "analysis_type": "preliminary",
    "latitude": 51.05,
    "longitude": 3.72,
    "location": {"type": "StationaryLocation", "place_id": "p1", "significance": "home"},
    "install_id": _INSTALL_ID,
    "activation_id": "0f6924c1a69afbf4c8996fb9",
}
_PROFILE = {
    "type": "User",
    "id": _USER_ID,
    "created_at": "2026-11-23T20:12:54.000+00:00",
    "application_id": "6924c19900000000000000aa",
    "install_id": _INSTALL_ID,
    "external_id": "account-4711",
    "metadata": {},
}
_WAYPOINT = {
    "type": "Waypoint",
    "latitude": 51.05,
    "longitude": 3.72,
    "timestamp": "2026-11-23T21:12:54.000+01:00",
    "accuracy": 12,
}

LINKING = (
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
            "id": _USER_ID,
            "person_id": _USER_ID,
            "link_id": "6924c1b000000000000000ff",
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
    Route(
        method="DELETE",
        path="/users/{user_id}",
        handler=_delete,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_DELETE,
        summary="Erase a person from every store. Repeated, it gives the same receipt.",
        reply=wire.Receipt,
        errors=_READ_REFUSALS,
        has_dry_run=True,
        does="erase a user",
        example_reply={
            "receipt_id": "6924c1b00000000000000001",
            "application_id": "6924c19900000000000000aa",
            "erased": "user",
            "user": "9c1185a5c5e9fc54612808977ee8f548b2258d31b7f5ba4c2b7b6f7d3d1f5a4e",
            "erased_at": "2026-11-23T20:12:54.000+00:00",
            "deleted": {"payloads": 12},
            "key_id": "d75a980182b10ab7",
            "signature": "MEUCIQ==",
        },
    ),
)

READS = (
    Route(
        method="GET",
        path="/v2/users/me",
        handler=_me,
        credential=Credential.USER_TOKEN,
        scope=None,
        summary="The profile of the token's own user.",
        reply=wire.Profile,
        errors=_READ_REFUSALS[1:],
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
        errors=_READ_REFUSALS,
        does="read a user",
        example_reply=_PROFILE,
    ),
    Route(
        method="GET",
        path="/v2/users/{user_id}/events",
        handler=_events,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The events that touch some days, newest first, in the time zone of the active install.",
        reply=list[dict[str, Any]],
        query=(
            Query("from", "day", required=False, summary="First day; the beginning if left out."),
            Query("to", "day", required=False, summary="Last day, inclusive; the end if left out."),
            Query("types", "text", required=False, summary="`all` tells OffTheGrid and Unknown too.", choices=("all",)),
            _AS_OF,
            *_LIST,
        ),
        errors=_READ_REFUSALS,
        does="read a timeline",
        reply_headers={"x-next-cursor": "Where the next page begins, if `limit` left some out."},
        example_reply=[_EVENT],
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/events/{event_id}",
        handler=_event,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="One event, as a list of one.",
        reply=list[dict[str, Any]],
        errors=_READ_REFUSALS,
        does="read an event",
        example_reply=[_EVENT],
    ),
    Route(
        method="GET",
        path="/v3/users/{user_id}/events/{event_id}/trajectory",
        handler=_trajectory,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The waypoints of an event, and the same as an encoded polyline.",
        reply=dict[str, Any],
        errors=_READ_REFUSALS,
        does="read a trajectory",
        example_reply={"type": "Trajectory", "waypoints": [_WAYPOINT], "encoded": "_p~iF~ps|U"},
    ),
    Route(
        method="GET",
        path="/v2/users/{user_id}/location",
        handler=_location,
        credential=Credential.KEY_OR_OWN_TOKEN,
        scope=Scope.USER_READ,
        summary="The last known waypoint.",
        reply=dict[str, Any],
        errors=_READ_REFUSALS,
        does="read a location",
        example_reply=_WAYPOINT,
    ),
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
        query=(_AS_OF, *_LIST),
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
        query=(_AS_OF, *_LIST),
        errors=(errors.NotFound,),
        does="read the ledger",
        example_reply={"facts": []},
    ),
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
            *_LIST,
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
            "install_id": _INSTALL_ID,
            "at": "2026-11-23T21:12:54.000+00:00",
            "state": "active",
            "linked": True,
            "rule": "activation: precedence(I) > precedence(A)",
            "inputs": {},
            "sentence": "This phone is the active one: of two phones the newer is active.",
        },
    ),
)

EXPLAIN = (
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
            "event_id": "mzxw6ytboi4dsnzygq3tqojqgi",
            "revision": 3,
            "type": "Stationary",
            "sentence": "The person stayed at one place; it rests on 12 accepted items.",
            "items": [{"install_id": _INSTALL_ID, "outcome": "accepted", "count": 12}],
            "successor": None,
        },
    ),
)

ROUTES = (*LINKING, *READS, *EXPLAIN)
