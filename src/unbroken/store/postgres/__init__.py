"""PostgreSQL as a store: one database for several processes, whose writes are grouped in each and serial in all."""

from unbroken.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
