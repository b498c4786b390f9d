"""What is planted behind the store's back: of each column, how any other value, or only a broken one, is noticed.

A column that is neither here nor in `NO_CLAIM` fails a test, so whoever adds one says what it claims.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tests.faults.busy import DAY, HOUR

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS_EACH = 3


class Column(NamedTuple):
    """A column in which another value is noticed.

    `spoil` makes the other value; `where` says in which rows; `mends` whether what differs is repaired.
    """

    spoil: Callable[[Any], Any]
    where: str = "TRUE"
    mends: bool = False
    rows: int = ROWS_EACH


def other(value: Any) -> Any:
    """Another value of the same type."""
    match value:
        case None:
            return 1
        case bytes():
            middle = len(value) // 2
            return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
        case int():
            return value + 1
        case _:
            return f"{value}x"


def another_id(value: Any) -> Any:
    """Of somebody who is not there."""
    return b"\xee" * 12 if value is None else other(value)


def flipped(value: Any) -> Any:
    return 0 if value else 1


def cut(value: Any) -> Any:
    return value[:-1]


def an_hour_more(value: Any) -> Any:
    return value + HOUR


def odd_time(at: Any) -> Any:
    """When nothing happened: a time at which a fact was recorded that is out of sight now may be right."""
    return at + 7_919


def constant(value: Any) -> Callable[[Any], Any]:
    return lambda _: value


def another_of(*values: str) -> Callable[[Any], Any]:
    return lambda value: next(one for one in values if one != value)


BAD_JSON = constant("{")
STATES = ("active", "standby", "superseded", "disabled", "deleted")
OUTCOMES = ("accepted", "before_link", "standby", "superseded", "disabled")
SEEN = "NOT is_hidden AND kind NOT IN ('policy changed', 'erased')"
LAST_CHANGE = "seq IN (SELECT max(seq) FROM changes GROUP BY install_id) AND standing <> 'erased'"
LIVING = "NOT is_removed"
LAST_OF_DAY = "at_ms IN (SELECT max(at_ms) FROM checkpoints GROUP BY user_id, at_ms / 86400000)"
COUNTS = "install_id IN (SELECT install_id FROM spans WHERE outcome = 'accepted' AND to_ms IS NULL)"

COLUMNS: dict[str, dict[str, Column]] = {
    "apps": {
        "app_id": Column(other),
        "name": Column(constant(" ")),
        "is_disabled": Column(constant(2)),
        "secret_digest": Column(cut),
        "policy": Column(lambda text: text.replace("claim", "drop")),
        "created_at": Column(constant(-1)),
    },
    "api_keys": {
        "app_id": Column(other),
        "key_id": Column(other, "key_id IN (SELECT caller FROM idempotency)"),
        "name": Column(constant("")),
        "scopes": Column(lambda text: text.replace("user.link", "user.lnik")),
        "digest": Column(cut),
        "created_at": Column(constant(-1)),
        "expires_at": Column(lambda at: at + 365 * DAY),
        "revoked_at": Column(constant(1)),
        "last_used_at": Column(constant(-1)),
        "rotated_at": Column(constant(-1)),
        "successor": Column(another_id),
    },
    "facts": {
        "position": Column(lambda position: position + 1000, "kind = 'registered' AND NOT is_hidden"),
        "app_id": Column(other, SEEN),
        "fact_id": Column(other, "kind IN ('linked', 'disabled', 'activated') AND NOT is_hidden"),
        "at": Column(other, f"{SEEN} AND kind <> 'unlinked'"),
        "kind": Column(another_of("reset", "disabled"), SEEN),
        "install_id": Column(other, f"{SEEN} AND install_id IS NOT NULL"),
        "user_id": Column(other, f"{SEEN} AND user_id IS NOT NULL"),
        "sealed_id": Column(other, f"{SEEN} AND sealed_id IS NOT NULL"),
        "fields": Column(constant('{"a": 1}'), SEEN),
        "actor": Column(constant("")),
        "subject": Column(other, "subject IS NOT NULL AND NOT is_hidden"),
        "is_hidden": Column(flipped, SEEN),
    },
    "undo_answers": {"subject": Column(other), "body": Column(cut)},
    "traces": {"fact_id": Column(other), "body": Column(BAD_JSON)},
    "refused_links": {
        "install_id": Column(other),
        "at": Column(constant(-1)),
        "body": Column(BAD_JSON),
    },
    "installs": {
        "install_id": Column(other),
        "app_id": Column(other, mends=True),
        "own_user": Column(another_id, mends=True),
        "user_id": Column(another_id, mends=True),
        "form": Column(another_of("phone", "tablet"), mends=True),
        "registered_at": Column(other, mends=True),
        "place": Column(other, mends=True),
        "named_at": Column(odd_time, mends=True),
        "link": Column(another_id, mends=True),
        "sealed_id": Column(other, mends=True),
        "linked_at": Column(other, mends=True),
        "standing": Column(another_of("deleted", "active"), mends=True),
        "is_disabled": Column(flipped, mends=True),
        "used": Column(constant(0), "install_id IN (SELECT install_id FROM payloads)"),
        "device": Column(BAD_JSON),
        "credential_digest": Column(cut),
        "credential_key": Column(constant(b"\x00")),
        "install_key": Column(constant(b"\x00")),
        "kept_from": Column(constant(-1)),
    },
    "users": {
        "user_id": Column(other),
        "app_id": Column(other, mends=True),
        "created_at": Column(odd_time, mends=True),
        "named_at": Column(odd_time, mends=True),
        "touched_at": Column(odd_time, mends=True),
        "sealed_id": Column(other, mends=True),
        "holder": Column(another_id, mends=True),
        "is_disabled": Column(flipped, mends=True),
        "redirect": Column(another_id, mends=True),
        "metadata": Column(BAD_JSON),
    },
    "carriers": {
        "app_id": Column(other),
        "sealed_id": Column(other, mends=True),
        "user_id": Column(another_id, mends=True),
    },
    "spans": {
        "install_id": Column(other, mends=True),
        "user_id": Column(another_id, mends=True),
        "state": Column(another_of(*STATES), mends=True),
        "outcome": Column(another_of(*OUTCOMES), mends=True),
        "from_ms": Column(other, mends=True),
        "to_ms": Column(lambda at: at - 1, "to_ms IS NOT NULL", mends=True),
        "cause": Column(other, mends=True),
        "rival": Column(another_id, mends=True),
    },
    "changes": {
        "install_id": Column(other, LAST_CHANGE),
        "standing": Column(another_of("deleted", "standby"), f"{LAST_CHANGE} AND install_id IS NOT NULL"),
        "at": Column(constant(-1)),
    },
    "spent_credentials": {"digest": Column(cut), "install_id": Column(other), "is_reused": Column(constant(2))},
    "registrations": {"app_id": Column(other), "key_digest": Column(cut), "install_id": Column(other)},
    "used_proofs": {
        "app_id": Column(other),
        "digest": Column(cut),
        "install_id": Column(other),
        "used_at": Column(constant(-1)),
    },
    "auth_codes": {
        "digest": Column(cut),
        "app_id": Column(other),
        "sealed_id": Column(constant("\n")),
        "expires_at": Column(constant(-1)),
        "redeemed_by": Column(another_id),
        "actor": Column(constant("")),
        "is_reused": Column(constant(2)),
    },
    "audit": {
        "position": Column(lambda position: position + 1000),
        "content": Column(other),
        "hash": Column(other),
    },
    "idempotency": {
        "caller": Column(other),
        "body_hash": Column(cut),
        "status": Column(constant(7)),
        "reply": Column(cut),
        "at": Column(constant(-1)),
        "user_id": Column(another_id),
    },
    "tombstones": {
        "digest": Column(other, "kind = 'user'"),
        "app_id": Column(other),
        "kind": Column(
            another_of("install", "user"), "receipt_id IN (SELECT receipt_id FROM tombstones WHERE kind = 'user')"
        ),
        "receipt_id": Column(other),
    },
    "receipts": {
        "receipt_id": Column(other),
        "app_id": Column(other),
        "body": Column(lambda text: text[:-4] + text[-3:]),
    },
    "payloads": {
        "install_id": Column(other),
        "seq": Column(lambda seq: seq + 1000),
        "received_at": Column(an_hour_more),
        "offset_ms": Column(other),
        "first_t": Column(other),
        "last_t": Column(other),
        "reach_ms": Column(other),
        "body": Column(cut),
    },
    "timelines": {
        "user_id": Column(other),
        "at_ms": Column(other, mends=True),
        "state": Column(other, mends=True),
        "places": Column(other, mends=True),
        "labels": Column(other, mends=True),
        "places_until": Column(other, mends=True),
        "last_fix": Column(other, mends=True),
    },
    "checkpoints": {
        "user_id": Column(other),
        "at_ms": Column(other, mends=True),
        "state": Column(other, mends=True),
    },
    "events": {
        "user_id": Column(other),
        "event_id": Column(other, LIVING, mends=True),
        "start_ms": Column(other, LIVING, mends=True),
        "end_ms": Column(other, LIVING, mends=True),
        "revision": Column(constant(0), mends=True),
        "body": Column(other, LIVING, mends=True),
        "place_id": Column(other, LIVING, mends=True),
        "successor": Column(constant("zzz"), LIVING, mends=True),
        "is_removed": Column(flipped, mends=True),
    },
    "chunks": {"user_id": Column(other), "day": Column(other, mends=True), "body": Column(other, mends=True)},
    "log_head": {"only_row": Column(constant(2)), "position": Column(constant(1))},
    "log_partitions": {
        "partition_no": Column(lambda number: number + 1000),
        "position": Column(lambda position: position + 1000),
        "epoch": Column(constant(-1)),
    },
    "log_records": {
        "partition_no": Column(other),
        "position": Column(lambda position: position + 1000),
        "install_id": Column(other),
        "body": Column(cut),
    },
}
"""A column of a table, and what is planted there. Where only a broken value is planted, `BY_FORM` says why."""

BY_FORM = {
    "a name, an operator's word": ("apps.name", "apps.is_disabled", "api_keys.name", "api_keys.scopes", "facts.actor",
                                   "auth_codes.actor"),
    "a digest of what the platform does not know": (
        "apps.secret_digest", "api_keys.digest", "installs.credential_digest", "spent_credentials.digest",
        "registrations.key_digest", "auth_codes.digest", "idempotency.body_hash",
        "used_proofs.digest"),
    "when something happened that only this row tells": (
        "apps.created_at", "api_keys.created_at", "api_keys.expires_at", "api_keys.revoked_at",
        "api_keys.last_used_at", "api_keys.rotated_at", "changes.at", "auth_codes.expires_at", "idempotency.at",
        "payloads.received_at", "installs.kept_from", "refused_links.at", "used_proofs.used_at"),
    "what a device or a customer said, and only this row tells": (
        "installs.device", "users.metadata", "auth_codes.sealed_id", "payloads.body", "log_records.body",
        "installs.credential_key", "installs.install_key"),
    "what was answered or seen then": (
        "undo_answers.body", "traces.body", "refused_links.body", "idempotency.status", "idempotency.reply"),
    "whether somebody has shown it again": ("auth_codes.is_reused", "spent_credentials.is_reused"),
    "history: how often it was told anew": ("events.revision",),
    "where it stands only; that nothing lies before it is noticed": ("log_head.position", "log_partitions.epoch"),
}  # fmt: skip

NO_CLAIM = {
    "only this row tells it, and nothing depends on it": (
        "facts.reason", "spent_credentials.spent_key", "auth_codes.minted_for", "changes.seq",
        "idempotency.idempotency_key", "log_records.received_at", "events.successor of a removed event",
        "refused_links.number"),
    "whether the files were purged is asked of the files, not of the row": ("receipts.is_purged",),
    "who works, and until when; a wrong one ends within seconds": (
        "log_partitions.holder", "log_partitions.leased_until", "workers.*"),
    "what was allowed in the last minute, or today; a wrong one ends with it": ("limit_uses.*", "quota_uses.*"),
    "compared with the clock; one that is wrong by more than a day is told, and holds deleting up": ("reckoning.*",),
    "of a log that is not in the database; checked when it is opened": ("log_home.*", "log_taken.*"),
    "an upload that is none; there is none in the busy story": ("dead_letters.*",),
    "what is to be done; when it is done the timeline is compared": (
        "due.user_id", "due.from_ms", "due.version", "due.failures", "due.retry_at", "due.trouble",
    ),
    "beside what is served: compared or thrown away by the run that made it": (
        "imports.*", "replay_runs.*", "replay_users.*", "replay_timelines.*", "replay_checkpoints.*",
        "replay_events.*"),
    "checked when the database is opened": ("schema_migrations.*", "seal.*", "sealing.*"),
    "there is none in the busy story; see test_verify_after_retention.py": (
        "floors.user_id", "floors.at_ms", "floors.state", "floors.last_fix"),
}  # fmt: skip

DELETED: dict[str, Column] = {
    "apps": Column(other),
    "facts": Column(other, SEEN),
    "installs": Column(other),
    "users": Column(other),
    "carriers": Column(other, mends=True),
    "spans": Column(other, mends=True),
    "payloads": Column(other, COUNTS),
    "timelines": Column(other, mends=True),
    "checkpoints": Column(other, LAST_OF_DAY, mends=True),
    "events": Column(other, LIVING, mends=True),
    "chunks": Column(other, mends=True),
    "tombstones": Column(other, "kind = 'user'"),
    "receipts": Column(other),
    "audit": Column(other, "position < 9"),
    "log_head": Column(other),
    "log_partitions": Column(other),
}
"""Tables of which a missing row is noticed."""

INSERTED = {
    "a span of nobody": "INSERT INTO spans SELECT x'eeeeeeeeeeeeeeeeeeeeeeee', user_id, 'standby', 'standby', from_ms,"
    " to_ms, cause, rival FROM spans LIMIT 1",
    "an account of nobody": "INSERT INTO carriers SELECT app_id, 'mallory', user_id FROM carriers LIMIT 1",
    "a second timeline": "INSERT INTO timelines SELECT x'eeeeeeeeeeeeeeeeeeeeeeee', at_ms, state, places, labels,"
    " places_until, last_fix FROM timelines LIMIT 1",
    "a timeline of a retired user": "INSERT INTO chunks SELECT u.user_id, c.day, c.body FROM users u, chunks c"
    " WHERE u.redirect IS NOT NULL LIMIT 1",
    "a due timeline of nobody": "INSERT INTO due (user_id, from_ms, version)"
    " VALUES (x'eeeeeeeeeeeeeeeeeeeeeeee', 0, 1)",
    "an upload twice": "INSERT INTO payloads SELECT i.install_id, p.seq, p.received_at, p.offset_ms, p.first_t,"
    " p.last_t, p.reach_ms, p.body FROM payloads p, installs i WHERE i.install_id <> p.install_id LIMIT 1",
    "an upload of an erased install": "INSERT INTO payloads SELECT i.install_id, p.seq + 1000, p.received_at,"
    " p.offset_ms, p.first_t, p.last_t, p.reach_ms, p.body FROM payloads p, installs i"
    " WHERE i.device LIKE '%\"other\"%' LIMIT 1",
    "a removed event that was never there": "INSERT INTO events SELECT user_id, 'zzz', start_ms, end_ms, 1, x'', NULL,"
    " NULL, TRUE FROM events LIMIT 1",
    "a redirect in a circle": "UPDATE users SET redirect = user_id WHERE user_id IN"
    " (SELECT user_id FROM carriers LIMIT 1)",
    "a key for everything": "UPDATE api_keys SET scopes = scopes || ' user.everything'",
}
MENDED_INSERTS = {"a span of nobody", "an account of nobody", "a second timeline", "a timeline of a retired user"}
