"""Erased: tombstones and receipts agree, and nothing names in clear who is gone (linking.md, erasure; law 10)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from unbroken import wire
from unbroken.domain.ids import AppId, InstallId, UserId
from unbroken.domain.ledger.facts import FactKind
from unbroken.flow import receipts
from unbroken.flow.verify.finding import Finding, Rule, key_of, shown
from unbroken.flow.verify.laws import has_uploaded
from unbroken.flow.verify.tables import TEXTS
from unbroken.store import crosschecks, inspection
from unbroken.store.standing_changes import ERASED

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.table_pages import Seen

_ID: Final = re.compile(r"(?<![0-9a-f])[0-9a-f]{24}(?![0-9a-f])")
_SHORT: Final = 12


class Erased:
    """Looks at rows of one snapshot with the eyes of those who are gone."""

    def __init__(self, context: Context, tx: Transaction, *, is_anybody_gone: bool) -> None:
        self._context = context
        self._tx = tx
        self._is_anybody_gone = is_anybody_gone
        self._buried_counts: dict[tuple[bytes, str], int] | None = None

    async def findings(self, table: str, row: Seen) -> list[Finding]:
        """What a row of a table says that it must not, or of an erasure what others do not say."""
        findings = await self._in_clear(table, row)
        match table:
            case "facts":
                findings += await self._fact(row)
            case "changes" if row.values["standing"] == ERASED:
                if await self._buried(row.values["install_id"]) is None:
                    findings.append(_finding(table, row, "install_id", row.values["install_id"], "a tombstone"))
            case "receipts":
                findings += await self._receipt(row)
            case _:
                pass
        return findings

    async def is_gone(self, id_: Any) -> bool:
        """Whether an id is of somebody who is gone from here, and not only in part."""
        if not self._is_anybody_gone or not isinstance(id_, bytes):
            return False
        buried = await self._buried(self._context.vault.tombstone(id_))
        if buried is None:
            return False
        is_there_in_part = buried[0] == "install" and await inspection.install(self._tx, InstallId(id_)) is not None
        return not (is_there_in_part and _erased_by(buried[1]) == "install")

    async def _buried(self, digest: Any) -> tuple[str, str | None] | None:
        return await crosschecks.buried_by(self._tx, digest) if isinstance(digest, bytes) else None

    # Names in clear

    async def _in_clear(self, table: str, row: Seen) -> list[Finding]:
        if not self._is_anybody_gone:
            return []
        findings = []
        if table in {"installs", "users"} and await self.is_gone(row.key[0]):
            findings.append(_finding(table, row, "", row.key[0], "no row: it was erased"))
        elif table == "installs":
            findings += await self._in_part(row)
        for column in TEXTS.get(table, ()):
            for text in set(_ID.findall(_text(row.values[column]))):
                if await self.is_gone(bytes.fromhex(text)):
                    findings.append(_finding(table, row, column, text, "no id of who was erased"))
        return findings

    async def _in_part(self, row: Seen) -> list[Finding]:
        """Of an install that was erased alone the ledger keeps the life, and nothing what it captured."""
        install_id = InstallId(bytes(row.key[0]))  # type: ignore[arg-type]
        if await self._buried(self._context.vault.tombstone(install_id)) is None:
            return []
        if not await has_uploaded(self._tx, self._context.log, install_id):
            return []
        return [_finding("payloads", row, "", install_id, "no upload: the install was erased")]

    # Erasures

    async def _fact(self, row: Seen) -> list[Finding]:
        values, app_id = row.values, AppId(row.values["app_id"])
        if values["kind"] == FactKind.REGISTERED and values["is_hidden"]:
            prefix = values["install_id"]
            is_sound = isinstance(prefix, bytes) and await crosschecks.is_buried(self._tx, app_id, prefix[:_SHORT])
            return [] if is_sound else [_finding("facts", row, "install_id", prefix, "the beginning of a tombstone")]
        if values["kind"] != FactKind.ERASED or values["is_hidden"]:
            return []
        fields = _members(values["fields"])
        users = [text for text in fields.get("users", []) if isinstance(text, str)]
        missing = [text for text in users if await self._buried(_bytes(text)) is None]
        if await self._is_receipt_lost(values, fields.get("receipt_id")):
            return [_finding("facts", row, "fields", fields["receipt_id"], "a receipt that is there")]
        return [_finding("facts", row, "fields", text, "a tombstone") for text in missing]

    async def _is_receipt_lost(self, values: dict[str, Any], receipt_id: Any) -> bool:
        """Whether an erasure in part names a receipt that is not there; that of an adopted person is elsewhere."""
        if receipt_id is None or await crosschecks.is_receipt(self._tx, _bytes(str(receipt_id)) or b""):
            return False
        return not await crosschecks.is_adopted(self._tx, values["install_id"], values["user_id"])

    async def _receipt(self, row: Seen) -> list[Finding]:
        body = row.values["body"]
        try:
            receipt = receipts.verify(_text(body).encode(), receipts.public_key(self._context.vault))
        except receipts.NotGenuine as error:
            return [Finding(Rule.RECEIPT_IS_GENUINE, "receipts", key_of(*row.key, "body"), str(error), "genuine")]
        is_its_own = (receipt.receipt_id, receipt.application_id) == (row.key[0].hex(), row.values["app_id"].hex())  # type: ignore[union-attr]
        if not is_its_own:
            return [_finding("receipts", row, "body", receipt.receipt_id, "the receipt of its row")]
        return await self._buried_by(row, receipt)

    async def _buried_by(self, row: Seen, receipt: wire.Receipt) -> list[Finding]:
        """Every user and install that a receipt says was deleted has its tombstone; of it, or of an earlier one."""
        names = [receipt.user] if receipt.erased == "user" else []
        names += [receipt.install] if receipt.install is not None else []
        missing = [text for text in names if await self._buried(_bytes(text)) is None]
        findings = [_finding("receipts", row, "body", text, "a tombstone") for text in missing]
        for kind, told in (("user", "users"), ("install", "installs")) if receipt.erased == "user" else ():
            found, expected = await self._count(bytes(row.key[0]), kind), receipt.deleted.get(told, 0)  # type: ignore[arg-type]
            if found > expected or (found < expected and not await self._may_be_less(row, kind)):
                findings.append(_finding("tombstones", row, "", f"{found} of kind {kind}", str(expected)))
        return findings

    async def _count(self, receipt_id: bytes, kind: str) -> int:
        """How many tombstones of a kind a receipt has; all are counted at once, as nothing leads from one to them."""
        if self._buried_counts is None:
            self._buried_counts = await crosschecks.buried_counts(self._tx)
        return self._buried_counts.get((receipt_id, kind), 0)

    async def _may_be_less(self, row: Seen, kind: str) -> bool:
        """Where an install was erased alone, it may have been buried before its user was."""
        return kind == "install" and await crosschecks.is_install_receipt(self._tx, AppId(row.values["app_id"]))


def _erased_by(receipt: str | None) -> str | None:
    try:
        return wire.decode(receipt or "", wire.Receipt).erased
    except msgspec.MsgspecError:
        return None


def _finding(table: str, row: Seen, column: str, found: Any, expected: str) -> Finding:
    return Finding(Rule.LAW_10, table, key_of(*row.key, *([column] if column else [])), shown(found), expected)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _members(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}


def _bytes(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


async def is_stray(tx: Transaction, install_id: Any) -> bool:
    """Whether the ledger never heard of an install that has spans."""
    return isinstance(install_id, bytes) and not await crosschecks.is_registered(tx, InstallId(install_id))


async def is_given_out(tx: Transaction, app_id: AppId, user_id: UserId) -> bool:
    """Whether the ledger gave a user id out, or may have done so in facts that an erasure has put out of sight."""
    if await crosschecks.is_given_out(tx, user_id):
        return True
    return await crosschecks.is_undo_hidden(tx, app_id)
