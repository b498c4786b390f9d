"""Ingest: uploads are taken, durably, and nobody is looked up: which items count is judged when they are processed.

This is the hot path. It knows the install from its token and how it stands from memory (`standings.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.errors import InstallGone, Refusal, Unauthenticated
from unbroken.domain.standing import REASONS, STATES, Standing
from unbroken.flow.uploads import Taken, compress, take
from unbroken.log.contract import Record, UnknownInstall
from unbroken.store import tombstones

if TYPE_CHECKING:
    from unbroken.domain.ids import InstallId
    from unbroken.flow.authenticate import InstallCaller
    from unbroken.flow.context import Context


@dataclass(frozen=True, slots=True)
class Plain:
    """A record whose body is compressed when it is written: in the writer's thread, many in a row, nobody waiting."""

    install_id: bytes
    received_at: int
    json: bytes

    @property
    def body(self) -> bytes:
        """See `Record`."""
        return compress(self.json)


async def ingest(
    context: Context, caller: InstallCaller, body: bytes, *, zstd_body: bytes | None, taken: Taken | None = None
) -> wire.UploadResults:
    """POST /sdk/payloads; what it answers is durable.

    Args:
        body: the JSON, decompressed.
        zstd_body: the body as it came, where it came zstd-compressed.
        taken: the body as `take_plain` took it, where it did.

    Raises:
        InstallGone, InvalidRequest, TooLarge.
        Unauthenticated: the database does not know the install.
    """
    standing = context.standings.of(caller.install_id, caller.standing)
    if standing is Standing.DELETED:
        raise InstallGone
    taken = taken or take(body)
    now_ms = context.clock.now_ms()
    record = Record(caller.install_id, now_ms, zstd_body) if zstd_body else Plain(caller.install_id, now_ms, body)
    is_first = not context.standings.has_uploaded(caller.install_id)
    try:
        await context.log.append(record, first_of_install=is_first)
    except UnknownInstall:
        raise await _refusal_of_unknown(context, caller.install_id) from None
    context.standings.note_upload(caller.install_id)
    return wire.UploadResults(taken.results, STATES[standing].value, REASONS[standing])


async def _refusal_of_unknown(context: Context, install_id: InstallId) -> Refusal:
    """Erased while its upload was on the way; or its token outlives a database that was put back to an older backup."""
    if await context.store.read(lambda tx: tombstones.is_gone(tx, context.vault.tombstone(install_id), "install")):
        return InstallGone()
    return Unauthenticated("This platform does not know the install of this user token.")
