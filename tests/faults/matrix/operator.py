"""Who operates the platform: makes apps, waits until all is processed, and has it verify itself."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.model.api import App

from unbroken.domain.app import Scope
from unbroken.domain.ids import AppId
from unbroken.flow import administer, keys, policies
from unbroken.flow.verify import Wanted, verify
from unbroken.server import data_directory, settings
from unbroken.server.data_directory import MODE_FILE
from unbroken.server.keys import KEYS_FILE
from unbroken.server.platform import open_data
from unbroken.store import due_timelines
from unbroken.store.contract import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from unbroken.flow.context import Context

T = TypeVar("T")
_POLL_S: Final = 0.1
_SETTLED_S: Final = 45.0


@dataclass(frozen=True, slots=True)
class Operator:
    """One command after another, in this process: to start the command line for each would take longer than a fault.

    Args:
        data: a data directory of its own, with the keys of the platform.
        named: the settings that name the stores.
    """

    data: Path
    named: Mapping[str, Any]

    @classmethod
    def beside(cls, platform: Path, data: Path, named: Mapping[str, Any]) -> Operator:
        """With the keys of the platform whose data directory this is."""
        data.mkdir(parents=True, exist_ok=True)
        for file in (KEYS_FILE, MODE_FILE):
            shutil.copy(platform / file, data / file)
        return cls(data, named)

    def do(self, work: Callable[[Context], Awaitable[T]]) -> T:
        """Open the platform beside whoever serves it, and do something."""

        async def whole() -> T:
            mode = data_directory.read_mode(self.data)
            opened = await open_data(settings.load({}, data=self.data, **self.named), mode, serving=False)
            try:
                await opened.context.standings.load(opened.context)
                return await work(opened.context)
            finally:
                await opened.close()

        return asyncio.run(whole())

    def new_app(self, name: str) -> App:
        """An app, and a key that may do everything in it."""

        async def make(context: Context) -> App:
            made = await administer.create_app(context, name)
            await policies.set_policy(context, made.app_id, {"link_burst": "1000000"})
            key = await keys.create_key(context, made.app_id, name, list(Scope))
            return App(made.app_id.hex(), made.app_secret, key.api_key)

        return self.do(make)

    def await_processed(self) -> float:
        """Wait until nothing that was acknowledged waits any more; the seconds that it took.

        Raises:
            AssertionError: it does not end.
        """
        began_s = time.monotonic()
        told = "nothing"
        while time.monotonic() < began_s + _SETTLED_S:
            with suppress(StoreError):
                told = self.do(_waiting)
                if not told:
                    return time.monotonic() - began_s
            time.sleep(_POLL_S)
        raise AssertionError(f"After {_SETTLED_S:.0f} s there still waits: {told}")

    def findings(self, app: App | None = None) -> list[str]:
        """What `unbroken verify` finds, of an app or of everything."""
        wanted = Wanted() if app is None else Wanted(AppId(bytes.fromhex(app.app_id)))
        report = self.do(lambda context: verify(context, wanted, share=1.0))
        return [str(one) for one in report.findings]


async def _waiting(context: Context) -> str:
    """What waits, in words; nothing where nothing does."""
    behind = await context.log.behind()
    due = await context.store.read(lambda tx: due_timelines.due(tx, 2**62, b"", 1000))
    return " and ".join([f"partitions {behind}"] * bool(behind) + [f"{len(due)} timelines"] * bool(due))
