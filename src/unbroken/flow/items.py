"""Items: what every upload of a person holds, as a set, each with its outcome (linking.md, which items count)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.payload import Copy, Outcome, copy_that_counts, judge
from unbroken.flow.late_windows import windows_of
from unbroken.flow.uploads import KeptItem, items_of
from unbroken.store import identity, payloads

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unbroken.domain.ids import InstallId
    from unbroken.domain.late_windows import LateWindows
    from unbroken.domain.ledger.people import Span
    from unbroken.flow.whose import Person
    from unbroken.store.contract import Transaction
    from unbroken.store.payloads import Upload


@dataclass(frozen=True, slots=True)
class Judged:
    """One distinct item of an install.

    Args:
        captured_at: the device's time, corrected by the clock offset.
        span: the stretch of the install's life it was captured in, where that decided.
    """

    install_id: InstallId
    payload_id: str
    captured_at: int
    received_at: int
    outcome: Outcome
    item: wire.Item
    raw: bytes
    identity: bytes
    span: Span | None


def corrected(t: int, offset_ms: int) -> int:
    """A device's time on the server's clock, as far as that can be written."""
    return min(max(t + offset_ms, 0), wire.LATEST_MS)


async def judged_between(tx: Transaction, of: Person, from_ms: int, to_ms: int) -> list[Judged]:
    """All items of a person that may have been captured in some time, and others that came in the same uploads."""
    uploads = await payloads.of_user_between(tx, of.user_id, from_ms, to_ms)
    spans = await identity.read_spans_of_user(tx, of.user_id)
    return judge_uploads(uploads, spans, await windows_of(tx, of.app_id, spans))


def judge_uploads(
    uploads: Iterable[tuple[InstallId, Upload]], spans: Mapping[InstallId, Sequence[Span]], windows: LateWindows
) -> list[Judged]:
    """Every distinct item of some uploads, judged; in no particular order."""
    distinct: dict[tuple[InstallId, bytes], tuple[KeptItem, Copy]] = {}
    for install_id, upload in uploads:
        for kept in items_of(upload.body):
            copy = Copy(upload.received_at, upload.offset_ms, kept.payload_id)
            key = (install_id, kept.identity)
            before = distinct.get(key)
            distinct[key] = _better(before, kept, copy) if before else (kept, copy)
    return [
        _judge(install_id, kept, copy, spans.get(install_id, ()), windows)
        for (install_id, _), (kept, copy) in distinct.items()
    ]


def _better(before: tuple[KeptItem, Copy], kept: KeptItem, copy: Copy) -> tuple[KeptItem, Copy]:
    counts = copy_that_counts(before[1], copy)
    is_first = (counts.received_at, counts.payload_id) == (before[1].received_at, before[1].payload_id)
    return (before[0] if is_first else kept, counts)


def _judge(install_id: InstallId, kept: KeptItem, copy: Copy, spans: Sequence[Span], windows: LateWindows) -> Judged:
    captured_at = corrected(kept.item.t, copy.offset_ms)
    days = windows.days(install_id, copy.received_at, captured_at)
    hours = windows.hours_after_handover(copy.received_at)
    outcome, span = judge(captured_at, copy.received_at, spans, days, hours)
    return Judged(
        install_id, copy.payload_id, captured_at, copy.received_at, outcome, kept.item, kept.raw, kept.identity, span
    )
