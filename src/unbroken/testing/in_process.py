"""A whole platform in this process, on a real database and without HTTP, for tests that look inside.

Its clock stands still until it is moved, its ids are those of a seed, and nothing is processed until `settle`. What
is told to a customer's server goes through the same steps as over HTTP.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

from unbroken import wire
from unbroken.clock import ManualClock, SystemClock
from unbroken.credentials import Vault
from unbroken.domain.app import Scope
from unbroken.flow import administer, authenticate, events, explain, ingest, keys, link, policies, register, undo
from unbroken.flow.authenticate import AppCaller, InstallCaller, KeyCaller
from unbroken.flow.context import Context
from unbroken.flow.operate import Order
from unbroken.flow.process import Worker
from unbroken.flow.standings import Standings
from unbroken.log.embedded import EmbeddedLog
from unbroken.randomness import SeededRandomness, SystemRandomness
from unbroken.sealing import KEY_BYTES, KeyRing
from unbroken.server.keys import KEYS_FILE, open_key_ring, open_vault
from unbroken.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from unbroken.domain.app import App
    from unbroken.log.contract import PayloadLog
    from unbroken.store.contract import Store

START_MS = 1_790_000_000_000
KEY_RING = KeyRing({1: b"e" * KEY_BYTES})
PAYLOAD_ID = "019ab3f0-6f00-7000-8000-0123456789ab"


async def open_store(directory: Path) -> Store:
    """The store of a platform in `directory`: a file there. Tests put another engine in the place of this function."""
    ring = open_key_ring(directory) if (directory / KEYS_FILE).exists() else KEY_RING
    return await SqliteStore.open(directory / "unbroken.db", keys=ring)


async def open_log(store: Store, directory: Path) -> PayloadLog:  # noqa: ARG001 - others may lie beside it
    """The payload log of a platform in `directory`: in its store. To be replaced likewise."""
    return EmbeddedLog(store)


def _vault_of(directory: Path) -> Vault:
    """That of the directory's keys, so that a command line on the same data knows it; without them one of its own."""
    if (directory / KEYS_FILE).exists():
        return open_vault(directory, SystemRandomness())
    return Vault(pepper=b"p" * 32, signing_key=b"s" * 32)


class Phone:
    """An install as its holder sees it."""

    def __init__(self, caller: InstallCaller, registered: wire.Registered) -> None:
        self.caller = caller
        self.install_id = registered.install_id
        self.own_user_id = registered.user_id
        self.credential = registered.install_credential


class InProcess:
    """See the module; an async context manager. `start_ms` is where its clock begins."""

    def __init__(self, directory: Path, *, start_ms: int = START_MS, seed: int = 1) -> None:
        self._directory = directory
        self.clock = ManualClock(start_ms)
        self._seed = seed

    async def __aenter__(self) -> Self:
        store = await open_store(self._directory)
        log = await open_log(store, self._directory)
        vault = _vault_of(self._directory)
        chance = SeededRandomness(self._seed)
        self.context = Context(store, log, self.clock, SystemClock(), chance, vault, Standings(), lab=True)
        await self.context.standings.load(self.context)
        self.worker = Worker(self.context)
        created = await administer.create_app(self.context, "app")
        self.app_caller: AppCaller = await authenticate.app_by_secret(
            self.context, created.app_id.hex(), created.app_secret
        )
        key = await keys.create_key(self.context, created.app_id, "all", list(Scope))
        caller = await authenticate.by_bearer(self.context, key.api_key)
        assert isinstance(caller, KeyCaller)
        self.key = caller
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.context.log.close()
        await self.context.store.close()

    @property
    def app(self) -> App:
        """The one app there is."""
        return self.app_caller.app

    async def set_policy(self, **changes: str) -> None:
        """Change policies of the app; its callers know at once."""
        await policies.set_policy(self.context, self.app.app_id, changes)
        app = await administer.app_by_id(self.context, self.app.app_id)
        self.app_caller = AppCaller(app)
        self.key = KeyCaller(app, self.key.key_id, self.key.scopes, self.key.name)

    async def register(self, device: wire.Device | None = None, *, install_key: str | None = None) -> Phone:
        """A new install; a phone without a time zone if left out."""
        made_by = wire.SdkVersion("test", "1")
        body = wire.Register(device or wire.Device("android"), made_by, install_key=install_key)
        made = await register.register(self.context, self.app_caller, body, None)
        caller = await authenticate.by_bearer(self.context, made.user_token.token)
        assert isinstance(caller, InstallCaller)
        return Phone(caller, made)

    async def link(self, phone: Phone, external_id: str, *, dry_run: bool = False) -> wire.Linked:
        """What the customer's server says."""
        body = wire.Link(external_id)
        return await link.link(self.context, self.key, phone.install_id, body, dry_run=dry_run, same=None)

    async def undo(self, link_id: str, *, dry_run: bool = False) -> wire.Undone:
        """Take a link, or an undo, back."""
        return await undo.undo(self.context, self.key, link_id, Order(dry_run=dry_run))

    async def upload(self, phone: Phone, items: Sequence[Any], *, sent_at: int | None = None) -> wire.UploadResults:
        """One upload of one payload, sent now by a device whose clock is right, unless `sent_at` says otherwise."""
        payload = {"payload_id": PAYLOAD_ID, "items": list(items)}
        body = {"sent_at": self.clock.now_ms() if sent_at is None else sent_at, "payloads": [payload]}
        return await ingest.ingest(self.context, phone.caller, json.dumps(body).encode(), zstd_body=None)

    async def settle(self) -> None:
        """Process everything acknowledged."""
        await self.worker.settle()

    async def timeline(self, user_id: str, *, as_of: int | None = None) -> bytes:
        """The bytes that a read of all events gives, everything settled."""
        await self.settle()
        wanted = events.Wanted(None, None, all_types=True, limit=None, cursor=None, as_of=as_of)
        return (await events.events(self.context, self.key, user_id, wanted)).body

    async def items(self, user_id: str) -> list[tuple[str, str, str]]:
        """(install, captured at, outcome) of every item of a user, in order."""
        await self.settle()
        page = await explain.items(self.context, self.key, user_id, explain.ALL_TIME, 1_000_000, None)
        return [(item.install_id, item.captured_at, item.outcome) for item in page.items]
