"""Inspection: rows as they are, raw, for those who check them against what they follow from (`flow/verify`).

Nothing is made of a row here that a damaged one could break; so values are as the engine gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.ids import AppId, InstallId, UserId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Row, Transaction, Value

# One person

_REGISTRATIONS: Final = (
    "SELECT position, app_id, install_id FROM facts WHERE position > $1 AND kind = 'registered' AND NOT is_hidden"
    " ORDER BY position LIMIT $2"
)
_REGISTRATIONS_OF: Final = (
    "SELECT position, app_id, install_id FROM facts WHERE app_id = $3 AND position > $1 AND kind = 'registered'"
    " AND NOT is_hidden ORDER BY position LIMIT $2"
)
_LAST_POSITION: Final = "SELECT coalesce(max(position), 0) FROM facts"
_AN_INSTALL_OF: Final = "SELECT app_id, install_id FROM installs WHERE user_id = $1 OR own_user = $1 LIMIT 1"
_REDIRECT: Final = "SELECT redirect FROM users WHERE user_id = $1"
_IS_TIME_OUT_OF_SIGHT: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND at = $2 AND is_hidden LIMIT 1"

INSTALL: Final = (
    "app_id", "own_user", "user_id", "form", "registered_at", "place", "named_at", "link", "external_id", "linked_at",
    "standing", "is_disabled",
)  # fmt: skip
USER: Final = (
    "app_id", "created_at", "named_at", "touched_at", "external_id", "holder", "is_disabled", "redirect",
)  # fmt: skip
SPAN: Final = ("user_id", "state", "outcome", "to_ms", "cause", "rival")
BESIDE: Final = ("used", "device", "credential_digest", "kept_from")

_INSTALL_ROW: Final = f"SELECT {', '.join(INSTALL)} FROM installs WHERE install_id = $1"
_BESIDE_ROW: Final = f"SELECT {', '.join(BESIDE)} FROM installs WHERE install_id = $1"
_USER_ROW: Final = f"SELECT {', '.join(USER)} FROM users WHERE user_id = $1"
_METADATA: Final = "SELECT metadata FROM users WHERE user_id = $1"
_CARRIER: Final = "SELECT user_id FROM carriers WHERE app_id = $1 AND external_id = $2"
_CARRIED: Final = "SELECT external_id, user_id FROM carriers WHERE user_id = $1"
_SPANS: Final = f"SELECT from_ms, {', '.join(SPAN)} FROM spans WHERE install_id = $1 ORDER BY from_ms"


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the ledger says that an install came to be."""

    position: int
    app_id: AppId
    install_id: InstallId


async def registrations(tx: Transaction, app_id: AppId | None, after: int, limit: int) -> list[Registration]:
    """Some registrations in the ledger's order, of one app or of all."""
    if app_id is None:
        rows = await tx.all(_REGISTRATIONS, after, limit)
    else:
        rows = await tx.all(_REGISTRATIONS_OF, after, limit, app_id)
    return [Registration(row[0], AppId(row[1]), InstallId(row[2])) for row in rows if row[2] is not None]


async def last_position(tx: Transaction) -> int:
    """Where the ledger ends."""
    row = await tx.one(_LAST_POSITION)
    return int(row[0]) if row else 0


async def an_install_of(tx: Transaction, user_id: UserId) -> tuple[AppId, InstallId] | None:
    """The app and some install of the user that an id stands for."""
    for _ in range(64):  # a redirect that runs in a circle is one of the things that are looked for
        row = await tx.one(_AN_INSTALL_OF, user_id)
        if row is not None:
            return AppId(row[0]), InstallId(row[1])
        row = await tx.one(_REDIRECT, user_id)
        if row is None or row[0] is None:
            return None
        user_id = UserId(row[0])
    return None


async def redirects(tx: Transaction, user_id: UserId) -> list[UserId]:
    """Every user that an id leads to, in order; it ends where one comes again."""
    seen = [user_id]
    while (row := await tx.one(_REDIRECT, seen[-1])) is not None and row[0] is not None:
        seen.append(UserId(row[0]))
        if row[0] in seen[:-1]:
            break
    return seen


