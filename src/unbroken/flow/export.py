"""Export: everything held on one person, as one stream of lines (`archive.py`), in constant memory.

One short snapshot says who the person is, what the ledger holds, and the events of the timeline; what is read later is
what cannot change any more: the uploads with a position up to the one that the payload log had reached then. So the
archive is one state of the platform, however slowly it is taken. What comes after that position is left out. Should
anything of it be deleted meanwhile (an erasure, the retention), the stream breaks off without its last line.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from unbroken.domain.errors import Conflict
from unbroken.flow import archive, encoding, held
from unbroken.flow.take import upload_of
from unbroken.flow.uploads import decompress
from unbroken.flow.whose import person
from unbroken.store import dead_letters, holdings, identity, timelines
from unbroken.store.holdings import KeptUpload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import IO

    from unbroken.domain.ids import InstallId, UserId
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.whose import Person
    from unbroken.store.contract import Transaction
    from unbroken.store.dead_letters import DeadLetter
    from unbroken.store.timelines import EventRow

_IN_MEMORY_BYTES: Final = 1 << 20
"""Above this the snapshot's lines wait in a file without a name, in the system's directory for such."""

_DELETED: Final = "Something of this person was deleted while it was read."
_EVENTS_AT_ONCE: Final = 500
_UPLOADS_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where an archive was cut.

    Args:
        uploads: how many, by install.
        until: the log's position.
        erasures: how often a part of the person had been erased.
    """

    of: Person
    header: archive.Header
    uploads: Mapping[InstallId, int]
    until: int
    erasures: int


class Export:
    """An archive that is ready to be read out. `close` it, read or not."""

    def __init__(self, context: Context, cut: _Cut, spool: IO[bytes]) -> None:
        self._context = context
        self._cut = cut
        self._spool = spool

    @property
    def header(self) -> archive.Header:
        """The first line."""
        return self._cut.header

    def close(self) -> None:
        """Let go of what was read but not taken."""
        self._spool.close()

    async def lines(self) -> AsyncIterator[bytes]:
        """Every line; the seal comes last, and only where all before it is whole.

        Raises:
            Conflict: something of it was deleted meanwhile.
        """
        seal = archive.Seal()
        async for line in self._unsealed():
            seal.add(line)
            yield line
        if not await self._context.store.read(self._is_untouched):
            raise Conflict(_DELETED)
        yield archive.write(seal.end())

    async def _unsealed(self) -> AsyncIterator[bytes]:
        yield archive.write(self._cut.header)
        self._spool.seek(0)
        for line in self._spool:
            yield line
        for install_id, count in self._cut.uploads.items():
            async for line in self._payloads(install_id, count):
                yield line

    async def _payloads(self, install_id: InstallId, count: int) -> AsyncIterator[bytes]:
        after, told = 0, 0
        while told < count:
            page = await self._context.store.read_long(partial(self._page, install_id, after))
            if not page:
                raise Conflict(_DELETED)
            for upload in page:
                yield _payload(install_id, upload)
            after, told = page[-1].seq, told + len(page)

    async def _page(self, install_id: InstallId, after: int, tx: Transaction) -> list[KeptUpload]:
        """Uploads wait in the log until they are processed; of one install they are processed in order."""
        page = await holdings.uploads_after(tx, install_id, after, self._cut.until, _UPLOADS_AT_ONCE)
        missing = _UPLOADS_AT_ONCE - len(page)
        if missing:
            last = page[-1].seq if page else after
            waiting = await self._context.log.waiting(tx, install_id, last, self._cut.until, missing)
            made = [upload_of(position, record) for position, record in waiting]
            page += [KeptUpload(one.seq, one.received_at, one.offset_ms, one.body) for one in made]
        return page

    async def _is_untouched(self, tx: Transaction) -> bool:
        """Whether the person is there, and no part of it was erased since."""
        of = self._cut.of
        user = await identity.read_user(tx, of.app_id, of.user_id)
        return user is not None and await holdings.count_erasures(tx, of.app_id, of.user_id) == self._cut.erasures


