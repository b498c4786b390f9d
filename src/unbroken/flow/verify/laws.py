"""Laws: what must hold whatever the ledger says, asked of the tables alone (linking.md, laws)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from unbroken import wire
from unbroken.domain.install import form_of
from unbroken.flow.verify.finding import Finding, Rule, key_of, shown
from unbroken.store import inspection

if TYPE_CHECKING:
    from unbroken.domain.ids import InstallId, UserId
    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Transaction


async def of_user(tx: Transaction, user_id: UserId) -> list[Finding]:
    """Laws 1 and 2 of one user."""
    findings = []
    if (other := await inspection.other_carrier(tx, user_id)) is not None:
        findings.append(Finding(Rule.LAW_1, "users", key_of(user_id, "external_id"), shown(other), shown(user_id)))
    for install_id, from_ms, before in await inspection.overlaps(tx, user_id):
        other = f"active while {shown(before)} is"
        findings.append(Finding(Rule.LAW_2, "spans", key_of(install_id, from_ms), other, "one at every instant"))
    return findings


async def of_install(tx: Transaction, log: PayloadLog, install_id: InstallId) -> list[Finding]:
    """One install: its spans tile its life, it is used if it has uploaded, its form is that of its device."""
    row = await inspection.beside(tx, install_id)
    if row is None:
        return []  # the fold misses it
    used, form, device, _ = row
    findings = await _tiling(tx, install_id)
    if not used and await has_uploaded(tx, log, install_id):
        findings.append(Finding(Rule.USED_IS_TOLD, "installs", key_of(install_id, "used"), shown(used), "1"))
    return findings + _form(install_id, form, device)


async def has_uploaded(tx: Transaction, log: PayloadLog, install_id: InstallId) -> bool:
    """Whether any upload of an install is there, processed or not."""
    return await inspection.has_uploads(tx, install_id) or await log.count_waiting(tx, install_id) > 0


async def _tiling(tx: Transaction, install_id: InstallId) -> list[Finding]:
    findings = [
        Finding(Rule.SPANS_TILE, "spans", key_of(install_id, from_ms, "from_ms"), shown(from_ms), shown(until))
        for from_ms, until in await inspection.holes(tx, install_id)
    ]
    registered_at, first, still_open = await inspection.ends(tx, install_id)
    if first != registered_at:
        row = key_of(install_id, "first")
        findings.append(Finding(Rule.SPANS_TILE, "spans", row, shown(first), shown(registered_at)))
    if still_open != 1:
        findings.append(Finding(Rule.SPANS_TILE, "spans", key_of(install_id, "open"), shown(still_open), "1"))
    return findings


def _form(install_id: InstallId, form: Any, device: Any) -> list[Finding]:
    """The raw facts that the SDK reported say the same form (linking.md, form of a device)."""
    try:
        reported = wire.decode(device, dict[str, Any]).get("device") or {}
        platform: Any = reported.get("platform")
        expected = form_of(platform, *(reported.get(name) for name in ("screen_inches", "idiom", "model"))).value
    except (msgspec.MsgspecError, TypeError, AttributeError, UnicodeDecodeError):
        return [Finding(Rule.ROW_READS, "installs", key_of(install_id, "device"), shown(device), "what was reported")]
    if platform == "other" or form == expected:  # of an erased install nothing is left of what it reported
        return []
    return [Finding(Rule.FORM_FOLLOWS, "installs", key_of(install_id, "form"), shown(form), shown(expected))]
