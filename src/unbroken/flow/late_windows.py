"""Late windows, read from the ledger: from its changes of policy, and from the replays that were switched to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.late_windows import JudgedAnew, LateWindows
from unbroken.store import ledger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import AppId, InstallId
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry


async def windows_of(
    tx: Transaction, app_id: AppId, installs: Iterable[InstallId] = (), until_ms: int = wire.LATEST_MS
) -> LateWindows:
    """The late windows of an app, and what replays said of some installs.

    Args:
        until_ms: what was said later is left out.
    """
    changes = sorted(await ledger.policies(tx, app_id), key=lambda entry: (entry.at, entry.position))
    replayed = {}
    for install_id in installs:
        said = [_judged_anew(entry) for entry in await ledger.replays(tx, app_id, install_id) if entry.at <= until_ms]
        if said:
            replayed[install_id] = said
    in_time = [entry for entry in changes if entry.at <= until_ms]
    return LateWindows(
        changes=tuple((entry.at, _days(entry)) for entry in in_time),
        replayed=replayed,
        handovers=tuple((entry.at, _hours(entry)) for entry in in_time),
    )


def _judged_anew(entry: Entry) -> JudgedAnew:
    fields = entry.fields or {}
    return JudgedAnew(int(fields["received_until"]), _days(entry), int(fields.get("captured_after", -1)))


def _days(entry: Entry) -> int:
    return int((entry.fields or {})["late_window_days"])


def _hours(entry: Entry) -> int:
    return int((entry.fields or {}).get("late_after_handover_hours", 0))
