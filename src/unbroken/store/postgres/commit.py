"""Making a transaction durable, and believing it only where it is so on every server that is to have it.

With a synchronous standby a COMMIT is answered when the standby has it, too. Three things look like that and are not:

- The server gives up waiting when somebody cancels the statement. It answers COMMIT all the same, with a warning.
- A COMMIT of a transaction that has written nothing waits for nobody, though what it has read may be such a change,
  of which nobody knows yet whether the standby has it: the repetition of a call that was answered "not known".
- A driver that waits too long cancels the statement, which is the first of these.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

COMMIT: Final = "COMMIT"
MARKED: Final = (
    "SELECT pg_logical_emit_message(true, 'unbroken', '') WHERE pg_current_xact_id_if_assigned() IS NULL"
    " AND current_setting('synchronous_standby_names') <> ''; COMMIT"
)
"""A COMMIT that waits for the standbys also where nothing was written: an empty message in the server's log is."""

_LONGER: Final = 2.0


class Unsure(Exception):
    """Nobody knows whether a transaction is durable; why, in its words."""


async def commit(connection: Any, *, has_written: bool, limit_s: float) -> str:
    """End the transaction that is open on a connection of asyncpg.

    Args:
        has_written: it has surely changed a row.
        limit_s: how long to wait for the disk and the standbys. Then the connection is dropped, and the server goes on
            waiting: nobody sees the change, and nobody else writes, before the standby has it.

    Returns:
        The server's answer, "COMMIT" or "ROLLBACK".

    Raises:
        Unsure: it was not made durable in time, or perhaps on one server only.
        Exception: as asyncpg or the server says it.
    """
    warnings: list[str] = []

    def note(_: Any, message: Any) -> None:
        if message.severity_en == "WARNING":
            warnings.append(message.message)

    connection.add_log_listener(note)
    is_late = False

    def give_up() -> None:
        nonlocal is_late
        is_late = True
        connection.terminate()

    giving_up = asyncio.get_running_loop().call_later(limit_s, give_up)
    try:
        statement = COMMIT if has_written else MARKED
        ending = asyncio.ensure_future(connection.execute(statement, timeout=limit_s * _LONGER))
        try:
            done: str = await asyncio.shield(ending)
        except asyncio.CancelledError:
            connection.terminate()  # else the driver would have the server give up waiting
            await asyncio.wait([ending])
            raise
    except Exception as error:
        if is_late:
            raise Unsure(f"neither the disk nor a standby has confirmed it for {limit_s:g} s") from error
        raise
    finally:
        giving_up.cancel()
        connection.remove_log_listener(note)
    if warnings:
        raise Unsure(warnings[0])
    return done
