"""Load by clients that come again after a 503, each time to another API, as phones and backends do behind a proxy.

A call is repeated with the same key until it is acknowledged, so whatever is doubled was done twice by the platform.
"""

from __future__ import annotations

import threading
import time
from random import Random  # noqa: TID251 - seeded, so that the same load can be made again
from typing import TYPE_CHECKING, Any, Self

from tests.faults.test_server_killed import Acknowledged, add
from tests.model.api import PHONE, Api, App, Connection, Reply, random_uuid

from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

CLIENTS = 12
PEOPLE = 40
WAIT_S = 120.0
DEADLINE_S = 29.0
"""What an SDK waits for a reply (30 s): a refusal must have come before."""

_PAUSE_S = 0.1


class Client(threading.Thread):
    """One phone and one backend in turn: registers, is linked, uploads, and again."""

    def __init__(self, load: Load, number: int) -> None:
        super().__init__(daemon=True, name=f"client-{number}")
        self.mine = Acknowledged()
        self.count = 0
        self.refused = 0
        self.slowest_s = 0.0
        self.wrong: str | None = None
        self._load = load
        self._number = number
        self._random = Random(number)
        self._keys = 0
        self._turn = number
        self._apis = [Api(Connection(url), lab=False) for url in load.base_urls]

    def run(self) -> None:
        try:
            while not self._load.is_over.is_set():
                self._one_life()
        except Exception as error:  # noqa: BLE001 - told to the test, which fails with it
            self.wrong = repr(error)
        finally:
            self._load.note()
            for api in self._apis:
                api.connection.close()

    def _one_life(self) -> None:
        app, key = self._load.app, self._key()
        told = self._until_done(lambda api: api.register(app.basic, PHONE, key=key))
        install, token = told["install_id"], told["user_token"]["token"]
        self.mine.installs[install] = told["user_id"]
        if self._random.random() < 0.8:
            person, key = f"person-{self._random.randrange(PEOPLE)}", self._key()
            linked = self._until_done(lambda api: api.link(app.bearer, install, person, key=key))
            self.mine.links[install] = person, linked["id"]
        for _ in range(self._random.randrange(4)):
            self._upload(install, token)

    def _upload(self, install: str, token: str) -> None:
        key, begin = self._key(), SystemClock().now_ms() - 50
        times = [begin + place for place in range(self._random.randrange(1, 8))]
        items = [{"kind": "location", "t": t, "lat": 52.5, "lon": 13.4} for t in times]
        self._until_done(lambda api: api.upload(token, SystemClock().now_ms(), [(key, items)]))
        self.mine.items.setdefault(install, []).extend(times)

    def _until_done(self, call: Any) -> Any:
        """Make a call until it is acknowledged; nothing else may be said but 503 with `Retry-After`."""
        while True:
            self._turn += 1
            began = time.monotonic()
            reply: Reply = call(self._apis[self._turn % len(self._apis)])
            self.slowest_s = max(self.slowest_s, time.monotonic() - began)
            if reply.status in {200, 201, 202}:
                self.count += 1
                self._load.note()
                return reply.json
            assert reply.status == 503, reply
            assert int(reply.headers["retry-after"]) >= 1, reply
            self.refused += 1
            self._load.note()
            time.sleep(_PAUSE_S)  # less than it was asked to wait: the platform must bear it

    def _key(self) -> str:
        self._keys += 1
        return random_uuid(self._number, self._keys)


class Load:
    """Clients that run for the length of the block; what each was told is checked when it ends."""

    def __init__(self, base_urls: Sequence[str], app: App) -> None:
        self.base_urls = base_urls
        self.app = app
        self.is_over = threading.Event()
        self.clients = [Client(self, number) for number in range(CLIENTS)]
        self._changed = threading.Condition()

    def note(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def await_each(self, what: str, more: int = 1, limit_s: float = WAIT_S) -> float:
        """Until every client has `more` than now of `what`, "count" of acknowledgements or "refused".

        Returns:
            How long that took, in seconds.
        """
        began = time.monotonic()
        aims = {client: getattr(client, what) + more for client in self.clients}

        def is_there() -> bool:
            assert not any(client.wrong for client in self.clients), self.wrong
            return all(getattr(client, what) >= aim for client, aim in aims.items())

        with self._changed:
            assert self._changed.wait_for(is_there, limit_s), f"{what}: not within {limit_s} s"
        return time.monotonic() - began

    @property
    def wrong(self) -> list[str]:
        return [client.wrong for client in self.clients if client.wrong]

    @property
    def slowest_s(self) -> float:
        return max(client.slowest_s for client in self.clients)

    @property
    def refused(self) -> int:
        return sum(client.refused for client in self.clients)

    def stop(self) -> Acknowledged:
        """Let each client finish what it is at, until that is acknowledged; what all of them were told."""
        self.is_over.set()
        whole = Acknowledged()
        for client in self.clients:
            client.join(WAIT_S)
            assert not client.is_alive(), "a client hangs"
            add(whole, client.mine)
        assert not self.wrong, self.wrong
        return whole

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
