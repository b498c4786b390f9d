"""Tables: what is read of each, and which rows of others it names."""

from __future__ import annotations

from typing import Final

from unbroken.store.table_pages import Reference, Table

_APP: Final = Reference("app_id", (("apps", "app_id"),))
_INSTALL: Final = (("installs", "install_id"),)
_USER: Final = (("users", "user_id"),)
_FACT: Final = (("facts", "fact_id"),)
_COMING: Final = ("imports", "id")
"""What is being imported has rows before it has an install and a user."""

TABLES: Final = (
    Table("apps", ("app_id",), ("name", "is_disabled", "secret_digest", "policy", "created_at")),
    Table(
        "api_keys",
        ("key_id",),
        ("name", "scopes", "digest", "created_at", "expires_at", "revoked_at", "last_used_at", "rotated_at"),
        (_APP, Reference("successor", (("api_keys", "key_id"),))),
    ),
    Table(
        "facts",
        ("position",),
        ("fact_id", "at", "kind", "sealed_id", "fields", "actor", "reason", "is_hidden"),
        (
            _APP,
            Reference("install_id", _INSTALL, "t.is_hidden"),
            Reference("user_id", _USER, "t.is_hidden"),
            Reference("subject", _FACT, "t.is_hidden"),
        ),
    ),
    Table("undo_answers", ("subject",), ("body",), (Reference("subject", _FACT),)),
    Table("traces", ("fact_id",), ("body",), (Reference("fact_id", _FACT),)),
    Table("refused_links", ("install_id", "number"), ("at", "body"), (Reference("install_id", _INSTALL),)),
    Table(
        "installs",
        ("install_id",),
        ("used", "device", "credential_digest", "credential_key", "install_key", "kept_from"),
        (
            _APP,
            Reference("install_id", (("facts", "install_id"),)),
            Reference("user_id", _USER),
            Reference("own_user", _USER),
            Reference("link", _FACT),
        ),
    ),
    Table(
        "users",
        ("user_id",),
        ("metadata",),
        (_APP, Reference("redirect", _USER), Reference("holder", _INSTALL)),
    ),
    Table("carriers", ("app_id", "sealed_id"), (), (_APP, Reference("user_id", _USER))),
    Table(
        "spans",
        ("install_id", "from_ms"),
        (),
        (
            Reference("install_id", _INSTALL),
            Reference("user_id", _USER),
            Reference("cause", _FACT),
            Reference("rival", _INSTALL),
        ),
    ),
    Table("changes", ("seq",), ("standing", "at"), (Reference("install_id", _INSTALL, "t.standing = 'erased'"),)),
    Table("spent_credentials", ("digest",), ("spent_key", "is_reused"), (Reference("install_id", _INSTALL),)),
    Table("registrations", ("app_id", "key_digest"), (), (_APP, Reference("install_id", _INSTALL))),
    Table("used_proofs", ("app_id", "digest"), ("used_at",), (_APP, Reference("install_id", _INSTALL))),
    Table(
        "auth_codes",
        ("digest",),
        ("sealed_id", "expires_at", "minted_for", "actor", "is_reused"),
        (_APP, Reference("redeemed_by", _INSTALL)),
    ),
    Table(
        "idempotency",
        ("caller", "idempotency_key"),
        ("body_hash", "status", "reply", "at"),
        (Reference("user_id", _USER), Reference("caller", (*_INSTALL, ("api_keys", "key_id"), ("apps", "app_id")))),
    ),
    Table("tombstones", ("digest",), ("kind",), (_APP, Reference("receipt_id", (("receipts", "receipt_id"),)))),
    Table("receipts", ("receipt_id",), ("body",), (_APP,)),
    Table("audit", ("position",), ("content", "hash")),
    Table("payloads", ("install_id", "seq"), (), (Reference("install_id", (*_INSTALL, _COMING)),)),
    Table("timelines", ("user_id",), (), (Reference("user_id", _USER),)),
    Table("checkpoints", ("user_id", "at_ms"), (), (Reference("user_id", _USER),)),
    Table("floors", ("user_id",), (), (Reference("user_id", _USER),)),
    Table("events", ("user_id", "event_id"), (), (Reference("user_id", (*_USER, _COMING)),)),
    Table("chunks", ("user_id", "day"), (), (Reference("user_id", _USER),)),
    Table("due", ("user_id",), ("version",), (Reference("user_id", _USER),)),
    Table("log_records", ("partition_no", "position"), (), (Reference("install_id", _INSTALL),)),
    Table("dead_letters", ("install_id", "position"), (), (Reference("install_id", _INSTALL),)),
)

TEXTS: Final = {
    "facts": ("fields", "actor", "reason"),
    "undo_answers": ("body",),
    "traces": ("body",),
    "refused_links": ("body",),
    "installs": ("device",),
    "users": ("metadata",),
    "idempotency": ("reply",),
    "auth_codes": ("minted_for", "actor"),
    "receipts": ("body",),
}
"""Columns in which an id could stand in a text, as 24 hex characters."""
