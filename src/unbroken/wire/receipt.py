"""The receipt of an erasure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Receipt(Struct, frozen=True, omit_defaults=True, rename={"from_": "from"}):
    """The reply of every erasure: what was deleted, where and when; signed, and without any id of the person.

    `user` and `install` are keyed hashes. `from` and `to` are there where only a time range was erased. The signature
    is over all other members (`flow/receipts.py`); a dry run is not signed.
    """

    receipt_id: str
    application_id: str
    erased: Literal["user", "install", "items"]
    user: str
    erased_at: str
    deleted: dict[str, int]
    install: str | None = None
    from_: str | None = None
    to: str | None = None
    key_id: str = ""
    signature: str = ""
    dry_run: bool = False