async def is_time_out_of_sight(tx: Transaction, app_id: AppId, at: int) -> bool:
    """Whether at an instant there is a fact that an erasure has put out of sight."""
    return await tx.one(_IS_TIME_OUT_OF_SIGHT, app_id, at) is not None


async def install(tx: Transaction, install_id: InstallId) -> Row | None:
    """The columns `INSTALL` of one install."""
    return await tx.one(_INSTALL_ROW, install_id)


async def beside(tx: Transaction, install_id: InstallId) -> Row | None:
    """The columns `BESIDE`: what an install has that the ledger does not say."""
    return await tx.one(_BESIDE_ROW, install_id)


async def user(tx: Transaction, user_id: UserId) -> Row | None:
    """The columns `USER` of one user."""
    return await tx.one(_USER_ROW, user_id)


async def metadata(tx: Transaction, user_id: UserId) -> Any:
    """A user's metadata, as it is written."""
    row = await tx.one(_METADATA, user_id)
    return row[0] if row else None


async def carrier(tx: Transaction, app_id: AppId, external_id: str) -> Any:
    """The user id that carries an external id, or None."""
    row = await tx.one(_CARRIER, app_id, external_id)
    return row[0] if row else None


async def carried(tx: Transaction, user_id: UserId) -> list[Row]:
    """(external id, user id) of every external id that links to a user."""
    return await tx.all(_CARRIED, user_id)


async def spans(tx: Transaction, install_id: InstallId) -> list[Row]:
    """`from_ms` and the columns `SPAN` of an install's spans, in order."""
    return await tx.all(_SPANS, install_id)


# The laws, asked of the tables alone

_END: Final = 9_223_372_036_854_775_807
_OVERLAPS: Final = (
    "SELECT install_id, from_ms, before FROM (SELECT s.install_id, s.from_ms,"
    f" lag(s.install_id) OVER w AS before, lag(coalesce(s.to_ms, {_END})) OVER w AS until"
    " FROM installs i JOIN spans s ON s.install_id = i.install_id"
    " WHERE i.user_id = $1 AND s.user_id = $1 AND s.outcome = 'accepted' WINDOW w AS (ORDER BY s.from_ms)) found"
    " WHERE until > from_ms"
)
_HOLES: Final = (
    "SELECT from_ms, until FROM (SELECT s.from_ms, lag(s.to_ms) OVER w AS until, row_number() OVER w AS place"
    " FROM spans s WHERE s.install_id = $1 WINDOW w AS (ORDER BY s.from_ms)) found"
    " WHERE place > 1 AND (until IS NULL OR until <> from_ms)"
)
_ENDS: Final = (
    "SELECT i.registered_at, (SELECT min(from_ms) FROM spans WHERE install_id = $1),"
    " (SELECT count(*) FROM spans WHERE install_id = $1 AND to_ms IS NULL) FROM installs i WHERE i.install_id = $1"
)
_CARRIERS_OF: Final = (
    "SELECT c.user_id FROM users u JOIN carriers c ON c.app_id = u.app_id AND c.external_id = u.external_id"
    " WHERE u.user_id = $1 AND c.user_id <> u.user_id AND u.redirect IS NULL"
)
_STRANGE_HOLDER: Final = (
    "SELECT u.holder FROM users u LEFT JOIN installs i ON i.install_id = u.holder"
    " WHERE u.user_id = $1 AND u.holder IS NOT NULL AND (i.user_id IS NULL OR i.user_id <> u.user_id)"
)


async def overlaps(tx: Transaction, user_id: UserId) -> list[Row]:
    """(install, from, the other install) wherever two activations of a user cover one instant (law 2)."""
    return await tx.all(_OVERLAPS, user_id)


async def holes(tx: Transaction, install_id: InstallId) -> list[Row]:
    """(from, the end before it) wherever a span does not begin where the one before it ends."""
    return await tx.all(_HOLES, install_id)


async def ends(tx: Transaction, install_id: InstallId) -> Row | None:
    """(registered at, beginning of the first span, number of open spans) of an install."""
    return await tx.one(_ENDS, install_id)


async def other_carriers(tx: Transaction, user_id: UserId) -> list[Row]:
    """Who else carries the external id of a user (law 1)."""
    return await tx.all(_CARRIERS_OF, user_id)


