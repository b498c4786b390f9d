"""Kept uploads: each reads, and what its row says of it is what its body says."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import zstandard

from unbroken.domain.payload import clock_offset_ms
from unbroken.flow.items import corrected
from unbroken.flow.uploads import items_of, times_of
from unbroken.flow.verify.finding import Finding, Rule, key_of, shown
from unbroken.store import inspection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.domain.ids import InstallId
    from unbroken.store.contract import Row, Transaction

BODIES_AT_ONCE: Final = 100


class _Times(NamedTuple):
    seq: int
    received_at: int
    offset_ms: int
    first_t: int
    last_t: int
    reach_ms: int


# How far each must be read


async def reaches(tx: Transaction, install_id: InstallId) -> list[Finding]:
    """Every upload of an install must be read wherever a copy of one of its items may be (`payloads.Upload`).

    A longer reach only costs a read, and a copy that is past retention leaves one behind.
    """
    uploads = [_Times(*row) for row in await inspection.upload_times(tx, install_id)]
    if not all(isinstance(value, int) for upload in uploads for value in upload):
        return []  # the bodies tell which
    is_whole = not (await inspection.beside(tx, install_id) or [0])[-1]
    return [
        _finding(install_id, upload.seq, "reach_ms", shown(upload.reach_ms), shown(reach_ms))
        for upload, reach_ms in _reaches(uploads)
        if upload.reach_ms < reach_ms or (is_whole and upload.reach_ms > reach_ms)
    ]


def _reaches(uploads: list[_Times]) -> Iterator[tuple[_Times, int]]:
    """How far each reaches: as far as itself, or one under another clock offset that may hold copies."""
    if len({upload.offset_ms for upload in uploads}) < 2:
        yield from ((upload, corrected(upload.last_t, upload.offset_ms)) for upload in uploads)
        return
    in_order = sorted(uploads, key=lambda upload: upload.first_t)
    longest = max(upload.last_t - upload.first_t for upload in in_order)
    for upload in in_order:
        start = bisect_right(in_order, upload.first_t - longest - 1, key=lambda one: one.first_t)
        stop = bisect_right(in_order, upload.last_t, key=lambda one: one.first_t)
        rivals = [
            one for one in in_order[start:stop] if one.last_t >= upload.first_t and one.offset_ms != upload.offset_ms
        ]
        yield upload, max(corrected(one.last_t, one.offset_ms) for one in [upload, *rivals])


# What each says


async def bodies(tx: Transaction, install_id: InstallId, after: int) -> tuple[int | None, int, list[Finding]]:
    """Some uploads of an install: the position to go on from (None at the end), how many, and what is wrong."""
    rows = await inspection.upload_bodies(tx, install_id, after, BODIES_AT_ONCE)
    findings = [finding for row in rows for finding in _upload(install_id, row)]
    return rows[-1][0] if len(rows) == BODIES_AT_ONCE else None, len(rows), findings


def _upload(install_id: InstallId, row: Row) -> Iterator[Finding]:
    seq, received_at, offset_ms, first_t, last_t, body = row
    if (trouble := trouble_with(body)) is not None:
        yield _finding(install_id, seq, "body", trouble, "an upload")
        return
    sent_at, first, last = times_of(body)
    expected = {"offset_ms": clock_offset_ms(received_at, sent_at), "first_t": first, "last_t": last}
    found: dict[str, Any] = {"offset_ms": offset_ms, "first_t": first_t, "last_t": last_t}
    for column, value in expected.items():
        if found[column] != value:
            yield _finding(install_id, seq, column, shown(found[column]), shown(value))


def trouble_with(body: bytes) -> str | None:
    """Why a kept body cannot be read, if it cannot."""
    try:
        times_of(body)
        for _ in items_of(body):
            pass
    except (msgspec.MsgspecError, zstandard.ZstdError, TypeError, ValueError, RecursionError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def _finding(install_id: InstallId, seq: int, column: str, found: str, expected: str) -> Finding:
    return Finding(Rule.UPLOAD_READS, "payloads", key_of(install_id, seq, column), found, expected)
