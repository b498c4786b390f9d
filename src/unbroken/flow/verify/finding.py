"""What a verification finds: a row that is not what it should be, and whether the right value is proved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, UserId


class Rule(StrEnum):
    """What must hold. The value is the code in logs and JSON, and stays; docs/how-to/verify.md says what to do."""

    LAW_1 = "TWO_USERS_OF_ONE_ACCOUNT"
    LAW_2 = "TWO_INSTALLS_ACTIVE"
    LAW_8 = "TIMELINE_DIFFERS"
    LAW_10 = "ERASED_IS_NAMED"
    LEDGER_FOLDS = "LEDGER_DOES_NOT_FOLD"
    LEDGER_KNOWS = "LEDGER_KNOWS_NOTHING_OF_IT"
    TABLES_ARE_FOLD = "TABLES_DIFFER_FROM_LEDGER"
    POLICY_IS_FACT = "POLICY_DIFFERS_FROM_LEDGER"
    SPANS_TILE = "SPANS_DO_NOT_TILE"
    USED_IS_TOLD = "UPLOADED_BUT_NOT_USED"
    FORM_FOLLOWS = "FORM_DIFFERS_FROM_DEVICE"
    STANDING_IS_TOLD = "STANDING_WAS_NOT_TOLD"
    UPLOAD_READS = "UPLOAD_DIFFERS_FROM_BODY"
    LOG_IS_WHOLE = "LOG_AND_PAYLOADS_DISAGREE"
    RECEIPT_IS_GENUINE = "RECEIPT_NOT_GENUINE"
    AUDIT_IS_WHOLE = "AUDIT_LOG_NOT_WHOLE"
    ROW_READS = "ROW_DOES_NOT_READ"
    NAMED_IS_THERE = "NAMED_ROW_IS_MISSING"


@dataclass(frozen=True, slots=True)
class Mend:
    """How a finding is repaired.

    Args:
        what: `people`: rewrite the one damaged row from the ledger's fold; `timeline`: rewrite what differs from what
            the payloads say; `strays`: delete spans of an install that the ledger never heard of.
        subject: an install of those people, the user, or that install.
    """

    what: Literal["people", "timeline", "strays"]
    app_id: AppId
    subject: bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that breaks a rule.

    Args:
        row: its key, and the column where one is to blame.
        mend: None where nothing proves the right value.
        user_id: one of the people concerned, for `unbroken verify --user`; None where it is not about a person.
    """

    rule: Rule
    table: str
    row: str
    found: str
    expected: str
    mend: Mend | None = None
    user_id: UserId | None = None


@dataclass(slots=True)
class Report:
    """What a verification came to.

    Args:
        checked: how much was looked at, by what it is.
        pending: users whose timeline is to be computed again anyway; it was not looked at.
        unaccounted: positions of the payload log without an upload: erased, past retention, an import that was given
            up, or lost. No proof, and so no finding.
        repaired: what was found and is right now.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    unaccounted: int = 0
    repaired: list[Finding] = field(default_factory=list)


def shown(value: Any) -> str:
    """A value as a finding tells it."""
    match value:
        case None:
            return "nothing"
        case bytes() | bytearray() | memoryview():
            text = bytes(value).hex()
            return text if len(text) <= 64 else f"{len(text) // 2} bytes {text[:16]}..."
        case str():
            return repr(value if len(value) <= 100 else value[:100] + "...")
        case _:
            return str(value)


def key_of(*parts: Any) -> str:
    """The key of a row as a finding tells it."""
    return " ".join(part if isinstance(part, str) else shown(part) for part in parts)
