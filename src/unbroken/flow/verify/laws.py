"""Laws: what must hold whatever the ledger says, asked of the tables alone (linking.md, laws)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from unbroken.flow.verify.finding import Finding, key_of, shown
from unbroken.flow.verify.people import form_finding
from unbroken.log.contract import partition_of
from unbroken.store import inspection

if TYPE_CHECKING:
    from unbroken.domain.ids import InstallId, UserId
    from unbroken.store.contract import Transaction

_DIGEST_BYTES = (0, 32)
"""An install that was imported holds no credential."""


async def of_user(tx: Transaction, user_id: UserId) -> list[Finding]:
    """One user: laws 1 and 2, its redirect, its holder, its metadata."""
    findings = [
        Finding("law 1: one user per account", "users", key_of(user_id, "external_id"), shown(other), shown(user_id))
        for (other,) in await inspection.other_carriers(tx, user_id)
    ]
    for install_id, from_ms, before in await inspection.overlaps(tx, user_id):
        row, other = key_of(install_id, from_ms), f"active while {shown(before)} is"
        findings.append(Finding("law 2: one active install per user", "spans", row, other, "one at every instant"))
    redirects = await inspection.redirects(tx, user_id)
    if redirects[-1] in redirects[:-1]:
        path = " > ".join(map(shown, redirects))
        findings.append(Finding("redirects end", "users", key_of(user_id, "redirect"), path, "a user that does not"))
    for (holder,) in await inspection.strange_holder(tx, user_id):
        row = key_of(user_id, "holder")
        findings.append(Finding("the holder is an install of its user", "users", row, shown(holder), "one of its own"))
    return findings + _metadata(user_id, await inspection.metadata(tx, user_id))


def _metadata(user_id: UserId, text: Any) -> list[Finding]:
    if text is None or _decoded(text, dict[str, str]) is not None:
        return []
    return [Finding("metadata reads", "users", key_of(user_id, "metadata"), shown(text), "texts by name")]


async def of_install(tx: Transaction, install_id: InstallId) -> list[Finding]:
    """One install: its spans tile its life, it holds a credential, and it is used if it has uploaded."""
    row = await inspection.beside(tx, install_id)
    if row is None:
        return []  # the fold misses it
    used, device, digest, kept_from = row
    findings = await _tiling(tx, install_id)
    if not isinstance(digest, bytes) or len(digest) not in _DIGEST_BYTES:
        row_key = key_of(install_id, "credential_digest")
        findings.append(Finding("an install holds a credential", "installs", row_key, shown(digest), "32 bytes"))
    if not isinstance(kept_from, int) or kept_from < 0:
        findings.append(
            Finding("an instant", "installs", key_of(install_id, "kept_from"), shown(kept_from), "0 or more")
        )
    if not used and await inspection.has_uploaded(tx, install_id, partition_of(install_id)):
        findings.append(
            Finding("pristine: no upload was acknowledged", "installs", key_of(install_id, "used"), "0", "1")
        )
    return findings + await _device(tx, install_id, device)


async def _device(tx: Transaction, install_id: InstallId, text: Any) -> list[Finding]:
    device = _decoded(text, dict[str, Any])
    if device is None:
        return [Finding("the device reads", "installs", key_of(install_id, "device"), shown(text), "what was reported")]
    row = await inspection.install(tx, install_id)
    return form_finding(install_id, row[inspection.INSTALL.index("form")] if row else "", device)


async def _tiling(tx: Transaction, install_id: InstallId) -> list[Finding]:
    rule = "spans tile the life of their install"
    findings = [
        Finding(rule, "spans", key_of(install_id, from_ms, "from_ms"), shown(from_ms), shown(until))
        for from_ms, until in await inspection.holes(tx, install_id)
    ]
    ends = await inspection.ends(tx, install_id)
    assert ends is not None, "it was read in the same snapshot"
    registered_at, first, still_open = ends
    if first != registered_at:
        findings.append(Finding(rule, "spans", key_of(install_id, "first"), shown(first), shown(registered_at)))
    if still_open != 1:
        findings.append(Finding(rule, "spans", key_of(install_id, "open"), shown(still_open), "1"))
    return findings


def _decoded(text: Any, type_: Any) -> Any:
    try:
        return msgspec.json.decode(text, type=type_)
    except (msgspec.MsgspecError, TypeError, UnicodeDecodeError, RecursionError):
        return None
