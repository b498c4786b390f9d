"""What this device is: the state in memory and on disk. The only writer of the state file, under one lock.

The app's threads and the one that uploads change the state at once. A change is made to what the state is at that
very moment, and a write puts down the newest: no change is lost, and no two writes meet.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from msgspec.structs import replace

from unbroken.sdk.errors import StateDamaged, StateLocked
from unbroken.sdk.state import State, StateFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from unbroken.sdk.sealing import SealLevel
    from unbroken.sdk.state import Storage


class Memory:
    """The state of one storage. May be used from several threads.

    Raises:
        StorageInUse: another SDK holds the storage.
    """

    def __init__(self, storage: Storage, app_id: str) -> None:
        self._app_id = app_id
        self._lock = threading.Lock()
        self._file = StateFile(storage)
        self._damage: StateDamaged | None = None
        try:
            self._state = self._kept = self._load()
        except BaseException:  # the disk refuses
            self._file.close()
            raise

    @property
    def state(self) -> State:
        """The state as it is now, whether it is on disk yet or not."""
        return self._state

    @property
    def seal_level(self) -> SealLevel:
        """What protects the state at rest."""
        return self._file.seal_level

    @property
    def is_damaged(self) -> bool:
        """Whether what was on disk could not be read; `state` is an empty one then."""
        return self._damage is not None

    def refuse_damage(self) -> None:
        """Guess nothing from a state that is damaged; one that was locked is tried once more.

        Raises:
            StateDamaged: as it was found.
        """
        with self._lock:
            if isinstance(self._damage, StateLocked):
                self._damage = None
                self._state = self._kept = self._load()
            if self._damage is not None:
                raise self._damage

    def change(self, **fields: object) -> None:
        """Give these fields other values, in memory; every other field stays as somebody else may just have set it."""
        self.update(lambda state: replace(state, **fields))

    def update(self, change: Callable[[State], State]) -> None:
        """Put what `change` makes of the state in its place, in memory; `keep` writes it."""
        with self._lock:
            self._state = change(self._state)

    def update_on_disk(self, change: Callable[[State], State]) -> None:
        """The same, durable when this returns; nothing has changed where `change` raises or the disk refuses.

        Raises:
            SdkError, StateDamaged, OSError: see `keep`.
        """
        with self._lock:
            changed = change(self._state)
            self._file.save(changed)
            self._state = self._kept = changed

    def keep(self) -> None:
        """Write the state if it changed; it is durable when this returns.

        Raises:
            SdkError: the storage was given back.
            StateDamaged: somebody else wrote beside the lock.
            OSError: the disk refuses; the next `keep` tries again.
        """
        with self._lock:
            if self._state != self._kept:  # what the platform says again needs no disk
                self._file.save(self._state)
                self._kept = self._state

    def discard_damage(self) -> None:
        """Start from nothing where the state on disk is damaged (`reset`)."""
        with self._lock:
            if self._damage is not None:
                self._file.remove()
                self._damage = None

    def close(self) -> None:
        """Give the storage back. Can be repeated."""
        with self._lock:
            self._file.close()

    def _load(self) -> State:
        try:
            return self._file.load() or State(app_id=self._app_id)
        except StateDamaged as damage:
            self._damage = damage
            return State(app_id=self._app_id)