async def strange_holder(tx: Transaction, user_id: UserId) -> list[Row]:
    """The holder of a user, where it is no install of it."""
    return await tx.all(_STRANGE_HOLDER, user_id)


# Payloads and timelines

_UPLOAD_TIMES: Final = (
    "SELECT seq, received_at, offset_ms, first_t, last_t, reach_ms FROM payloads WHERE install_id = $1 ORDER BY seq"
)
_UPLOAD_BODIES: Final = (
    "SELECT seq, received_at, offset_ms, first_t, last_t, body FROM payloads WHERE install_id = $1 AND seq > $2"
    " ORDER BY seq LIMIT $3"
)
_HAS_UPLOADED: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM payloads WHERE install_id = $1)"
    " OR EXISTS (SELECT 1 FROM log_records WHERE partition_no = $2 AND install_id = $1)"
)
_CHECKPOINTS: Final = "SELECT at_ms, state FROM checkpoints WHERE user_id = $1 ORDER BY at_ms"
_CHUNKS: Final = "SELECT day, body FROM chunks WHERE user_id = $1 ORDER BY day"
_EVENTS: Final = (
    "SELECT event_id, start_ms, end_ms, revision, body, place_id, successor, is_removed FROM events"
    " WHERE user_id = $1 ORDER BY start_ms, event_id"
)
_HEAD: Final = "SELECT at_ms, state, places, labels, places_until, last_fix FROM timelines WHERE user_id = $1"
_HAS_TIMELINE: Final = "SELECT 1 WHERE " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE user_id = $1)"
    for table in ("timelines", "checkpoints", "floors", "events", "chunks")
)


async def upload_times(tx: Transaction, install_id: InstallId) -> list[Row]:
    """(seq, received at, offset, first, last, reach) of every kept upload of an install."""
    return await tx.all(_UPLOAD_TIMES, install_id)


async def upload_bodies(tx: Transaction, install_id: InstallId, after: int, limit: int) -> list[Row]:
    """(seq, received at, offset, first, last, body) of some uploads, from position `after`."""
    return await tx.all(_UPLOAD_BODIES, install_id, after, limit)


async def has_uploaded(tx: Transaction, install_id: InstallId, partition: int) -> bool:
    """Whether any upload of an install is there, processed or not."""
    return await tx.one(_HAS_UPLOADED, install_id, partition) is not None


async def head(tx: Transaction, user_id: UserId) -> Row | None:
    """The columns of `store.timelines.Head`."""
    return await tx.one(_HEAD, user_id)


async def checkpoints(tx: Transaction, user_id: UserId) -> list[Row]:
    """(at, state) of every checkpoint of a user."""
    return await tx.all(_CHECKPOINTS, user_id)


async def chunks(tx: Transaction, user_id: UserId) -> list[Row]:
    """(day, body) of every chunk of a user."""
    return await tx.all(_CHUNKS, user_id)


async def events(tx: Transaction, user_id: UserId) -> list[Row]:
    """The columns of `store.timelines.EventRow` of every event of a user."""
    return await tx.all(_EVENTS, user_id)


async def has_timeline(tx: Transaction, user_id: UserId) -> bool:
    """Whether anything of a timeline is there."""
    return await tx.one(_HAS_TIMELINE, user_id) is not None


# Whole tables, a page at a time


@dataclass(frozen=True, slots=True)
class Reference:
    """A column that names rows of other tables.

    Args:
        targets: (table, column) of which one at least must hold the value.
        unless: SQL over the row, as `t`, in which case it need not.
    """

    column: str
    targets: tuple[tuple[str, str], ...]
    unless: str = "FALSE"


