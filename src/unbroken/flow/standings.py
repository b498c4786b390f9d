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
from unbroken.store import apps, standing_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from unbroken.domain.ids import AppId, InstallId
    from unbroken.flow.authenticate import Admitted
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_UPLOADED_MAX: Final = 200_000
_PURGED_EVERY_S: Final = 3_600.0


class Standings:
    """See the module. Belongs to the event loop.

    Attributes:
        admitted: kept for `authenticate.py`; another dict takes its place when apps or keys were changed, so what was
            read before the change and comes in after it is not believed.
        leaks_told: kept for `leaks.py`: until when the operator needs not be told again, by digest.
    """

    def __init__(self) -> None:
        self.admitted: dict[bytes, Admitted] = {}
        self.leaks_told: dict[bytes, int] = {}
        self._changed: dict[InstallId, tuple[Standing, float]] = {}
        self._erased: dict[bytes, float] = {}
        self._digest: Callable[[bytes], bytes] = bytes
        self._stopped_apps: frozenset[AppId] = frozenset()
        self._uploaded: set[InstallId] = set()
        self._seq = 0
        self._purged_s = 0.0
        self._is_fresh = False
        self._turn = 0
        self._reading: asyncio.Future[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def load(self, context: Context) -> None:
        """Read everything that still matters; once, before the first upload is taken."""
        self._stopped_apps = await context.store.read(_stopped_apps)
        await self.refresh(context)

    async def refresh(self, context: Context) -> None:
        """Read what changed since the last time: once for all requests that the loop has in hand.

        A read that began after a request was received knows everything that anybody can have been told before it. On
        an engine whose reads do not suspend that is any read before the loop looks at its sockets again. Where one is
        on its way already, all who come meanwhile share the next.
        """
        if self._is_fresh:
            return
        if self._reading is None and self._next is None:  # nobody passes those who wait for the next
            await self._read(context)
            return
        if self._next is None:
            self._next = asyncio.create_task(self._read_next(context))
        await asyncio.shield(self._next)

    async def _read_next(self, context: Context) -> None:
        while self._reading is not None:
            await asyncio.wait([self._reading])
        self._next = None
        await self._read(context)

    async def _read(self, context: Context) -> None:
        loop = asyncio.get_running_loop()
        began, now_s = self._turn, loop.time()
        loop.call_soon(self._age)
        self._reading = reading = loop.create_future()
        try:
            changes, stopped_apps = await context.store.read(_Changes(self._seq))
        finally:
            self._reading = None
            reading.set_result(None)
        self._digest = context.vault.tombstone
        if stopped_apps is not None:
            self._stopped_apps = stopped_apps
            self.admitted = {}
        for change in changes:
            self._apply(change, now_s)
        self._purge(now_s)
        self._is_fresh = self._turn == began

    def _age(self) -> None:
        self._turn += 1
        self._is_fresh = False

    def _apply(self, change: standing_changes.Change, now_s: float) -> None:
        self._seq = change.seq
        if change.install_id is None:
            return
        if change.standing == standing_changes.ERASED:
            self._erased[change.install_id] = now_s
            self._uploaded.clear()  # one of these is the erased one; the others cost a statement to know again
        else:
            self._changed[change.install_id] = (Standing(change.standing), now_s)

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

    def _purge(self, now_s: float) -> None:
        """Once an hour, forget what every valid token knows, by seconds of the loop's own: no clock can be set to them.

        A token that a clock which is ahead calls expired is valid again when that is set right.
        """
        if now_s < self._purged_s + _PURGED_EVERY_S:
            return
        self._purged_s = now_s
        expired = now_s - USER_TOKEN_LIFE_MS / 1000
        self._erased = {digest: at for digest, at in self._erased.items() if at >= expired}
        self._changed = {install: change for install, change in self._changed.items() if change[1] >= expired}
        if self._erased:
            self.forget([one for one in self._changed if self._digest(one) in self._erased])


class _Changes:
    """The call that reads what changed, and which apps are stopped if that did."""

    def __init__(self, seq: int) -> None:
        self._seq = seq

    async def __call__(self, tx: Transaction) -> tuple[list[standing_changes.Change], frozenset[AppId] | None]:
        changes = await standing_changes.changes_after(tx, self._seq)
        if tx.keys is not None and any(change.standing == standing_changes.ERASED for change in changes):
            tx.keys.forget()
        is_of_apps = any(change.install_id is None for change in changes)
        return changes, await _stopped_apps(tx) if is_of_apps else None


async def _stopped_apps(tx: Transaction) -> frozenset[AppId]:
    return frozenset(app.app_id for app in await apps.every_app(tx) if app.is_disabled)
