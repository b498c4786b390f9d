"""Long reads: threads, each with a reader of its own, so that what a read takes holds up nobody."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from unbroken.store.contract import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSED: Final = "The store is closed."
_AT_ONCE: Final = 4


class Reader(Protocol):
    """A connection that only reads, used by one thread at a time."""

    def interrupt(self) -> None:
        """Break off what runs, if something does; from any thread."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


R = TypeVar("R", bound=Reader)
T = TypeVar("T")


class LongReads(Generic[R]):
    """See the module.

    Args:
        make: makes a reader, in a thread.
    """

    def __init__(self, make: Callable[[], R]) -> None:
        self._make = make
        self._threads = ThreadPoolExecutor(_AT_ONCE, "unbroken-long-read")
        self._idle: list[R] = []
        self._all: set[R] = set()
        self._is_closed = False

    async def run(self, read: Callable[[R], T]) -> T:
        """Read in a thread.

        Raises:
            StoreUnavailable: they were closed.
        """
        if self._is_closed:
            raise StoreUnavailable(CLOSED)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, read)

    def _run(self, read: Callable[[R], T]) -> T:
        if self._is_closed:  # it may have waited for a thread
            raise StoreUnavailable(CLOSED)
        try:
            reader = self._idle.pop()
        except IndexError:
            reader = self._make()
            self._all.add(reader)
        try:
            return read(reader)
        finally:
            self._idle.append(reader)

    async def close(self) -> None:
        """Break off what still runs, then let go of every reader."""
        self._is_closed = True
        if not self._all:
            return
        ending = asyncio.create_task(asyncio.to_thread(self._threads.shutdown))
        while not ending.done():
            for reader in list(self._all):
                reader.interrupt()  # is lost on one that is between two reads, so say it again
            await asyncio.wait([ending], timeout=0.02)
        while self._all:
            await asyncio.to_thread(self._all.pop().close)