@dataclass(frozen=True, slots=True)
class Table:
    """What is read of a table.

    Args:
        key: its primary key.
        columns: what else is looked at.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """One row: its columns by name, and which of its references lead nowhere."""

    key: tuple[Value, ...]
    values: dict[str, Any]
    dangling: list[Reference]


async def page(tx: Transaction, table: Table, after: Sequence[Value] | None, limit: int) -> list[Seen]:
    """Some rows in order of the key, from behind `after`."""
    rows = await tx.all(_page(table, is_first=after is None), *(after or ()), limit)
    names = (*table.key, *table.columns, *(reference.column for reference in table.references))
    known = len(names)
    return [
        Seen(
            key=tuple(row[: len(table.key)]),
            values=dict(zip(names, row[:known], strict=True)),
            dangling=[one for one, is_sound in zip(table.references, row[known:], strict=True) if not is_sound],
        )
        for row in rows
    ]


def _page(table: Table, *, is_first: bool) -> str:
    columns = [*table.key, *table.columns, *(reference.column for reference in table.references)]
    said = [f"t.{column}" for column in columns] + [_is_sound(reference) for reference in table.references]
    count = 0 if is_first else len(table.key)
    key, places = ", ".join(table.key), ", ".join(f"${place}" for place in range(1, count + 1))
    where = "" if is_first else f" WHERE ({key}) > ({places})"
    return f"SELECT {', '.join(said)} FROM {table.name} t{where} ORDER BY {key} LIMIT ${count + 1}"


def _is_sound(reference: Reference) -> str:
    there = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} o WHERE o.{column} = t.{reference.column})"
        for table, column in reference.targets
    )
    return f"(t.{reference.column} IS NULL OR {reference.unless} OR {there})"


# What is compared across tables

_LAST_POLICY: Final = (
    "SELECT fields FROM facts WHERE app_id = $1 AND kind = 'policy changed' ORDER BY position DESC LIMIT 1"
)
_LAST_CHANGES: Final = (
    "SELECT c.seq, c.install_id, c.standing, i.standing, i.is_disabled, u.is_disabled"
    " FROM (SELECT install_id, max(seq) AS seq FROM changes WHERE install_id IS NOT NULL GROUP BY install_id) m"
    " JOIN changes c ON c.seq = m.seq LEFT JOIN installs i ON i.install_id = c.install_id"
    " LEFT JOIN users u ON u.user_id = i.user_id"
)
_NAMES_EXTERNAL_ID: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND external_id = $2 LIMIT 1"
_NAMES_REGISTERED: Final = "SELECT 1 FROM facts WHERE install_id = $1 AND kind = 'registered' LIMIT 1"
_NAMES_FIRST: Final = "SELECT 1 FROM facts WHERE user_id = $1 AND kind = 'registered' LIMIT 1"
_GIVEN_BY_UNDO: Final = "SELECT 1 FROM facts WHERE subject IS NOT NULL AND kind = 'unlinked' AND fields LIKE $1 LIMIT 1"
_TOMBSTONE_LIKE: Final = "SELECT 1 FROM tombstones WHERE app_id = $1 AND digest >= $2 AND digest < $3 LIMIT 1"
_BURIED_BY: Final = (
    "SELECT t.kind, r.body FROM tombstones t LEFT JOIN receipts r ON r.receipt_id = t.receipt_id WHERE t.digest = $1"
)
_ANY_TOMBSTONE: Final = "SELECT 1 FROM tombstones LIMIT 1"
_BURIED: Final = "SELECT kind, count(*) FROM tombstones WHERE receipt_id = $1 GROUP BY kind"
_ERASED_IN_PART: Final = (
    "SELECT 1 FROM facts WHERE kind = 'erased' AND (user_id = $1"
    " OR install_id IN (SELECT install_id FROM installs WHERE user_id = $1)"
    " OR user_id IN (SELECT user_id FROM users WHERE redirect = $1)) LIMIT 1"
)
_INSTALL_RECEIPT: Final = 'SELECT 1 FROM receipts WHERE app_id = $1 AND body LIKE \'%"erased":"install"%\' LIMIT 1'
_IS_RECEIPT: Final = "SELECT 1 FROM receipts WHERE receipt_id = $1"
_UNDO_HIDDEN: Final = "SELECT 1 FROM facts WHERE app_id = $1 AND is_hidden AND kind = 'unlinked' LIMIT 1"


async def last_policy(tx: Transaction, app_id: AppId) -> Any:
    """The fields of the last change of an app's policy, or None where it is as it began."""
    row = await tx.one(_LAST_POLICY, app_id)
    return row[0] if row else None


async def last_changes(tx: Transaction) -> list[Row]:
    """(seq, install, what was told, standing, is disabled, is its user disabled) of each install's last change."""
    return await tx.all(_LAST_CHANGES)


