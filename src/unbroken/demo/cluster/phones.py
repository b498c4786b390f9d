"""Virtual phones with the real SDK, and clients who buy, use and reinstall them all the time."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from unbroken.clock import Clock, SystemClock
from unbroken.demo.cluster.promises import Link, Listener, Promises
from unbroken.demo.cluster.proxy import ADDRESS
from unbroken.randomness import Randomness, SystemRandomness
from unbroken.sdk import (
    CaptureOutcome,
    Config,
    Device,
    InitError,
    InitIssue,
    LinkRequest,
    Location,
    Sdk,
    Secret,
    Storage,
    SubmitError,
    Unsealed,
    with_ticket,
)

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from unbroken.backend import Platform
    from unbroken.testing.platform import LabApp

PHONES_OF_A_PERSON: Final = 3
UPLOADS: Final = 4
ITEMS: Final = 6
REINSTALLED: Final = 0.4
"""The share of phones that are reinstalled once."""

PATIENCE_S: Final = 90.0
_PAUSE_S: Final = 0.05
_REQUEST_TIMEOUT_S: Final = 10.0
_PASSING: Final = frozenset({InitIssue.SERVICE_UNREACHABLE, InitIssue.LINK_FAILED})


@dataclass(frozen=True, slots=True)
class World:
    """What every phone shares.

    Args:
        app: that they run.
        network: the proxy in front of the APIs.
        customer: the customer's server, which links.
        promises: where what is acknowledged is noted.
        directory: for their storages.
        over: set when nobody begins anything new.
    """

    app: LabApp
    network: httpx.BaseTransport
    customer: Platform
    promises: Promises
    directory: Path
    over: threading.Event = field(default_factory=threading.Event)
    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)


class Phone:
    """One install of the app, of somebody with an account.

    Args:
        name: of its storage.
        account: at the customer; whom the customer's server links it to.
    """

    def __init__(self, world: World, name: str, account: str) -> None:
        self.account = account
        self._world = world
        self._storage = world.directory / name
        self._captured_ms = 0
        self._sdk = Sdk(self._config())

    @property
    def install_id(self) -> str:
        """Of its install, once it was opened."""
        assert self._sdk.install_id is not None, "the phone was opened"
        return self._sdk.install_id

    @property
    def user_id(self) -> str:
        """Of its user, once it was opened."""
        assert self._sdk.user_id is not None, "the phone was opened"
        return self._sdk.user_id

    def open(self) -> bool:
        """Register and be linked, however often it takes; False where that did not succeed before all is over.

        Raises:
            InitError: for a reason that does not pass.
        """
        while True:
            try:
                self._sdk.init()
            except InitError as error:
                if error.issue not in _PASSING:
                    raise
                if self._world.over.wait(_PAUSE_S):
                    return False
            else:
                return True

    def capture(self, count: int) -> int | None:
        """Capture so many items; the time of the last, epoch milliseconds, or None where it was told to stop."""
        first_ms = max(self._world.clock.now_ms(), self._captured_ms + 1)
        times = range(first_ms, first_ms + count)
        if self._sdk.capture(*map(_somewhere, times)) is not CaptureOutcome.CAPTURED:
            return None
        self._captured_ms = times[-1]
        return self._captured_ms

    def upload(self) -> bool:
        """Try once to upload what waits; what is not acknowledged stays on the phone."""
        try:
            self._sdk.submit_detections()
        except SubmitError:
            return False
        return True

    def upload_all(self) -> None:
        """Upload until nothing waits.

        Raises:
            TimeoutError: the platform was not there for that long.
            RuntimeError: the phone gave something up, as it was told that it can never be taken.
        """
        until = time.monotonic() + PATIENCE_S
        while not self.upload():
            if time.monotonic() > until:
                raise TimeoutError(f"a phone of {self.account} could not upload for {PATIENCE_S:.0f} s")
            time.sleep(_PAUSE_S)
        if dropped := self._sdk.dropped():
            raise RuntimeError(f"a phone of {self.account} gave up {dropped[0].items} items: {dropped[0].reason}")

    def delete(self) -> None:
        """Delete the app with everything it has kept; the platform is not told."""
        self._sdk.close()
        shutil.rmtree(self._storage, ignore_errors=True)

    def _config(self) -> Config:
        world = self._world
        return Config(
            app_id=world.app.app_id,
            base_url=ADDRESS,
            storage=Storage(self._storage, seal=Unsealed()),
            secret=lambda: Secret(world.app.app_secret),
            link=with_ticket(self._link),
            device=Device(platform="android", screen_inches=6.1),
            upload_every_s=None,
            retry_wait_max_s=0.0,
            request_timeout_s=_REQUEST_TIMEOUT_S,
            transport=Listener(world.network, world.promises, lambda: self._sdk.install_id),
            clock=world.clock,
            randomness=world.randomness,
        )

    def _link(self, request: LinkRequest) -> bool:
        """What the customer's server does, with the API key."""
        linked = self._world.customer.link(request.install_id, external_id=self.account, link_ticket=request.ticket)
        self._world.promises.link(request.install_id, Link(self.account, linked.user_id))
        return True


class Crowd:
    """Hands out accounts: each to some phones one after the other, so that several are linked to it at once."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def next_account(self) -> str:
        """Of whoever gets the next phone."""
        return f"person-{next(self._numbers) // PHONES_OF_A_PERSON}"


class Client(threading.Thread):
    """Lives one phone after the other until all is over; `wrong` says what it met that must never happen."""

    def __init__(self, world: World, crowd: Crowd, number: int) -> None:
        super().__init__(name=f"client-{number}", daemon=True)
        self.wrong: str | None = None
        self._world, self._crowd = world, crowd
        self._installs = itertools.count()

    def run(self) -> None:
        """See `threading.Thread.run`."""
        try:
            while not self._world.over.is_set():
                account = self._crowd.next_account()
                self._use_a_phone(account)
                if self._world.randomness.fraction() < REINSTALLED:
                    self._use_a_phone(account)
        except Exception as error:  # noqa: BLE001 - told in the report, which is not good then
            self.wrong = f"{self.name}: {type(error).__name__}: {error}"

    def _use_a_phone(self, account: str) -> None:
        """From its registration to its end in a drawer; all that it has captured was acknowledged then."""
        phone = Phone(self._world, f"{self.name}-{next(self._installs)}", account)
        try:
            if not phone.open():
                return
            for _ in range(UPLOADS):
                phone.capture(ITEMS)
                phone.upload()
                if self._world.over.wait(_PAUSE_S):
                    break
            phone.upload_all()
        finally:
            phone.delete()


def _somewhere(t: int) -> Location:
    return Location(t, 51.05 + t % 1000 / 1e5, 3.72, acc=10.0)
