"""The data map: what each column of each table holds, how that is protected, and how long it lives.

A column without a class fails a test, and so does one that holds something else than its class says. What whoever
copies the database learns of people is what is `PERSONAL` here, and who acted when.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Kind(StrEnum):
    """What a column holds."""

    ID = "id"
    """12 bytes of the platform's own, mostly chance; of who was erased, the beginning of a keyed hash."""
    INSTANT = "time"
    NUMBER = "number or flag"
    WORD = "word of the platform"
    HASHED = "keyed hash"
    SEALED = "sealed"
    PUBLIC_KEY = "public key"
    """Of a device: with its private half, which is never here, an install proves that it is itself."""
    RULE = "rule or name of an app"
    """What operators and customers set for an app, or name: not about its users."""
    NAMES_NOBODY = "record without names"
    """JSON of ids, states and counts, written by the platform."""
    PERSONAL = "personal, in clear"
    """Captured by, reported by or said about a person, to be read only in the platform's own process and files."""


class Table(NamedTuple):
    """What a table is for.

    Args:
        lives: until when its rows do.
        columns: by kind, their names.
    """

    holds: str
    lives: str
    columns: dict[Kind, str]

    @property
    def kinds(self) -> dict[str, Kind]:
        """The kind of each column."""
        return {name: kind for kind, names in self.columns.items() for name in names.split()}


_ID, _AT, _NUMBER, _WORD, _HASHED, _SEALED, _PUBLIC_KEY, _RULE, _NOBODY, _PERSONAL = Kind
_PERSON = "as long as the person is not erased"
_CAPTURES = "the app's retention, and until erasure"
_RUN = "until the run ends"
_PLATFORM = "as long as the platform"

