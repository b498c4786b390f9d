"""SQLite as a store: one file, one thread that writes, reads that never wait for it."""

from unbroken.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
