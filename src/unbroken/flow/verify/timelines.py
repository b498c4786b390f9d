"""Timelines: what is served must be what the kept payloads and the activations say, told anew (linking.md, law 8).

Only as far back as the payloads are kept: before a floor events are held against each other alone. What differs is
proved wrong only if everything else agrees. If much differs, a payload may be lost and the timeline right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unbroken.domain.payload import DAY_MS
from unbroken.domain.timeline.freeze import thaw
from unbroken.flow import encoding
from unbroken.flow.timeline import load_all, told_anew
from unbroken.flow.verify.finding import Finding, Mend, Rule, key_of, shown
from unbroken.flow.verify.past import check_kept, check_removed, is_as_its_body_says, kind_of, revision_of
from unbroken.store import due_timelines, inspection, replay, retention, timelines
from unbroken.store.contract import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from unbroken.domain.ids import AppId, UserId
    from unbroken.flow.timeline import Loaded
    from unbroken.flow.timeline_rows import Told
    from unbroken.store.contract import Transaction

_HEAD: Final = timelines.HEAD.split(", ")


class Event(NamedTuple):
    """A row of `events`, raw."""

    event_id: str
    start_ms: Any
    end_ms: Any
    revision: Any
    body: bytes
    place_id: str | None
    successor: str | None
    is_removed: bool

    @property
    def served(self) -> tuple[Any, ...]:
        """Everything but its history."""
        return (self.event_id, self.start_ms, self.end_ms, bytes(self.body), self.place_id, self.successor)


@dataclass(slots=True)
class Looked:
    """A user's timeline as it is, and told anew.

    Args:
        told: None where nothing can be told: a user without a timeline, or inputs that cannot be read.
        wrong_events: by id, each as it should be; None for one that should not be.
        strange: ids of events that nothing could ever have told.
    """

    app_id: AppId
    user_id: UserId
    inputs: list[Any] = field(default_factory=list)
    told: Told | None = None
    is_gone: bool = False
    events: list[Event] = field(default_factory=list)
    wrong_events: dict[str, encoding.Encoded | None] = field(default_factory=dict)
    strange: list[str] = field(default_factory=list)
    wrong_chunks: dict[int, bytes | None] = field(default_factory=dict)
    wrong_columns: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_proved: bool = False

    def add(self, table: str, row: str, found: str, expected: str) -> None:
        """One more thing that is wrong."""
        self.findings.append(Finding(Rule.LAW_8, table, key_of(self.user_id, row), found, expected))

    def told_findings(self) -> list[Finding]:
        """What is wrong, each with how it is repaired where that is proved."""
        mend = Mend("timeline", self.app_id, self.user_id) if self.is_proved else None
        return [replace(finding, mend=mend) for finding in self.findings]


async def look(tx: Transaction, app_id: AppId, user_id: UserId) -> Looked | None:
    """Tell a timeline anew and compare; None where it is due anyway."""
    if await due_timelines.due_of(tx, [user_id]):
        return None
    looked = Looked(app_id, user_id)
    try:
        loaded = await load_all(tx, user_id)
        looked.told = await told_anew(tx, user_id, loaded) if loaded is not None else None
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged input can fail in any way
        looked.add("timelines", "", f"cannot be told anew: {type(error).__name__}: {error}", "inputs that read")
        return looked
    looked.inputs = await replay.inputs(tx, user_id)
    if loaded is None or looked.told is None:
        await _refuse_anything(tx, looked)
        return looked
    await _compare(tx, looked, looked.told, loaded)
    return looked


async def _refuse_anything(tx: Transaction, looked: Looked) -> None:
    """A user that is retired or not there has no timeline.

    Once payloads were let go of somewhere, the rows may be all that is left of somebody else, and stay.
    """
    if await inspection.has_timeline(tx, looked.user_id):
        looked.is_gone = True
        looked.is_proved = not await inspection.is_any_floor(tx)
        looked.add("timelines", "", "rows of a timeline", "none: the user is retired, or not there")


# Comparing


async def _compare(tx: Transaction, looked: Looked, told: Told, loaded: Loaded) -> None:
    looked.events = [Event(*row) for row in await inspection.events(tx, looked.user_id)]
    head = await inspection.head(tx, looked.user_id)
    if head is None and not looked.events and not loaded.uploads:
        return  # nothing was ever computed, as nothing ever came
    _compare_head(looked, told, head)
    _compare_events(looked, told)
    before = len(looked.findings)
    check_kept(looked, told, loaded)
    await check_removed(tx, looked)
    is_history_sound = len(looked.findings) == before
    _compare_chunks(looked, told, await inspection.chunks(tx, looked.user_id))
    _compare_checkpoints(looked, told, await inspection.checkpoints(tx, looked.user_id))
    looked.is_proved = is_history_sound and await _is_proved(tx, looked, loaded, is_head=head is not None)


async def _is_proved(tx: Transaction, looked: Looked, loaded: Loaded, *, is_head: bool) -> bool:
    """Whether what was told anew is right, and not the payloads wrong: something that was made of them agrees with it.

    That is the state with all events, or with all chunks, which hold the same; or all but one row of both.
    """
    if loaded.floor is not None and any(day <= loaded.floor.at_ms // DAY_MS for day in looked.wrong_chunks):
        return False  # it may be all that is left of an event
    is_state_right = is_head and "state" not in looked.wrong_columns
    if is_state_right and (not looked.wrong_events or not looked.wrong_chunks):
        return True
    is_one = len(_wrong_starts(looked)) + bool(looked.wrong_columns) <= 1
    return is_one and loaded.floor is None and not await _is_past_retention(tx, loaded)


def _wrong_starts(looked: Looked) -> set[int]:
    """When wrong events begin; one of which the id was damaged is missing, and another one too many."""
    stored = {row.event_id: row.start_ms for row in looked.events}
    return {stored[one] if event is None else event.start_ms for one, event in looked.wrong_events.items()}


async def _is_past_retention(tx: Transaction, loaded: Loaded) -> bool:
    return any([await retention.kept_from(tx, install_id) for install_id in loaded.spans])


def _compare_head(looked: Looked, told: Told, row: Sequence[Any] | None) -> None:
    if row is None:
        looked.wrong_columns = _HEAD.copy()
        looked.add("timelines", "", "no row", "one")
        return
    for column, found in zip(_HEAD, row, strict=True):
        expected = getattr(told.head, column)
        if found != expected:
            looked.wrong_columns.append(column)
            looked.add("timelines", column, shown(found), shown(expected))


def _compare_events(looked: Looked, told: Told) -> None:
    """Every event that is told must be there, and no other one from where the telling begins."""
    stored = {row.event_id: row for row in looked.events}
    for event in told.events:
        row = stored.get(event.event_id)
        expected = (event.event_id, event.start_ms, event.end_ms, encoding.pack(event), event.place_id, None)
        if row is None:
            looked.wrong_events[event.event_id] = event
            looked.add("events", event.event_id, "no row", shown(event.start_ms))
        elif row.served != expected or row.is_removed or revision_of(row) != row.revision:
            looked.wrong_events[event.event_id] = event
            looked.add("events", event.event_id, _differing(row, expected), "as it is told anew")
    known = {event.event_id for event in told.events}
    for row in looked.events:
        if row.event_id not in known and not row.is_removed and row.start_ms >= told.from_ms:
            looked.add("events", row.event_id, f"an event at {row.start_ms}", "no such event")
            looked.wrong_events[row.event_id] = None
            looked.strange += [] if kind_of(looked.user_id, row) else [row.event_id]


def _differing(row: Event, expected: tuple[Any, ...]) -> str:
    names = ("event_id", "start_ms", "end_ms", "body", "place_id", "successor")
    differing = [name for name, one, other in zip(names, row.served, expected, strict=True) if one != other]
    differing += ["is_removed"] if row.is_removed else []
    differing += ["revision"] if revision_of(row) != row.revision else []
    return ", ".join(differing)


def _compare_chunks(looked: Looked, told: Told, rows: Iterable[Sequence[Any]]) -> None:
    """The events that begin on a day, newest first."""
    before = [row for row in looked.events if not row.is_removed and row.start_ms < told.from_ms]
    days: dict[int, list[encoding.Encoded]] = {}
    kept = [encoding.unpack(row.body) for row in before if is_as_its_body_says(row)]
    for event in sorted([*kept, *told.events], key=lambda one: (-one.start_ms, one.event_id)):
        days.setdefault(event.start_ms // DAY_MS, []).append(event)
    expected = {day: encoding.pack_chunk(events) for day, events in days.items()}
    found = {day: bytes(body) for day, body in rows}
    for day in sorted(expected.keys() | found.keys()):
        if found.get(day) != expected.get(day):
            looked.wrong_chunks[day] = expected.get(day)
            looked.add("chunks", str(day), shown(found.get(day)), shown(expected.get(day)))


def _compare_checkpoints(looked: Looked, told: Told, rows: Iterable[Sequence[Any]]) -> None:
    """Each that is there is right, and of each day the last one is there."""
    expected = dict(told.checkpoints)
    found = {at_ms: bytes(state) for at_ms, state in rows}
    for at_ms, state in found.items():
        if at_ms >= told.checkpoints_from and expected.get(at_ms) != state:
            looked.add("checkpoints", str(at_ms), shown(state), shown(expected.get(at_ms)))
        elif at_ms < told.checkpoints_from and not _is_state_at(looked.user_id, state, at_ms):
            looked.add("checkpoints", str(at_ms), shown(state), "a state of that instant")
    last = {at_ms // DAY_MS: at_ms for at_ms in sorted(expected) if at_ms >= told.checkpoints_from}
    for at_ms in last.values():
        if at_ms not in found:
            looked.add("checkpoints", str(at_ms), "no row", "the last one of its day")


def _is_state_at(user_id: UserId, state: bytes, at_ms: int) -> bool:
    try:
        thawed = thaw(state)
    except Exception:  # noqa: BLE001 - whatever it is that cannot be thawed
        return False
    return thawed.user_id == user_id and thawed.at_ms == at_ms