TABLES: Final = {
    "apps": Table(
        "apps, their policies, the hash of their secret",
        _PLATFORM,
        {_ID: "app_id", _RULE: "name policy", _NUMBER: "is_disabled", _HASHED: "secret_digest", _AT: "created_at"},
    ),
    "api_keys": Table(
        "API keys, without what opens anything",
        _PLATFORM,
        {
            _ID: "key_id app_id successor",
            _RULE: "name",
            _WORD: "scopes",
            _HASHED: "digest",
            _AT: "created_at expires_at revoked_at last_used_at rotated_at",
        },
    ),
    "facts": Table(
        "the ledger: who is who, and who said so why",
        "for ever; of who was erased only when, what kind, and hashes",
        {
            _NUMBER: "position is_hidden",
            _ID: "app_id fact_id install_id user_id subject",
            _AT: "at",
            _WORD: "kind actor",
            _SEALED: "sealed_id",
            _NOBODY: "fields",
            _PERSONAL: "reason",
        },
    ),
    "undo_answers": Table("what an undo answered", _PERSON, {_ID: "subject", _NOBODY: "body"}),
    "traces": Table("what a link was decided on", _PERSON, {_ID: "fact_id", _NOBODY: "body"}),
    "refused_links": Table(
        "the last twenty refused links of an install",
        _PERSON,
        {_ID: "install_id", _NUMBER: "number", _AT: "at", _NOBODY: "body"},
    ),
    "installs": Table(
        "installs as they stand",
        _PERSON,
        {
            _ID: "install_id app_id own_user user_id link",
            _WORD: "form standing",
            _AT: "registered_at named_at linked_at kept_from",
            _NUMBER: "place is_disabled used",
            _SEALED: "sealed_id credential_key",
            _HASHED: "credential_digest",
            _PUBLIC_KEY: "install_key",
            _PERSONAL: "device",
        },
    ),
    "users": Table(
        "users as they stand",
        _PERSON,
        {
            _ID: "user_id app_id holder redirect",
            _AT: "created_at named_at touched_at",
            _SEALED: "sealed_id",
            _NUMBER: "is_disabled",
            _PERSONAL: "metadata",
        },
    ),
    "carriers": Table("which user carries an external id", _PERSON, {_ID: "app_id user_id", _SEALED: "sealed_id"}),
    "spans": Table(
        "which install counted when",
        _PERSON,
        {_ID: "install_id user_id cause rival", _WORD: "state outcome", _AT: "from_ms to_ms"},
    ),
    "changes": Table(
        "what those who take uploads must learn at once",
        "longer than a user token; of who was erased, a keyed hash",
        {_NUMBER: "seq", _ID: "install_id", _WORD: "standing", _AT: "at"},
    ),
    "spent_credentials": Table(
        "credentials of installs that were exchanged",
        _PERSON,
        {_HASHED: "digest", _ID: "install_id", _SEALED: "spent_key", _NUMBER: "is_reused"},
    ),
    "registrations": Table(
        "which key registered an install, and when that key was made",
        _PERSON,
        {_ID: "app_id install_id", _HASHED: "key_digest"},
    ),
    "used_proofs": Table(
        "which proofs and challenges of devices were used",
        _PERSON,
        {_ID: "app_id install_id", _HASHED: "digest", _AT: "used_at"},
    ),
    "limit_uses": Table(
        "how often whoever is near a limit has called lately",
        "a minute or two",
        {_WORD: "holder", _NUMBER: "beats", _NOBODY: "counts"},
    ),
    "quota_uses": Table(
        "how many calls a key or an app with a quota has made in a day",
        "a day or two",
        {_ID: "caller", _NUMBER: "day calls"},
    ),
    "audit": Table(
        "the audit log: who changed what; people by keyed hashes",
        "for ever",
        {_NUMBER: "position", _NOBODY: "content", _HASHED: "hash"},
    ),
    "auth_codes": Table(
        "authentication codes",
        "a week after they end, and until erasure",
        {
            _HASHED: "digest",
            _ID: "app_id redeemed_by",
            _SEALED: "sealed_id",
            _AT: "expires_at",
            _WORD: "minted_for actor",
            _NUMBER: "is_reused",
        },
    ),
    "idempotency": Table(
        "answers to calls that may be repeated",
        "24 hours",
        {
            _ID: "caller user_id",
            _WORD: "idempotency_key",
            _HASHED: "body_hash",
            _NUMBER: "status",
            _SEALED: "reply",
            _AT: "at",
        },
    ),
    "tombstones": Table("who is gone", "for ever", {_HASHED: "digest", _ID: "app_id receipt_id", _WORD: "kind"}),
    "receipts": Table(
        "signed receipts of erasures", "for ever", {_ID: "receipt_id app_id", _NOBODY: "body", _NUMBER: "is_purged"}
    ),
    "payloads": Table(
        "what was captured, compressed as it came",
        _CAPTURES,
        {
            _ID: "install_id",
            _NUMBER: "seq offset_ms",
            _AT: "received_at first_t last_t reach_ms",
            _PERSONAL: "body",
        },
    ),
    "timelines": Table(
        "where the fold of a timeline stands",
        _PERSON,
        {_ID: "user_id", _AT: "at_ms places_until", _PERSONAL: "state places labels last_fix"},
    ),
    "checkpoints": Table("the same, earlier", _PERSON, {_ID: "user_id", _AT: "at_ms", _PERSONAL: "state"}),
    "floors": Table(
        "the same, where the payloads before are gone",
        _PERSON,
        {_ID: "user_id", _AT: "at_ms", _PERSONAL: "state last_fix"},
    ),
    "events": Table(
        "the timeline",
        _PERSON,
        {
            _ID: "user_id",
            _WORD: "event_id place_id successor",
            _AT: "start_ms end_ms",
            _NUMBER: "revision is_removed",
            _PERSONAL: "body",
        },
    ),
    "chunks": Table("the timeline, a day each", _PERSON, {_ID: "user_id", _NUMBER: "day", _PERSONAL: "body"}),
    "due": Table(
        "which timelines are to be computed again",
        "seconds",
        {_ID: "user_id", _AT: "from_ms retry_at", _NUMBER: "version failures", _WORD: "trouble"},
    ),
    "imports": Table("who is being brought in", _RUN, {_ID: "id run", _NUMBER: "is_install", _AT: "at"}),
    "replay_runs": Table("replays that run", _RUN, {_ID: "scope app_id holder", _RULE: "policy"}),
    "replay_users": Table(
        "what a replay would change",
        _RUN,
        {_ID: "scope user_id", _NOBODY: "inputs", _PERSONAL: "difference", _NUMBER: "is_waiting"},
    ),
    "replay_timelines": Table(
        "timelines as a replay has them",
        _RUN,
        {
            _ID: "scope user_id",
            _AT: "from_ms checkpoints_from at_ms places_until",
            _PERSONAL: "state places labels last_fix",
        },
    ),
    "replay_checkpoints": Table("the same, earlier", _RUN, {_ID: "scope user_id", _AT: "at_ms", _PERSONAL: "state"}),
    "replay_events": Table(
        "events as a replay has them",
        _RUN,
        {_ID: "scope user_id", _WORD: "event_id", _AT: "start_ms", _PERSONAL: "body"},
    ),
    "log_head": Table("the head of the payload log", _PLATFORM, {_NUMBER: "only_row position"}),
    "log_partitions": Table(
        "how far the log is processed, and by whom",
        _PLATFORM,
        {_NUMBER: "partition_no position epoch", _WORD: "holder", _AT: "leased_until"},
    ),
    "log_records": Table(
        "uploads that wait to be processed",
        "seconds",
        {_NUMBER: "partition_no position", _ID: "install_id", _AT: "received_at", _PERSONAL: "body"},
    ),
    "log_home": Table(
        "where the log is, if not here", _PLATFORM, {_NUMBER: "only_row partitions", _WORD: "stream mark"}
    ),
    "log_taken": Table(
        "what was taken out of a log elsewhere", "seconds", {_NUMBER: "partition_no position is_scrubbed"}
    ),
    "dead_letters": Table(
        "uploads that cannot be processed",
        "until they are replayed or dropped, and until erasure",
        {
            _ID: "install_id",
            _NUMBER: "position",
            _AT: "received_at failed_at",
            _PERSONAL: "body",
            _WORD: "trouble",
        },
    ),
    "workers": Table("who works on the log", "seconds", {_WORD: "holder", _NUMBER: "beats"}),
    "seal": Table(
        "which keys and clock the database was written with",
        _PLATFORM,
        {_NUMBER: "only_row is_lab", _HASHED: "keys_digest"},
    ),
    "sealing": Table(
        "which key external ids are sealed under; while it is replaced, how far that has come",
        _PLATFORM,
        {_NUMBER: "only_row key_no old_key_no is_purged", _HASHED: "key_mark", _ID: "done_app", _SEALED: "done_id"},
    ),
    "reckoning": Table(
        "the time that deleting goes by, and since when the clock has said another",
        _PLATFORM,
        {_NUMBER: "only_row", _AT: "at away_from away_to"},
    ),
    "schema_migrations": Table(
        "which migrations were applied", _PLATFORM, {_NUMBER: "version", _WORD: "name checksum"}
    ),
}
"""By name, in the order of the migrations."""
