"""Arrival: what an archive says of one person, before its events and payloads, as the ledger's own types."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from unbroken import wire
from unbroken.domain.ids import FactId, InstallId, UserId, parse_external_id, parse_id
from unbroken.domain.ledger.facts import FactKind
from unbroken.domain.timeline.fold import tail
from unbroken.domain.timeline.freeze import thaw
from unbroken.flow import archive
from unbroken.flow.facts import fact_of
from unbroken.flow.unseal import refused
from unbroken.flow.zones import zone_of
from unbroken.store.ledger import Entry
from unbroken.store.retention import Floor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.domain.ids import ExternalId
    from unbroken.domain.ledger.facts import Fact
    from unbroken.flow.unseal import Numbered

Derived = tuple[int, archive.Line]
"""A line that follows from others, with its number."""


@dataclass(frozen=True, slots=True)
class Told:
    """One fact of an archive, and what was kept of how it was decided."""

    number: int
    entry: Entry
    line: archive.Fact | archive.Policy

    @property
    def is_policy(self) -> bool:
        """Whether it is the app's, and not the person's."""
        return isinstance(self.line, archive.Policy)


@dataclass(slots=True)
class Arrival:
    """One archive, as far as it is small.

    Args:
        first: the first line after all this, of an event or a payload, if there is one.
        tied: by the fact of this person that comes next in the ledger, those of others before it; None: none does.
        kept_before: events that begin before this instant cannot be computed any more, and come as they are.
    """

    header: archive.Header
    derived: list[Derived] = field(default_factory=list)
    installs: dict[InstallId, archive.Install] = field(default_factory=dict)
    users: dict[UserId, archive.User] = field(default_factory=dict)
    external_ids: list[ExternalId] = field(default_factory=list)
    facts: list[Told] = field(default_factory=list)
    fact_ids: set[FactId] = field(default_factory=set)
    tied: dict[FactId | None, list[FactId]] = field(default_factory=dict)
    metadata: dict[UserId, dict[str, str]] = field(default_factory=dict)
    refused_links: list[tuple[InstallId, archive.RefusedLink]] = field(default_factory=list)
    floor: Floor | None = None
    kept_before: int = 0
    first: Numbered | None = None

    @property
    def user_id(self) -> UserId:
        """The person's current id."""
        return UserId(bytes.fromhex(self.header.user_id))


def read_arrival(lines: Iterator[Numbered]) -> Arrival:
    """Everything up to the first event or payload.

    Raises:
        InvalidRequest: with the number of the line.
    """
    opening = next(lines)
    assert isinstance(opening.line, archive.Header)
    _id(1, opening.line.user_id)
    _id(1, opening.line.app_id)
    arrival = Arrival(opening.line)
    for numbered in lines:
        if isinstance(numbered.line, archive.Event | archive.Payload):
            arrival.first = numbered
            break
        _add(arrival, numbered.number, numbered.line)
    if arrival.user_id not in arrival.users:
        raise refused(1, "The archive does not speak of the user that it is of.")
    return arrival


def _add(arrival: Arrival, number: int, line: archive.AnyLine) -> None:
    match line:
        case archive.User() | archive.ExternalId() | archive.Install() | archive.Span():
            arrival.derived.append((number, line))
            _add_name(arrival, number, line)
        case archive.Fact() | archive.Policy():
            _add_fact(arrival, Told(number, entry_of(number, line), line))
        case archive.Metadata():
            _add_metadata(arrival, number, line)
        case archive.RefusedLink():
            _add_refused(arrival, number, line)
        case archive.Tied(facts=facts, before=before):
            place = FactId(_id(number, before)) if before is not None else None
            arrival.tied[place] = [FactId(_id(number, one)) for one in facts]
        case archive.Floor():
            _add_floor(arrival, number, line)
        case _:
            pass  # short-lived, for the reader


def _add_fact(arrival: Arrival, told: Told) -> None:
    if told.entry.fact_id in arrival.fact_ids:
        raise refused(told.number, "The fact is in the archive twice.")
    arrival.facts.append(told)
    arrival.fact_ids.add(told.entry.fact_id)