def _payload(install_id: InstallId, upload: KeptUpload) -> bytes:
    """As JSON within the line, where that is the very same bytes; a line break would end the line."""
    body = decompress(upload.body)
    fits = b"\n" not in body and b"\r" not in body
    line = archive.Payload(
        install_id=install_id.hex(),
        received_at=upload.received_at,
        offset_ms=upload.offset_ms,
        body=Raw(body) if fits else archive.NULL,
        body_base64=None if fits else b64encode(body).decode(),
    )
    return archive.write(line)


async def export(context: Context, caller: KeyCaller, user_id: str) -> Export:
    """GET /v3/users/{user_id}/export: the snapshot is taken when this returns.

    Raises:
        NotFound.
    """
    spool = SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115 - `Export.close` closes it
    try:
        cut = await context.store.read_long(lambda tx: _snapshot(context, tx, caller, user_id, spool))
    except BaseException:
        spool.close()
        raise
    return Export(context, cut, spool)


async def _snapshot(context: Context, tx: Transaction, caller: KeyCaller, user_id: str, spool: IO[bytes]) -> _Cut:
    spool.seek(0)
    spool.truncate()  # it may be run again
    of = await person(tx, caller, user_id)
    names = await held.names_of(tx, of)
    spool.writelines(await held.lines_of(tx, of, names))
    await _write_events(tx, of, spool)
    for install in names.installs:
        await _write_dead_letters(tx, install.install_id, spool)
    until = await context.log.head(tx)
    uploads: dict[InstallId, int] = {}
    is_behind = await holdings.is_due(tx, of.user_id)
    for install in names.installs:
        waiting = await context.log.count_waiting(tx, install.install_id)
        uploads[install.install_id] = await holdings.count_uploads(tx, install.install_id) + waiting
        is_behind = is_behind or waiting > 0
    header = archive.Header(archive.FORMAT, of.app_id.hex(), of.user_id.hex(), not is_behind, sum(uploads.values()))
    return _Cut(of, header, uploads, until, await holdings.count_erasures(tx, of.app_id, of.user_id))


async def _write_events(tx: Transaction, of: Person, spool: IO[bytes]) -> None:
    packed = await timelines.labels(tx, of.user_id)
    labels = encoding.unpack_labels(packed) if packed is not None else {}
    page = await _events_after(tx, of.user_id, None)
    while page:
        spool.writelines(_event(row, labels) for row in page)
        page = await _events_after(tx, of.user_id, page[-1])


async def _write_dead_letters(tx: Transaction, install_id: InstallId, spool: IO[bytes]) -> None:
    page = await dead_letters.of_install(tx, install_id, -1, _UPLOADS_AT_ONCE)
    while page:
        spool.writelines(map(_dead_letter, page))
        page = await dead_letters.of_install(tx, install_id, page[-1].position, _UPLOADS_AT_ONCE)


def _dead_letter(letter: DeadLetter) -> bytes:
    body = b64encode(letter.body).decode()
    line = archive.DeadLetter(letter.install_id.hex(), letter.received_at, letter.failed_at, letter.trouble, body)
    return archive.write(line)


async def _events_after(tx: Transaction, user_id: UserId, last: EventRow | None) -> list[EventRow]:
    start_ms, event_id = (0, "") if last is None else (last.start_ms, last.event_id)
    return await holdings.events_after(tx, user_id, start_ms, event_id, _EVENTS_AT_ONCE)


def _event(row: EventRow, labels: Mapping[str, str]) -> bytes:
    told = archive.NULL if row.is_removed else Raw(encoding.served(encoding.unpack(row.body), labels))
    return archive.write(archive.Event(row.event_id, row.start_ms, row.end_ms, row.revision, row.successor, told))
