"""Inspection: the rows of a person as they are, raw, for those who check them against what they follow from.

Nothing is made of a row here that a damaged one could break; so values are as the engine gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.ids import AppId, InstallId, UserId
from unbroken.store import timelines
from unbroken.store.sealed import Damaged, as_found, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.contract import Row, Transaction

# One person

_REGISTRATIONS: Final = (
    "SELECT position, app_id, install_id FROM facts WHERE position > $1 AND position <= $2 AND kind = 'registered'"
    " AND NOT is_hidden ORDER BY position LIMIT $3"
)
_REGISTRATIONS_OF: Final = (
    "SELECT position, app_id, install_id FROM facts WHERE app_id = $4 AND position > $1 AND position <= $2"
    " AND kind = 'registered' AND NOT is_hidden ORDER BY position LIMIT $3"
)
_LAST_POSITION: Final = "SELECT coalesce(max(position), 0) FROM facts"
_FIRST_INSTALL_OF: Final = (
    "SELECT app_id, install_id FROM facts WHERE user_id = $1 AND kind = 'registered' AND NOT is_hidden LIMIT 1"
)
_AN_INSTALL_OF: Final = "SELECT app_id, install_id FROM installs WHERE user_id = $1 LIMIT 1"
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
EXTERNAL_ID: Final = "external_id"


def columns(names: Sequence[str]) -> str:
    """Names of `INSTALL` or `USER` as the tables have them: an external id is sealed there."""
    return ", ".join("sealed_id" if name == EXTERNAL_ID else name for name in names)


BESIDE: Final = ("used", "form", "device", "kept_from")

_INSTALL_ROW: Final = f"SELECT {columns(INSTALL)} FROM installs WHERE install_id = $1"
_USER_OF: Final = "SELECT user_id FROM installs WHERE install_id = $1"
_BESIDE_ROW: Final = f"SELECT {', '.join(BESIDE)} FROM installs WHERE install_id = $1"
_USER_ROW: Final = f"SELECT {columns(USER)} FROM users WHERE user_id = $1"
_CARRIER: Final = "SELECT user_id FROM carriers WHERE app_id = $1 AND sealed_id = $2"
_CARRIED: Final = "SELECT app_id, sealed_id, user_id FROM carriers WHERE user_id = $1"
_SPANS: Final = f"SELECT from_ms, {', '.join(SPAN)} FROM spans WHERE install_id = $1 ORDER BY from_ms"


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the ledger says that an install came to be."""

    position: int
    app_id: AppId
    install_id: InstallId


async def registrations(tx: Transaction, app_id: AppId | None, after: int, end: int, limit: int) -> list[Registration]:
    """Some registrations in the ledger's order, of one app or of all, up to position `end`."""
    if app_id is None:
        rows = await tx.all(_REGISTRATIONS, after, end, limit)
    else:
        rows = await tx.all(_REGISTRATIONS_OF, after, end, limit, app_id)
    return [Registration(row[0], AppId(row[1]), InstallId(row[2])) for row in rows if row[2] is not None]


async def last_position(tx: Transaction) -> int:
    """Where the ledger ends."""
    row = await tx.one(_LAST_POSITION)
    return int(row[0]) if row else 0


async def an_install_of(tx: Transaction, user_id: UserId) -> tuple[AppId, InstallId] | None:
    """The app and some install of the user that an id stands for."""
    for _ in range(64):  # a redirect that runs in a circle is one of the things that are looked for
        row = await tx.one(_FIRST_INSTALL_OF, user_id) or await tx.one(_AN_INSTALL_OF, user_id)
        if row is not None and row[1] is not None:
            return AppId(row[0]), InstallId(row[1])
        row = await tx.one(_REDIRECT, user_id)
        if row is None or row[0] is None:
            return None
        user_id = UserId(row[0])
    return None


async def is_time_out_of_sight(tx: Transaction, app_id: AppId, at: int) -> bool:
    """Whether at an instant there is a fact that an erasure has put out of sight."""
    return await tx.one(_IS_TIME_OUT_OF_SIGHT, app_id, at) is not None


async def install(tx: Transaction, install_id: InstallId) -> Row | None:
    """The columns `INSTALL` of one install, its external id as `sealed.as_found` says it."""
    return await _found(tx, INSTALL, await tx.one(_INSTALL_ROW, install_id))


async def user_of(tx: Transaction, install_id: InstallId) -> UserId | None:
    """The user that the tables say an install belongs to."""
    row = await tx.one(_USER_OF, install_id)
    return UserId(row[0]) if row else None


async def beside(tx: Transaction, install_id: InstallId) -> Row | None:
    """The columns `BESIDE`: what an install has that the ledger does not say."""
    return await tx.one(_BESIDE_ROW, install_id)


async def user(tx: Transaction, user_id: UserId) -> Row | None:
    """The columns `USER` of one user, likewise."""
    return await _found(tx, USER, await tx.one(_USER_ROW, user_id))