def _add_name(arrival: Arrival, number: int, line: archive.Line) -> None:
    match line:
        case archive.User(user_id=user_id):
            arrival.users[UserId(_id(number, user_id))] = line
        case archive.ExternalId(external_id=text):
            external_id = parse_external_id(text, frozenset())
            if external_id is None or external_id != text:
                raise refused(number, "This is no external id.")
            arrival.external_ids.append(external_id)
        case archive.Install(install_id=install_id, device=device):
            _check_device(number, bytes(device))
            arrival.installs[InstallId(_id(number, install_id))] = line
        case _:
            pass


def _check_device(number: int, device: bytes) -> None:
    try:
        zone_of(device.decode())
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise refused(number, "What the SDK reported of the device is not as it was written.") from None


def _add_metadata(arrival: Arrival, number: int, line: archive.Metadata) -> None:
    user_id = UserId(_id(number, line.user_id))
    if user_id not in arrival.users:
        raise refused(number, "The archive does not speak of this user.")
    arrival.metadata[user_id] = line.pairs


def _add_refused(arrival: Arrival, number: int, line: archive.RefusedLink) -> None:
    install_id = InstallId(_id(number, line.install_id))
    if install_id not in arrival.installs:
        raise refused(number, "The archive does not speak of this install.")
    try:
        wire.decode(bytes(line.trace), wire.RefusedLink)
    except msgspec.MsgspecError as error:
        raise refused(number, f"This is no trace of a refused link: {error}.") from None
    arrival.refused_links.append((install_id, line))


def _add_floor(arrival: Arrival, number: int, line: archive.Floor) -> None:
    try:
        floor = Floor(line.at, b64decode(line.state, validate=True), line.last_fix)
        open_then = tail(thaw(floor.state))
    except Exception:  # noqa: BLE001 - whatever it is that cannot be thawed
        raise refused(number, "The state of the fold cannot be read.") from None
    arrival.floor = floor
    arrival.kept_before = min((event.start_ms for event in open_then), default=floor.at_ms + 1)


# Facts


def entry_of(number: int, line: archive.Fact | archive.Policy) -> Entry:
    """A fact as the ledger keeps it; it must be one that the fold can read.

    Raises:
        InvalidRequest.
    """
    try:
        entry = _policy(line) if isinstance(line, archive.Policy) else _fact(line)
        fact_of(entry)
        if isinstance(line, archive.Fact) and line.undo_answer != archive.NULL:
            wire.decode(bytes(line.undo_answer), wire.Undone)
    except (KeyError, ValueError, TypeError, AssertionError, msgspec.MsgspecError) as error:
        raise refused(number, f"This is no fact: {error}.") from None
    return entry


def _policy(line: archive.Policy) -> Entry:
    fact_id = FactId(bytes.fromhex(line.fact_id))
    return Entry(fact_id, line.at, FactKind.POLICY_CHANGED, line.actor, fields=line.fields, reason=line.reason)


def _fact(line: archive.Fact) -> Entry:
    kind = FactKind(line.fact)
    if kind is FactKind.POLICY_CHANGED:
        raise ValueError("a change of policy has a kind of its own")
    subject = line.fields["subject"] if kind is FactKind.UNLINKED else None
    return Entry(
        fact_id=FactId(_known(line.fact_id)),
        at=line.at,
        kind=kind,
        actor=line.actor,
        install_id=InstallId(_known(line.install_id)) if line.install_id is not None else None,
        user_id=UserId(_known(line.user_id)) if line.user_id is not None else None,
        external_id=parse_external_id(line.external_id, frozenset()) if line.external_id is not None else None,
        fields=line.fields,
        reason=line.reason,
        subject=FactId(_known(subject)) if subject is not None else None,
    )


def _known(text: str) -> bytes:
    known = parse_id(text)
    if known is None:
        raise ValueError(f"{text!r} is no id")
    return known


def _id(number: int, text: str) -> bytes:
    known = parse_id(text)
    if known is None:
        raise refused(number, f"{text!r} is no id: 24 hex characters.")
    return known


def at_position(told: Told, position: int) -> Fact | None:
    """The fact as the fold reads it, at a place in the ledger; None for an erasure, which moves nobody."""
    return fact_of(told.entry._replace(position=position))
