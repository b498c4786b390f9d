"""The end of the audit log, as the writer of one process knows it: a group's entries cost it one statement.

The process remembers how the log ended after its last commit, chains the entries of a group behind that, and inserts
them on the condition that it still ends so. Where another process has written since, nothing is inserted and the end is
asked for; whoever met that asks first, until it has the log to itself again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from unbroken.store.audit import EMPTY, LAST, Head, chained
from unbroken.store.contract import StoreUnavailable
from unbroken.store.postgres.group import Refused, named
from unbroken.store.postgres.trouble import may_pass

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.store.audit import Noted

_ADD: Final = (
    "INSERT INTO audit (position, content, hash)"
    " SELECT new.* FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS new"
    " WHERE (SELECT hash FROM audit ORDER BY position DESC LIMIT 1) IS NOT DISTINCT FROM $4::bytea"
)


class AuditEnd:
    """See the module."""

    def __init__(self) -> None:
        self._head: Head | None = None
        self._next: Head | None = None
        self._is_shared = False

    async def append(self, connection: Any, noted: Sequence[Noted]) -> bool:
        """Write down what the calls of a group noted, in its open transaction; whether there was anything.

        Raises:
            Refused: it could not be written, so nothing of the group may stay.
        """
        self._next = None
        if not noted:
            return False
        try:
            if self._head is None or self._is_shared or not await self._add(connection, self._head, noted):
                await self._add_where_it_ends(connection, noted)
        except Exception as error:  # noqa: BLE001 - named for the waiters
            raise Refused(named(error), may_pass=may_pass(error), is_of_one=True) from None
        return True

    async def _add_where_it_ends(self, connection: Any, noted: Sequence[Noted]) -> None:
        head = await _end(connection)
        self._is_shared = self._head is not None and head != self._head
        if not await self._add(connection, head, noted):
            raise StoreUnavailable("Somebody who does not hold the writers' lock adds to the audit log. Try again.")

    async def _add(self, connection: Any, head: Head, noted: Sequence[Noted]) -> bool:
        entries = list(chained(head, noted))
        columns = [list(column) for column in zip(*entries, strict=True)]
        last = None if head == EMPTY else head.hash
        if await connection.execute(_ADD, *columns, last) == "INSERT 0 0":
            return False
        self._next = Head(entries[-1].position, entries[-1].hash)
        return True

    def settle(self) -> None:
        """What was appended is durable. Where nobody knows, the next group finds out by the condition."""
        if self._next is not None:
            self._head = self._next


async def _end(connection: Any) -> Head:
    row = await connection.fetchrow(LAST)
    return EMPTY if row is None else Head(row[0], row[1])