async def is_external_id_named(tx: Transaction, app_id: AppId, external_id: str) -> bool:
    """Whether the ledger ever named an external id."""
    return await tx.one(_NAMES_EXTERNAL_ID, app_id, external_id) is not None


async def is_registered(tx: Transaction, install_id: InstallId) -> bool:
    """Whether the ledger knows where an install comes from."""
    return await tx.one(_NAMES_REGISTERED, install_id) is not None


async def is_given_out(tx: Transaction, user_id: UserId) -> bool:
    """Whether the ledger gave out a user id, by a registration or an undo."""
    if await tx.one(_NAMES_FIRST, user_id) is not None:
        return True
    return await tx.one(_GIVEN_BY_UNDO, f'%"{user_id.hex()}"%') is not None


async def is_receipt(tx: Transaction, receipt_id: bytes) -> bool:
    """Whether a receipt is there."""
    return await tx.one(_IS_RECEIPT, receipt_id) is not None


async def is_install_receipt(tx: Transaction, app_id: AppId) -> bool:
    """Whether an install of an app was erased alone."""
    return await tx.one(_INSTALL_RECEIPT, app_id) is not None


async def is_undo_hidden(tx: Transaction, app_id: AppId) -> bool:
    """Whether an erasure has put an undo out of sight."""
    return await tx.one(_UNDO_HIDDEN, app_id) is not None


async def is_buried(tx: Transaction, app_id: AppId, prefix: bytes) -> bool:
    """Whether a tombstone of an app begins so."""
    return await tx.one(_TOMBSTONE_LIKE, app_id, prefix, prefix + b"\xff" * 32) is not None


async def buried_by(tx: Transaction, digest: bytes) -> tuple[str, str | None] | None:
    """What this keyed hash is of (`tombstones.kind`), and the receipt that says so; None where nobody is gone."""
    row = await tx.one(_BURIED_BY, digest)
    return (row[0], row[1]) if row else None


async def are_tombstones(tx: Transaction) -> bool:
    """Whether anybody was ever erased."""
    return await tx.one(_ANY_TOMBSTONE) is not None


async def buried(tx: Transaction, receipt_id: bytes) -> dict[str, int]:
    """How many tombstones of each kind a receipt has; looks through the whole table."""
    return {row[0]: int(row[1]) for row in await tx.all(_BURIED, receipt_id)}


async def was_erased_in_part(tx: Transaction, user_id: UserId) -> bool:
    """Whether an install or a stretch of time of a user was erased."""
    return await tx.one(_ERASED_IN_PART, user_id) is not None


# The payload log

_LOG_HEAD: Final = "SELECT position FROM log_head WHERE only_row = 1"
_PARTITIONS: Final = "SELECT partition_no, position, epoch FROM log_partitions ORDER BY partition_no"
_RECORDS: Final = (
    "SELECT partition_no, position, install_id, body FROM log_records WHERE partition_no = $1 ORDER BY position"
)
_SEQS: Final = (
    "SELECT install_id, seq FROM payloads WHERE (install_id, seq) > ($1, $2) ORDER BY install_id, seq LIMIT $3"
)
_SOMETHING_WENT: Final = (
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM receipts) OR EXISTS (SELECT 1 FROM installs WHERE kept_from > 0)"
)


async def log_head(tx: Transaction) -> list[Row]:
    """The head of the payload log."""
    return await tx.all(_LOG_HEAD)


async def partitions(tx: Transaction) -> list[Row]:
    """(partition, cursor, epoch) of each."""
    return await tx.all(_PARTITIONS)


async def records(tx: Transaction, partition: int) -> list[Row]:
    """(partition, position, install, body) of what waits in a partition."""
    return await tx.all(_RECORDS, partition)


async def seqs(tx: Transaction, install_id: bytes, seq: int, limit: int) -> list[Row]:
    """(install, position) of some kept uploads, from behind one."""
    return await tx.all(_SEQS, install_id, seq, limit)


async def something_went(tx: Transaction) -> bool:
    """Whether uploads may be gone for a reason: an erasure, or retention."""
    return await tx.one(_SOMETHING_WENT) is not None
