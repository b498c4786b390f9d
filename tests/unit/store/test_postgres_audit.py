"""What a group noted is in the audit log, or nothing of the group stays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from unbroken.store.audit import Noted
from unbroken.store.postgres.audit import AuditEnd
from unbroken.store.postgres.group import Refused


class Connection:
    """The log goes on before every insertion, so that none finds the end where it was."""

    async def fetchrow(self, statement: str) -> Any:
        return None

    async def execute(self, statement: str, *values: Any) -> str:
        return "INSERT 0 0"


def test_a_group_is_refused_whose_entries_are_not_behind_the_end_when_it_is_asked_for_either():
    with pytest.raises(Refused, match="audit log"):
        asyncio.run(AuditEnd().append(Connection(), [Noted(b"{}", lambda *_: b"h" * 32)]))
