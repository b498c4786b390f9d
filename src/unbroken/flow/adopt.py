"""Adopt: persons come in from archives, each whole or not at all, in constant memory.

Payloads and events are brought in first, some at a time, under ids that nobody has yet, so nobody sees them. Facts,
users, installs, activations and what is due are written in one transaction at the end; the ids are there from then on.
What a killed run left is cleared away by the next import of the same person, or of anybody ten minutes later.

Nothing that follows from a rule is taken from the file: the fold says who is who, the worker computes the timeline,
and a file that says otherwise is refused. An install comes without a credential: whoever holds one is told to
register anew (`INSTALL_CLONED`).
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from unbroken.domain.app import App, Scope
from unbroken.domain.errors import Conflict, InvalidRequest, NotFound, Refusal
from unbroken.domain.ids import AppId, InstallId, UserId, parse_id
from unbroken.flow import archive, encoding
from unbroken.flow.administer import OPERATOR
from unbroken.flow.arrival import Arrival, read_arrival
from unbroken.flow.authenticate import NO_KEY, KeyCaller
from unbroken.flow.export import export
from unbroken.flow.proof import in_order, prove, refuse_parted
from unbroken.flow.settling import Settling, policies_there, refuse_taken
from unbroken.flow.take import keep_with_rivals, upload_of
from unbroken.flow.unseal import Numbered, read, refused
from unbroken.flow.uploads import compress, take
from unbroken.log.contract import Record
from unbroken.store import adoption, apps, identity, payloads, timelines
from unbroken.store.contract import StoreError
from unbroken.store.timelines import EventRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken.flow.context import Context
    from unbroken.flow.unseal import File
    from unbroken.store.contract import Transaction
    from unbroken.store.payloads import Upload

SILENT_MS: Final = 10 * 60_000
"""A run that has not written anything for so long is dead."""

_BATCH_BYTES: Final = 1 << 20
_BATCH_ROWS: Final = 500
_TRUTH: Final = frozenset({"user", "external_id", "install", "span", "fact", "metadata", "floor", "payload"})
"""The kinds of line by which a person that is there already is held to be the same."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """Who came in, with how many payloads, and who was there already, the same."""

    app_id: AppId
    users: list[UserId] = field(default_factory=list)
    were_there: list[UserId] = field(default_factory=list)
    payloads: int = 0


async def adopt(context: Context, files: Sequence[File], app_id: AppId | None = None) -> Adopted:
    """Import the persons of some archives into an app: all of them, or none.

    Args:
        app_id: None is the app that they were exported from.

    Raises:
        InvalidRequest: a file is not whole, or not as it was written; with the number of the line.
        Conflict: an id or an external id is there already.
        NotFound: there is no such app.
    """
    run = _Run(context)
    try:
        return await run.all_of(files, app_id)
    except BaseException:
        with suppress(StoreError):  # else the next run does it
            await context.store.write(lambda tx: adoption.discard(tx, run.id))
        raise


class _Run:
    """One import."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.id = context.randomness.secret(12)
        self._offsets: dict[InstallId, set[int]] = {}
        self._rows: list[tuple[InstallId, Record]] = []
        self._events: list[tuple[UserId, EventRow]] = []
        self._size_bytes = 0

    async def all_of(self, files: Sequence[File], app_id: AppId | None) -> Adopted:
        arrivals: list[Arrival] = []
        app: App | None = None
        there: list[UserId] = []
        count = 0
        for file in files:
            lines, digest = _digested(read(file))
            arrival = read_arrival(lines)
            app = await self._app(app, app_id, arrival)
            if await self._is_there(app, arrival):
                await self._refuse_unless_same(app, arrival, lines, digest)
                there.append(arrival.user_id)
                continue
            _refuse_twice(arrival, arrivals)
            await self._claim(app, arrival)
            count += await self._bring(arrival, lines)
            arrivals.append(arrival)
        if app is None:
            raise InvalidRequest("There is no archive to import.")
        if arrivals:
            await self._settle(app, arrivals)
        return Adopted(app.app_id, [arrival.user_id for arrival in arrivals], there, count)

    async def _app(self, app: App | None, app_id: AppId | None, arrival: Arrival) -> App:
        wanted = app_id or AppId(bytes.fromhex(arrival.header.app_id))
        if app is not None and app.app_id == wanted:
            return app
        if app is not None:
            raise InvalidRequest("The archives are of different apps: import them one after the other.")
        found = await self.context.store.read(lambda tx: apps.app_by_id(tx, wanted))
        if found is None:
            raise NotFound(f"There is no app {wanted.hex()}.", hint="Name the app to import into: --app APP_ID.")
        return found

    # A person that is there already

    async def _is_there(self, app: App, arrival: Arrival) -> bool:
        user = await self.context.store.read(lambda tx: identity.read_user(tx, app.app_id, arrival.user_id))
        return user is not None and user.redirect is None

    async def _refuse_unless_same(self, app: App, arrival: Arrival, lines: Iterator[Numbered], digest: _Digest) -> None:
        for _ in lines:
            pass  # to the seal: a damaged file is no reason for anything
        mine = _Digest()
        operator = KeyCaller(app, NO_KEY, frozenset(Scope), OPERATOR)
        exported = await export(self.context, operator, arrival.header.user_id)
        try:
            async for line in exported.lines():
                mine.add(line)
        finally:
            exported.close()
        if mine.value != digest.value:
            raise Conflict(f"The user {arrival.header.user_id} is there already, and is not as in the archive.")

    # Bringing in, unseen

    async def _claim(self, app: App, arrival: Arrival) -> None:
        now_ms = self.context.wall.now_ms()

        async def claim(tx: Transaction) -> None:
            await refuse_taken(self.context, tx, app.app_id, arrival)
            installs, users = list(arrival.installs), list(arrival.users)
            await adoption.claim(tx, self.id, installs, users, now_ms, now_ms - SILENT_MS)

        await self.context.store.write(claim)

    async def _bring(self, arrival: Arrival, lines: Iterator[Numbered]) -> int:
        count = 0
        for numbered in _with_first(arrival, lines):
            match numbered.line:
                case archive.Event() as event:
                    self._add_event(arrival, numbered.number, event)
                case archive.Payload() as payload:
                    self._add_payload(arrival, numbered.number, payload)
                    count += 1
                case archive.DeadLetter():
                    pass  # for the reader; its place is in another log
                case _:
                    raise refused(numbered.number, "This line cannot stand here.")
            if self._size_bytes >= _BATCH_BYTES or len(self._rows) + len(self._events) >= _BATCH_ROWS:
                await self._flush()
        await self._flush()
        if count != arrival.header.payloads:
            raise InvalidRequest(f"The header speaks of {arrival.header.payloads} payloads, and there are {count}.")
        return count

    def _add_payload(self, arrival: Arrival, number: int, line: archive.Payload) -> None:
        install_id = parse_id(line.install_id)
        install = arrival.installs.get(InstallId(install_id)) if install_id is not None else None
        if install_id is None or install is None or not install.used:
            raise refused(number, "The payload is of an install that the archive does not bring, or that is unused.")
        body = _body_of(number, line)
        try:
            take(body)
        except Refusal as refusal:
            raise refused(number, f"The body is no upload: {refusal.message}") from None
        record = Record(install_id, line.received_at, compress(body))
        if upload_of(0, record).offset_ms != line.offset_ms:
            raise refused(number, "The clock offset does not follow from the body.")
        self._rows.append((InstallId(record.install_id), record))
        self._size_bytes += len(record.body)

    def _add_event(self, arrival: Arrival, number: int, line: archive.Event) -> None:
        row = _row_of(number, line, is_kept=line.start < arrival.kept_before)
        if row is not None:
            self._events.append((arrival.user_id, row))
            self._size_bytes += len(row.body)

    async def _flush(self) -> None:
        if not self._rows and not self._events:
            return
        now_ms, rows, events = self.context.wall.now_ms(), self._rows, self._events

        async def write(tx: Transaction) -> None:
            await self._refuse_dead(tx, now_ms)
            if rows:
                first = await self.context.log.reserve(tx, len(rows))
                for place, (install_id, record) in enumerate(rows):
                    await self._keep(tx, install_id, upload_of(first + place, record))
            for user_id, row in events:
                await timelines.set_events(tx, user_id, [row])

        await self.context.store.write(write)
        self._rows, self._events, self._size_bytes = [], [], 0

    async def _keep(self, tx: Transaction, install_id: InstallId, upload: Upload) -> None:
        """As `take.keep_uploads`, but nothing is due yet; only other clock offsets can hold copies that matter."""
        offsets = self._offsets.setdefault(install_id, set())
        offsets.add(upload.offset_ms)
        rivals = (await payloads.rivals(tx, [(install_id, upload)]))[0] if len(offsets) > 1 else []
        await keep_with_rivals(tx, [((install_id, upload), rivals)])

    async def _refuse_dead(self, tx: Transaction, now_ms: int) -> None:
        if not await adoption.is_alive(tx, self.id, now_ms):
            raise Conflict("Another import of this person has taken the place of this one.")

    # Letting it be seen

    async def _settle(self, app: App, arrivals: Sequence[Arrival]) -> None:
        refuse_parted(arrivals)
        there = await self.context.store.read_long(lambda tx: policies_there(tx, app, arrivals))
        told = [one for one in in_order(arrivals) if there.takes(one)]
        people = prove(arrivals, told, there.facts)
        settling = Settling(self.context, app, arrivals, told, there)

        async def write(tx: Transaction) -> None:
            await self._refuse_dead(tx, self.context.wall.now_ms())
            await settling.write(tx, people)
            await adoption.release(tx, self.id)

        await self.context.store.write(write)