async def _found(tx: Transaction, names: Sequence[str], row: Row | None) -> Row | None:
    if row is None:
        return None
    place = names.index(EXTERNAL_ID)
    found = await as_found(tx, row[names.index("app_id")], row[place], is_searched=False)
    return (*row[:place], found, *row[place + 1 :])


async def carrier(tx: Transaction, app_id: AppId, external_id: str) -> Any:
    """The user id that carries an external id, or None."""
    row = await tx.one(_CARRIER, app_id, await seal(tx, app_id, external_id))
    return row[0] if row else None


async def carried(tx: Transaction, user_id: UserId) -> list[Row]:
    """(external id, user id) of every external id that links to a user, likewise."""
    rows = await tx.all(_CARRIED, user_id)
    return [(await as_found(tx, app_id, sealed_id), carrier) for app_id, sealed_id, carrier in rows]


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
_NAMED: Final = "SELECT app_id, sealed_id FROM users WHERE user_id = $1 AND redirect IS NULL"


async def overlaps(tx: Transaction, user_id: UserId) -> list[Row]:
    """(install, from, the other install) wherever two activations of a user cover one instant (law 2)."""
    return await tx.all(_OVERLAPS, user_id)


async def holes(tx: Transaction, install_id: InstallId) -> list[Row]:
    """(from, the end before it) wherever a span does not begin where the one before it ends."""
    return await tx.all(_HOLES, install_id)


async def ends(tx: Transaction, install_id: InstallId) -> Row:
    """(registered at, beginning of the first span, number of open spans) of an install that is there."""
    row = await tx.one(_ENDS, install_id)
    assert row is not None
    return row


async def other_carrier(tx: Transaction, user_id: UserId) -> Any:
    """Who else carries the external id of a user, or None (law 1)."""
    row = await tx.one(_NAMED, user_id)
    if row is None:
        return None
    external_id = await as_found(tx, *row, is_searched=False)  # perhaps under another key than in `carriers`
    if external_id is None or isinstance(external_id, Damaged):
        return None
    found = await carrier(tx, AppId(row[0]), external_id)
    return None if found == user_id else found


# Payloads and timelines

_UPLOAD_TIMES: Final = (
    "SELECT seq, received_at, offset_ms, first_t, last_t, reach_ms FROM payloads WHERE install_id = $1 ORDER BY seq"
)
_UPLOAD_BODIES: Final = (
    "SELECT seq, received_at, offset_ms, first_t, last_t, body FROM payloads WHERE install_id = $1 AND seq > $2"
    " ORDER BY seq LIMIT $3"
)
_HAS_UPLOADS: Final = "SELECT 1 FROM payloads WHERE install_id = $1 LIMIT 1"
_CHECKPOINTS: Final = "SELECT at_ms, state FROM checkpoints WHERE user_id = $1 ORDER BY at_ms"
_CHUNKS: Final = "SELECT day, body FROM chunks WHERE user_id = $1 ORDER BY day"
_EVENTS: Final = f"SELECT {timelines.EVENT} FROM events WHERE user_id = $1 ORDER BY start_ms, event_id"
_HEAD: Final = f"SELECT {timelines.HEAD} FROM timelines WHERE user_id = $1"
_ANY_FLOOR: Final = "SELECT 1 FROM floors LIMIT 1"
_HAS_TIMELINE: Final = "SELECT 1 WHERE " + " OR ".join(
    f"EXISTS (SELECT 1 FROM {table} WHERE user_id = $1)"
    for table in ("timelines", "checkpoints", "floors", "events", "chunks")
)

_ERASED_IN_PART: Final = (
    "SELECT 1 FROM facts WHERE kind = 'erased' AND (user_id = $1"
    " OR install_id IN (SELECT install_id FROM installs WHERE user_id = $1)"
    " OR user_id IN (SELECT user_id FROM users WHERE redirect = $1)) LIMIT 1"
)


async def upload_times(tx: Transaction, install_id: InstallId) -> list[Row]:
    """(seq, received at, offset, first, last, reach) of every kept upload of an install."""
    return await tx.all(_UPLOAD_TIMES, install_id)


async def upload_bodies(tx: Transaction, install_id: InstallId, after: int, limit: int) -> list[Row]:
    """(seq, received at, offset, first, last, body) of some uploads, from position `after`."""
    return await tx.all(_UPLOAD_BODIES, install_id, after, limit)


async def has_uploads(tx: Transaction, install_id: InstallId) -> bool:
    """Whether any upload of an install was processed and is kept."""
    return await tx.one(_HAS_UPLOADS, install_id) is not None


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


async def is_any_floor(tx: Transaction) -> bool:
    """Whether payloads of anybody were let go of."""
    return await tx.one(_ANY_FLOOR) is not None


async def has_timeline(tx: Transaction, user_id: UserId) -> bool:
    """Whether anything of a timeline is there."""
    return await tx.one(_HAS_TIMELINE, user_id) is not None


async def was_erased_in_part(tx: Transaction, user_id: UserId) -> bool:
    """Whether an install or a stretch of time of a user was erased."""
    return await tx.one(_ERASED_IN_PART, user_id) is not None
