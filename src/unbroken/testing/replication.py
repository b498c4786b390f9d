"""A PostgreSQL primary and a synchronous standby of it, for tests: one may die, the other be promoted, and so on.

A commit of the primary is answered when both have it on their disks. `postgresql.conf` is not asked for that: the
standby's name is set by SQL, as an operator or Patroni would, since a promoted one begins alone.

`python -m unbroken.testing.replication FILE` runs both until it is ended, and writes the URL of a database to FILE.
When FILE.lost appears the primary is killed and the standby promoted; then FILE.lost is gone.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import asyncpg

from unbroken.testing.member import HERE, ProcessFailed
from unbroken.testing.postgres import PostgresServer, run_apart
from unbroken.testing.process import offer

if TYPE_CHECKING:
    from types import TracebackType

STANDBY: Final = "unbroken_standby"
"""By which a standby calls itself, and the primary waits for it."""

_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.02
_LOOK_EVERY_S: Final = 0.1
_STATE: Final = "SELECT sync_state FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'"


class StandbyServer(PostgresServer):
    """A server that begins as a copy of another and follows it; started for the first time, it takes the copy.

    Args:
        of: the running server that it follows.
        port: on which it is to listen; a free one without it.
    """

    def __init__(self, of: PostgresServer, port: int | None = None) -> None:
        super().__init__(HERE, **of.settings)
        self._of = of
        self._port = port

    def _fill(self, directory: Path) -> None:
        source = f"{self._of.url()}?application_name={STANDBY}"
        self._run_program(
            directory, "pg_basebackup", f"--pgdata={self.data}", f"--dbname={source}", "--write-recovery-conf",
            "--checkpoint=fast", "--wal-method=stream", "--no-sync",
        )  # fmt: skip

    def promote(self) -> None:
        """Make it a primary; returns when it takes writes. By its own program: replaying may end a session's call."""
        self._run_program(self.data.parent, "pg_ctl", "promote", "--wait", f"--pgdata={self.data}")


class ReplicatedPostgres:
    """Two servers, one of them the primary; a context manager that starts and stops both.

    Attributes:
        primary: takes writes, and answers a commit when the standby has it too.
        standby: follows; it may be promoted.
    """

    def __init__(self, **settings: str) -> None:
        self.primary = PostgresServer(HERE, **settings)
        self.standby = StandbyServer(self.primary)

    def url(self, database: str = "postgres") -> str:
        """Of a database, on whichever of the two is the primary."""
        rest, _, _ = self.primary.url(database).rpartition("/")
        return f"{rest},127.0.0.1:{self.standby.port}/{database}"

    def start(self) -> Self:
        """Start both, and wait until the primary waits for the standby."""
        self.primary.start()
        self.standby.start()
        self.synchronise()
        return self

    def synchronise(self) -> None:
        """From now on a commit waits for the standby; returns when it follows."""
        tell(self.primary, f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'", "SELECT pg_reload_conf()")
        self.await_synchronous()

    def await_synchronous(self) -> None:
        """Return when the standby has caught up, so that whatever was committed is on both.

        Raises:
            ProcessFailed: it does not in time.
        """
        until = time.monotonic() + _TIMEOUT_S
        while run_apart(_value(self.primary.url(), _STATE, STANDBY)) != "sync":
            if time.monotonic() > until:
                raise ProcessFailed(f"The standby does not follow.\n{self.standby.output()}")
            time.sleep(_POLL_S)

    def promote(self) -> None:
        """Make the standby a primary, which waits for nobody; returns when it takes writes."""
        self.standby.promote()
        tell(self.standby, "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()")

    def swap(self) -> None:
        """After a promotion: what was the standby is the primary, and in the dead one's place comes a new standby."""
        dead, self.primary = self.primary, self.standby
        port = dead.port
        dead.discard()
        self.standby = StandbyServer(self.primary, port)
        self.standby.start()
        self.synchronise()

    def stop(self) -> None:
        """Stop both and throw their data away."""
        self.standby.discard()
        self.primary.discard()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def tell(server: PostgresServer, *statements: str) -> None:
    """Have a server do what its superuser says, each statement in a transaction of its own."""
    run_apart(_tell(server.url(), statements))


async def _tell(url: str, statements: tuple[str, ...]) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _value(url: str, statement: str, *values: Any) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


def _lose_the_primary_at(pair: ReplicatedPostgres, file: Path, ended: set[signal.Signals]) -> None:
    """Until one of the signals has come."""
    is_lost = False
    while signal.sigtimedwait(ended, _LOOK_EVERY_S) is None:
        if not is_lost and file.exists():
            is_lost = True
            pair.primary.kill()
            pair.promote()
            file.unlink()


if __name__ == "__main__":
    named, both = Path(sys.argv[1]), ReplicatedPostgres()
    lost = named.with_name(f"{named.name}.lost")
    offer(both, both.url, named, lambda ended: _lose_the_primary_at(both, lost, ended))
