"""Rows: what no row of a table can say, asked of the row alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

from unbroken import wire
from unbroken.domain.app import Policy, Scope, policy_of
from unbroken.domain.ids import ID_BYTES, FactId, parse_external_id
from unbroken.domain.ledger.facts import FactKind
from unbroken.domain.payload import DAY_MS
from unbroken.domain.standing import Standing
from unbroken.flow.facts import fact_of, fields_of
from unbroken.flow.install_keys import is_public_key
from unbroken.flow.keys import KEY_LIFE_MAX_DAYS
from unbroken.store.ledger import Entry
from unbroken.store.sealed import Damaged
from unbroken.store.standing_changes import ERASED

if TYPE_CHECKING:
    from collections.abc import Callable

_DIGEST_BYTES: Final = 32
_KEY_TIME_BYTES: Final = 6
Wrong = tuple[str, str]
"""The column, and what it should hold."""


def wrong_with(table: str, row: dict[str, Any]) -> list[Wrong]:
    """What a row says that no row of its table can say."""
    wrong = _CHECKS[table](row) if table in _CHECKS else []
    return wrong + [(name, "12 bytes") for name in row if _is_no_id(name, row)]


_IDS: Final = frozenset(
    {"app_id", "fact_id", "install_id", "user_id", "subject", "key_id", "own_user", "link", "redirect", "holder",
     "cause", "rival", "redeemed_by", "receipt_id", "caller", "successor"}
)  # fmt: skip


def _is_no_id(name: str, row: dict[str, Any]) -> bool:
    value = row[name]
    if name not in _IDS or value is None or (name == "install_id" and row.get("standing") == ERASED):
        return False
    return not isinstance(value, bytes) or len(value) != ID_BYTES


def _when(column: str, expected: str, is_right: bool) -> list[Wrong]:
    return [] if is_right else [(column, expected)]


def _is_digest(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) in {_DIGEST_BYTES, 1 + _DIGEST_BYTES}  # the number of its pepper


def _is_key_digest(value: Any) -> bool:
    return _is_digest(value) or (isinstance(value, bytes) and _is_digest(value[_KEY_TIME_BYTES:]))


def _is_instant(value: Any) -> bool:
    return isinstance(value, int) and value >= 0  # a lab may begin at 0


def _reads(text: Any, type_: Any) -> bool:
    try:
        wire.decode(text, type_)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def policy_in(text: Any) -> Policy | None:
    """The policy that is written down, or None."""
    try:
        return policy_of(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _app(row: dict[str, Any]) -> list[Wrong]:
    is_name = isinstance(row["name"], str) and bool(row["name"].strip())
    return [
        *_when("name", "a name", is_name),
        *_when("is_disabled", "0 or 1", row["is_disabled"] in {0, 1}),
        *_when("secret_digest", "32 bytes", _is_digest(row["secret_digest"])),
        *_when("policy", "a policy", policy_in(row["policy"]) is not None),
        *_when("created_at", "an instant", _is_instant(row["created_at"])),
    ]


def _api_key(row: dict[str, Any]) -> list[Wrong]:
    scopes = row["scopes"].split() if isinstance(row["scopes"], str) else []
    created, expires, revoked = row["created_at"], row["expires_at"], row["revoked_at"]
    are_known = bool(scopes) and set(scopes) <= set(Scope) and " ".join(sorted(set(scopes))) == row["scopes"]
    lives = _is_instant(created) and _is_instant(expires) and 0 < expires - created <= KEY_LIFE_MAX_DAYS * DAY_MS
    is_revoked_after = revoked is None or (_is_instant(revoked) and _is_instant(created) and revoked >= created)
    return [
        *_when("name", "a name", isinstance(row["name"], str) and bool(row["name"].strip())),
        *_when("scopes", f"some of {', '.join(Scope)}", are_known),
        *_when("digest", "32 bytes", _is_digest(row["digest"])),
        *_when("expires_at", "1 to 365 days after created_at", lives),
        *_when("revoked_at", "nothing, or an instant after created_at", is_revoked_after),
        *(
            (column, "nothing, or an instant")
            for column in ("last_used_at", "rotated_at")
            if row[column] is not None and not _is_instant(row[column])
        ),
    ]


def _fact(row: dict[str, Any]) -> list[Wrong]:
    """It reads, and the ids in its columns are those that it says."""
    wrong = [
        *_when("at", "an instant", _is_instant(row["at"])),
        *_when("kind", "a kind of fact", row["kind"] in set(FactKind)),
        *_when("actor", "who did it", isinstance(row["actor"], str) and bool(row["actor"])),
        *_when("is_hidden", "0 or 1", row["is_hidden"] in {0, 1}),
    ]
    if wrong:
        return wrong
    if row["is_hidden"]:
        is_empty = (row["sealed_id"], row["fields"], row["reason"]) == (None, "{}", None)
        return _when("fields", "nothing of what an erased person's fact said", is_empty)
    return _said(row)


def _said(row: dict[str, Any]) -> list[Wrong]:
    try:
        fields = json.loads(row["fields"])
        fact = fact_of(_entry(row, fields))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError):
        return [("fields", "what a fact of this kind says")]
    if fact is None:  # an erasure
        return _when("fields", "members by name", isinstance(fields, dict))
    said = fact.said
    return [
        *_when("fields", "what a fact of this kind says", fields_of(said) == fields),
        *(
            (column, "what a fact of this kind names")
            for column, name in _NAMES.items()
            if row[name] != getattr(said, name, None)
        ),
        *_when("sealed_id", _SEALED, row["external_id"] is None or _is_external_id(row["external_id"])),
    ]


_NAMES: Final = {"install_id": "install_id", "user_id": "user_id", "sealed_id": "external_id", "subject": "subject"}
"""The columns of a fact that name something, and what a fact calls it."""


def _entry(row: dict[str, Any], fields: dict[str, Any]) -> Entry:
    return Entry(
        fact_id=FactId(row["fact_id"]),
        at=row["at"],
        kind=FactKind(row["kind"]),
        actor=row["actor"],
        install_id=row["install_id"],
        user_id=row["user_id"],
        external_id=row["external_id"],
        fields=fields,
        position=row["position"],
        subject=row["subject"],
    )


def _is_external_id(text: Any) -> bool:
    return isinstance(text, str) and parse_external_id(text, frozenset()) == text


def _code(row: dict[str, Any]) -> list[Wrong]:
    return [
        *_when("digest", "32 bytes", _is_digest(row["digest"])),
        *_when("sealed_id", _SEALED, _is_external_id(row["external_id"])),
        *_when("expires_at", "an instant", _is_instant(row["expires_at"])),
        *_when("actor", "who minted it", isinstance(row["actor"], str) and bool(row["actor"])),
        *_when("is_reused", "0 or 1", row["is_reused"] in {0, 1}),
    ]


def _answer(row: dict[str, Any]) -> list[Wrong]:
    return [
        *_when("body_hash", "32 bytes", _is_digest(row["body_hash"])),
        *_when("status", "0 or 1", row["status"] in {0, 1}),
        *_when("reply", "an answer as JSON, or nothing", row["reply"] == b"" or _reads(row["reply"], dict[str, Any])),
        *_when("at", "an instant", _is_instant(row["at"])),
    ]


def _change(row: dict[str, Any]) -> list[Wrong]:
    return [
        *_when("standing", "a standing", row["standing"] in {*Standing, ERASED, "apps"}),
        *_when("at", "an instant", _is_instant(row["at"])),
        *_when("install_id", "an install, but for apps", (row["install_id"] is None) == (row["standing"] == "apps")),
    ]


def _tombstone(row: dict[str, Any]) -> list[Wrong]:
    return [
        *_when("digest", "32 bytes", _is_digest(row["digest"])),
        *_when("kind", "user, install or credential", row["kind"] in {"user", "install", "credential"}),
    ]


def _install(row: dict[str, Any]) -> list[Wrong]:
    key, digest, kept_from = row["credential_key"], row["credential_digest"], row["kept_from"]
    public = row["install_key"]
    return [
        *_when("credential_digest", "32 bytes, none if it was imported", digest == b"" or _is_digest(digest)),
        *_when("kept_from", "an instant", _is_instant(kept_from)),
        *_when("used", "0 or 1", row["used"] in {0, 1}),
        *_when("device", "what was reported", _reads(row["device"], dict[str, Any])),
        *_when("credential_key", _SEALED_KEY, not isinstance(key, Damaged)),
        *_when("install_key", "nothing, or a public key", public is None or is_public_key(public)),
    ]


_SEALED: Final = "an external id, sealed"
_SEALED_KEY: Final = "nothing, or an idempotency key, sealed"
_CHECKS: Final[dict[str, Callable[[dict[str, Any]], list[Wrong]]]] = {
    "apps": _app,
    "api_keys": _api_key,
    "facts": _fact,
    "undo_answers": lambda row: _when("body", "an answer to an undo", _reads(row["body"], wire.Undone)),
    "traces": lambda row: _when("body", "what was decided on", _reads(row["body"], dict[str, Any])),
    "refused_links": lambda row: [
        *_when("at", "an instant", _is_instant(row["at"])),
        *_when("body", "what was refused", _reads(row["body"], wire.RefusedLink)),
    ],
    "installs": _install,
    "spent_credentials": lambda row: [
        *_when("digest", "32 bytes", _is_digest(row["digest"])),
        *_when("spent_key", _SEALED_KEY, not isinstance(row["spent_key"], Damaged)),
        *_when("is_reused", "0 or 1", row["is_reused"] in {0, 1}),
    ],
    "registrations": lambda row: _when(
        "key_digest", "32 bytes, or 38 with its time", _is_key_digest(row["key_digest"])
    ),
    "used_proofs": lambda row: [
        *_when("digest", "32 bytes", _is_digest(row["digest"])),
        *_when("used_at", "an instant", _is_instant(row["used_at"])),
    ],
    "auth_codes": _code,
    "carriers": lambda row: _when("sealed_id", _SEALED, _is_external_id(row["external_id"])),
    "idempotency": _answer,
    "users": lambda row: _when("metadata", "texts by name", _reads(row["metadata"], dict[str, str])),
    "changes": _change,
    "tombstones": _tombstone,
    "audit": lambda row: [
        *_when("content", "what was done", _reads(row["content"], dict[str, Any])),
        *_when("hash", "32 bytes", _is_digest(row["hash"])),
    ],
    "receipts": lambda row: _when("body", "a receipt", _reads(row["body"], wire.Receipt)),
    "due": lambda row: _when("version", "1 or more", isinstance(row["version"], int) and row["version"] >= 1),
}