class _Digest:
    """The SHA-256 of the lines that are the person."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, text: bytes) -> None:
        if archive.kind_of(text) in _TRUTH:
            self._hash.update(text)

    @property
    def value(self) -> bytes:
        return self._hash.digest()


def _refuse_twice(arrival: Arrival, before: Sequence[Arrival]) -> None:
    for user_id in arrival.users:
        if any(user_id in one.users for one in before):
            raise InvalidRequest(f"The user {user_id.hex()} is in two of the files.")


def _digested(lines: Iterator[Numbered]) -> tuple[Iterator[Numbered], _Digest]:
    digest = _Digest()

    def passing() -> Iterator[Numbered]:
        for numbered in lines:
            digest.add(numbered.text)
            yield numbered

    return passing(), digest


def _with_first(arrival: Arrival, lines: Iterator[Numbered]) -> Iterator[Numbered]:
    if arrival.first is not None:
        yield arrival.first
    yield from lines


def _body_of(number: int, line: archive.Payload) -> bytes:
    if (line.body == archive.NULL) == (line.body_base64 is None):
        raise refused(number, "A payload has one body.")
    if line.body_base64 is None:
        return bytes(line.body)
    try:
        return b64decode(line.body_base64, validate=True)
    except ValueError:
        raise refused(number, "The body is no base64.") from None


def _row_of(number: int, line: archive.Event, *, is_kept: bool) -> EventRow | None:
    """The event as it is brought in: what is computed again only has its history, as one that is gone until then."""
    if line.event == archive.NULL:
        return EventRow(line.event_id, line.start, line.end, line.revision, b"", None, line.successor, is_removed=True)
    try:
        event = encoding.revived(bytes(line.event))
    except ValueError as error:
        raise refused(number, f"This is no event: {error}.") from None
    if (event.event_id, event.start_ms, event.end_ms) != (line.event_id, line.start, line.end):
        raise refused(number, "The event is another than the line says.")
    if is_kept:
        return EventRow(line.event_id, line.start, line.end, line.revision, encoding.pack(event), event.place_id)
    if line.revision == 1:
        return None
    return EventRow(line.event_id, line.start, line.end, line.revision - 1, b"", None, is_removed=True)
