"""Standings: which installs stand otherwise than their tokens say, and which apps are stopped, kept in memory.

A user token carries how its install stood when it was signed, so taking an upload needs no look-up of who is who; what
changed within a token's life is here. The changes are read from the database, wherever they were made: also by a
command line that works on the same data. Of an erased install only its keyed hash is here (linking.md, law 10).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from unbroken.credentials import USER_TOKEN_LIFE_MS
from unbroken.domain.standing import Standing
from unbroken.store import access, timelines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from unbroken.domain.ids import AppId, InstallId
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_UPLOADED_MAX: Final = 200_000


class Standings:
    """See the module. Belongs to the event loop."""

    def __init__(self) -> None:
        self._changed: dict[InstallId, tuple[Standing, int]] = {}
        self._erased: dict[bytes, int] = {}
        self._digest: Callable[[bytes], bytes] = bytes
        self._stopped_apps: frozenset[AppId] = frozenset()
        self._uploaded: set[InstallId] = set()
        self._seq = 0
        self._purged_at = 0
        self._is_fresh = False

    async def load(self, context: Context) -> None:
        """Read everything that still matters; once, before the first upload is taken."""
        self._stopped_apps = await context.store.read(_stopped_apps)
        await self.refresh(context)

    async def refresh(self, context: Context) -> None:
        """Read what changed since the last time: once for all requests that the loop has in hand.

        Whatever runs before the loop looks at its sockets again was received before this read, so nobody can have been
        told of a change that the read does not know.
        """
        if self._is_fresh:
            return
        now_ms = context.clock.now_ms()
        self._digest = context.vault.tombstone

        async def changes(tx: Transaction) -> list[timelines.Change]:
            return await timelines.changes_after(tx, self._seq, now_ms - USER_TOKEN_LIFE_MS)

        for change in await context.store.read(changes):
            self._seq = change.seq
            if change.install_id is None:
                self._stopped_apps = await context.store.read(_stopped_apps)
            elif change.standing == timelines.ERASED:
                self._erased[change.install_id] = change.at
                self._uploaded.clear()  # one of these is the erased one; the others cost a statement to know again
            else:
                self._changed[change.install_id] = (Standing(change.standing), change.at)
        self._purge(now_ms)
        self._is_fresh = True
        asyncio.get_running_loop().call_soon(self._age)

    def _age(self) -> None:
        self._is_fresh = False

    def of(self, install_id: InstallId, signed: Standing) -> Standing:
        """How an install stands now; `signed` is what its token says."""
        if self._erased and self._digest(install_id) in self._erased:
            self.forget([install_id])
            return Standing.DELETED
        changed = self._changed.get(install_id)
        return signed if changed is None else changed[0]

    def forget(self, install_ids: Iterable[InstallId]) -> None:
        """These were erased: their ids are not to be in memory either."""
        for install_id in install_ids:
            self._changed.pop(install_id, None)
            self._uploaded.discard(install_id)

    def is_stopped(self, app_id: AppId) -> bool:
        """Whether the operator disabled the app."""
        return app_id in self._stopped_apps

    def has_uploaded(self, install_id: InstallId) -> bool:
        """Whether this process has seen an upload of the install: then the database knows that it is used."""
        return install_id in self._uploaded

    def note_upload(self, install_id: InstallId) -> None:
        """Its first upload is durable."""
        if len(self._uploaded) >= _UPLOADED_MAX:
            self._uploaded.clear()
        self._uploaded.add(install_id)

    def _purge(self, now_ms: int) -> None:
        """Once an hour, forget what every valid token knows."""
        if now_ms < self._purged_at + 3_600_000:
            return
        self._purged_at = now_ms
        expired = now_ms - USER_TOKEN_LIFE_MS
        self._erased = {digest: at for digest, at in self._erased.items() if at >= expired}
        self._changed = {install: change for install, change in self._changed.items() if change[1] >= expired}
        if self._erased:
            self.forget([one for one in self._changed if self._digest(one) in self._erased])


async def _stopped_apps(tx: Transaction) -> frozenset[AppId]:
    return frozenset(app.app_id for app in await access.apps(tx) if app.is_disabled)
