"""Each call of the Backend API (http-api.md) as a pure pair: the request it sends, and how its reply reads.

An id that could not be one is refused here as the platform would refuse it, without asking: ids often come from a
phone, and what is not an id must not become part of a path.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NoReturn

import msgspec

from unbroken import wire
from unbroken.backend.errors import ReplyNotUnderstood, refusal
from unbroken.backend.exchange import ApiRequest, Call, Page, body_of, instant, instant_or_none
from unbroken.backend.results import (
    Activation,
    AuthCode,
    Explanation,
    Fact,
    Install,
    Item,
    Link,
    Receipt,
    RefusedLink,
    User,
)
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.outgoing import Reply

_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
DRY_RUN: Final = {"dry_run": "true"}


def link(
    install_id: str,
    external_id: str,
    link_ticket: str | None,
    attestation: wire.Attested | None,
    *,
    dry_run: bool,
    key: str,
) -> Call[Link]:
    """POST /v2/users/{install_id}/link."""
    if not _ID.fullmatch(install_id):
        _refuse(404, refusals.InstallNotFound)
    given = {"link_ticket": link_ticket, "attestation": attestation}
    body = {"external_id": external_id, **{name: value for name, value in given.items() if value is not None}}
    request = _post(f"/v2/users/{install_id}/link", body, key, DRY_RUN if dry_run else {})
    return Call(request, _read_link)


def find_link(install_id: str, external_id: str, *, key: str) -> Call[Link]:
    """The same, as a question: an older platform tries the link in place of answering, so it is a dry run too."""
    if not _ID.fullmatch(install_id):
        _refuse(404, refusals.InstallNotFound)
    body = {"external_id": external_id, "repeat_only": True}
    return Call(_post(f"/v2/users/{install_id}/link", body, key, DRY_RUN), _read_link)


def create_auth_code(external_id: str, *, key: str) -> Call[AuthCode]:
    """POST /users/auth-code."""
    return Call(_post("/users/auth-code", {"external_id": external_id}, key, {}), _read_auth_code)


def user(user_id: str) -> Call[User]:
    """GET /v2/users/{user_id}."""
    return Call(get(f"/v2/users/{segment(user_id)}"), _read_user)


def user_by_external_id(external_id: str) -> Call[User]:
    """GET /v3/users?external_id=; nobody carries what is no Unicode, and it cannot be sent."""
    if any("\ud800" <= character <= "\udfff" for character in external_id):
        _refuse(404, refusals.NotFound)
    return Call(get("/v3/users", external_id=external_id), _read_user)


def delete_user(user_id: str, *, dry_run: bool) -> Call[Receipt]:
    """DELETE /users/{user_id}; needs no key, as a repeat gives the same receipt."""
    request = ApiRequest("DELETE", f"/users/{segment(user_id)}", DRY_RUN if dry_run else {})
    return Call(request, _read_receipt)


def installs(user_id: str, cursor: str | None) -> Call[Page[Install]]:
    """GET /v3/users/{user_id}/installs."""
    return Call(get(f"/v3/users/{segment(user_id)}/installs", cursor=cursor), _read_installs)


def ledger(user_id: str, cursor: str | None) -> Call[Page[Fact]]:
    """GET /v3/users/{user_id}/ledger."""
    return Call(get(f"/v3/users/{segment(user_id)}/ledger", cursor=cursor), _read_facts)


def items(user_id: str, from_ms: int | None, to_ms: int | None, cursor: str | None) -> Call[Page[Item]]:
    """GET /v3/users/{user_id}/items."""
    window = {"from": _iso(from_ms), "to": _iso(to_ms)}
    return Call(get(f"/v3/users/{segment(user_id)}/items", **window, cursor=cursor), _read_items)


def explain(install_id: str, at_ms: int | None) -> Call[Explanation]:
    """GET /v3/installs/{install_id}/explain."""
    if not _ID.fullmatch(install_id):
        _refuse(404, refusals.InstallNotFound)
    return Call(get(f"/v3/installs/{install_id}/explain", at=_iso(at_ms)), _read_explanation)


def segment(text: str) -> str:
    """An id as a part of a path.

    Raises:
        NotFound: it cannot be one.
    """
    return text if _ID.fullmatch(text) else _refuse(404, refusals.NotFound)


def _refuse(status: int, leaf: type[refusals.Refusal]) -> NoReturn:
    raise refusal(status, wire.Problem(message=leaf().message, error_code=leaf.code, ref=""))


def _post(path: str, body: Mapping[str, Any], key: str, query: Mapping[str, str]) -> ApiRequest:
    """A POST; text that is no Unicode (a lone surrogate) cannot be sent and is refused as the platform would."""
    try:
        encoded = wire.encode(body)
    except UnicodeEncodeError:
        encoded = None
    if encoded is None:
        _refuse(400, refusals.InvalidExternalId)
    return ApiRequest("POST", path, query, encoded, key)


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else wire.iso(at_ms)


def get(path: str, **query: str | None) -> ApiRequest:
    """A GET; parameters that are None are left out."""
    return ApiRequest("GET", path, {name: value for name, value in query.items() if value is not None})


def _read_link(reply: Reply) -> Link:
    told = body_of(reply, wire.Linked)
    return Link(told.id, told.link_id, told.state, told.state_reason, told.dry_run, told.is_repeat)


def _read_auth_code(reply: Reply) -> AuthCode:
    told = body_of(reply, wire.AuthCode)
    return AuthCode(told.authentication_code, instant(told.expires_at))


def _read_user(reply: Reply) -> User:
    told = body_of(reply, wire.Profile)
    return User(
        user_id=told.id,
        app_id=told.application_id,
        created_at_ms=instant(told.created_at),
        install_id=told.install_id,
        external_id=told.external_id,
        metadata=told.metadata,
    )


def _read_receipt(reply: Reply) -> Receipt:
    told = body_of(reply, wire.Receipt)
    return Receipt(told.receipt_id, instant(told.erased_at), told.deleted, reply.body.decode(), told.dry_run)


def _read_installs(reply: Reply) -> Page[Install]:
    told = body_of(reply, wire.InstallList)
    return Page([_install(view) for view in told.installs], told.next_cursor)


def _install(view: wire.InstallView) -> Install:
    return Install(
        install_id=view.install_id,
        form=view.form,
        device=wire.plain(view.device),
        registered_at_ms=instant(view.registered_at),
        state=view.state,
        state_reason=view.state_reason,
        linked=view.linked,
        link_id=view.link_id,
        attestation=view.attestation,
        activations=[Activation(a.activation_id, instant(a.from_), instant_or_none(a.to)) for a in view.activations],
    )


def _read_facts(reply: Reply) -> Page[Fact]:
    told = body_of(reply, wire.FactList)
    facts = [Fact(f.fact_id, f.position, instant(f.at), f.kind, f.fields, f.actor, f.reason) for f in told.facts]
    return Page(facts, told.next_cursor)


def _read_items(reply: Reply) -> Page[Item]:
    told = body_of(reply, wire.ItemList)
    return Page([_item(view, reply) for view in told.items], told.next_cursor)


def _item(view: wire.ItemView, reply: Reply) -> Item:
    try:
        as_captured = wire.decode(view.item, dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ReplyNotUnderstood(f"an item is not an object: {error}", ref=reply.ref) from error
    return Item(
        install_id=view.install_id,
        payload_id=view.payload_id,
        captured_at_ms=instant(view.captured_at),
        received_at_ms=instant(view.received_at),
        outcome=view.outcome,
        item=as_captured,
    )


def _read_explanation(reply: Reply) -> Explanation:
    told = body_of(reply, wire.Explanation)
    return Explanation(
        install_id=told.install_id,
        at_ms=instant(told.at),
        state=told.state,
        linked=told.linked,
        rule=told.rule,
        inputs=told.inputs,
        sentence=told.sentence,
        refused_links=[_read_refused(one) for one in told.refused_links],
    )


def _read_refused(told: wire.RefusedLink) -> RefusedLink:
    otherwise = [one.sentence for one in told.counterfactuals]
    return RefusedLink(instant(told.at), told.error_code, told.row, told.sentence, otherwise)
