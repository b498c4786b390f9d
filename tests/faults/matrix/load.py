"""The load: clients that register, link and upload through every API at once, and come again as the SDK does.

Each client is one person after another, who installs the app anew a few times. It keeps what was acknowledged, and
nothing else: what it must find again afterwards, once.
"""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from tests.model.api import PHONE, Api, Connection, random_uuid

from unbroken.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.model.api import App, Reply

CLIENTS: Final = 4
PATIENCE_S: Final = 6.0
"""How long a client waits for a reply before it asks another API."""
_INSTALLS: Final = 4
_UPLOADS: Final = 4
_ITEMS: Final = 3
_PAUSE_S: Final = 0.02
_AGAIN_S: Final = 0.1
_STOP_S: Final = 45.0
_LATER: Final = frozenset({429, 503})
_CLOCK: Final = SystemClock()


@dataclass(slots=True)
class Install:
    """One install, as it was told; `captured` are the times of the items that were acknowledged."""

    install_id: str
    token: str
    credential: str
    link_id: str | None = None
    captured: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Person:
    """Who has an account, and the ids under which each link to it was answered."""

    account: str
    installs: list[Install] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)


class Refused(AssertionError):
    """The platform refused a call of the load, which asks for nothing that may be refused."""


class Client:
    """One client; `person` after person. Its calls go to one API until that fails, then to the next."""

    def __init__(self, base_urls: Sequence[str], app: App, number: int) -> None:
        self.people: list[Person] = []
        self.calls = 0
        self.retries = 0
        self.failure: BaseException | None = None
        self._app = app
        self._number = number
        self._all = [Api(Connection(url), lab=False) for url in base_urls]
        self._apis = itertools.cycle(self._all[number % len(self._all) :] + self._all[: number % len(self._all)])
        self._api = next(self._apis)
        self._keys = itertools.count()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"client-{number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more; what is begun is tried until it is acknowledged."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for the end, and raise what went wrong."""
        self._thread.join(_STOP_S)
        if self._thread.is_alive():
            raise Refused(f"A call of client {self._number} was not answered for {_STOP_S:.0f} s after the end.")
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._be(f"person-{self._number}-{len(self.people)}@example.org")
        except BaseException as error:  # noqa: BLE001 - raised again by `join`
            self.failure = error
        finally:
            for api in self._all:
                api.connection.close()

    def _be(self, account: str) -> None:
        person = Person(account)
        self.people.append(person)
        for _ in range(_INSTALLS):
            if self._stopping.is_set():
                return
            install = self._register(person)
            self._link(person, install)
            for _ in range(_UPLOADS):
                if not self._stopping.is_set():
                    self._upload(install)

    def _register(self, person: Person) -> Install:
        key = self._key()
        told = self._until(201, lambda api: api.register(self._app.basic, PHONE, key=key)).json
        install = Install(told["install_id"], told["user_token"]["token"], told["install_credential"])
        person.installs.append(install)
        return install

    def _link(self, person: Person, install: Install) -> None:
        key = self._key()

        def link(api: Api) -> Reply:
            return api.link(self._app.bearer, install.install_id, person.account, key=key)

        told = self._until(200, link).json
        install.link_id = told["link_id"]
        person.answered.add(told["id"])

    def _upload(self, install: Install) -> None:
        now_ms = _CLOCK.now_ms()
        times = [now_ms + 2 + number for number in range(_ITEMS)]
        payload = (self._key(), [location(t) for t in times])
        self._until(202, lambda api: api.upload(install.token, _CLOCK.now_ms(), [payload]))
        install.captured += times
        self._stopping.wait(_ITEMS / 1000)  # the next items are later ones

    def _until(self, status: int, call: Callable[[Api], Reply]) -> Reply:
        """Call until it is answered as it should be; what may pass is tried again, at another API."""
        while True:
            reply = self._reply(call)
            if reply is not None and reply.status == status:
                self.calls += 1
                self._stopping.wait(_PAUSE_S)
                return reply
            if reply is not None and reply.status not in _LATER:
                raise Refused(f"{reply}")
            self.retries += 1
            self._api = next(self._apis)
            time.sleep(_AGAIN_S)

    def _reply(self, call: Callable[[Api], Reply]) -> Reply | None:
        self._api.connection.timeout_s = PATIENCE_S
        try:
            return call(self._api)
        except ConnectionError:
            return None

    def _key(self) -> str:
        return random_uuid(self._app.app_id, self._number, next(self._keys))


class Load:
    """All clients; a context manager in which they are at work."""

    def __init__(self, base_urls: Sequence[str], app: App) -> None:
        self.clients = [Client(base_urls, app, number) for number in range(CLIENTS)]

    @property
    def people(self) -> list[Person]:
        """Everybody, with what was acknowledged."""
        return [person for client in self.clients for person in client.people]

    @property
    def calls(self) -> int:
        """How many calls were acknowledged."""
        return sum(client.calls for client in self.clients)

    @property
    def retries(self) -> int:
        """How often a call was made again."""
        return sum(client.retries for client in self.clients)

    def until(self, more: int, patience_s: float = 30.0) -> None:
        """Return when so many more calls were acknowledged."""
        aim, deadline = self.calls + more, time.monotonic() + patience_s
        while self.calls < aim:
            for client in self.clients:
                if client.failure is not None:
                    raise client.failure
            if time.monotonic() > deadline:
                raise Refused(f"Fewer than {more} calls were acknowledged in {patience_s:.0f} s.")
            time.sleep(0.01)

    def __enter__(self) -> Self:
        for client in self.clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.join()


def location(t: int) -> dict[str, Any]:
    """An item of the load."""
    return {"kind": "location", "t": t, "lat": 51.0 + t % 1000 / 1e6, "lon": 4.0, "acc": 10}
