"""A virtual phone or tablet: a storage that survives what real ones survive, and the real SDK on it."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from unbroken.sdk import (
    NO_OP,
    CaptureOutcome,
    Config,
    InitError,
    InitIssue,
    InitState,
    LinkRequest,
    ResetResult,
    Sdk,
    Storage,
    SubmitError,
    Unsealed,
    with_ticket,
)
from unbroken.testing.backup import Backup, take
from unbroken.testing.clock import Appointment, DeviceClock, LabClock
from unbroken.testing.journey import Journey
from unbroken.testing.network import DOWN, GOOD, Conditions, Network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from unbroken import wire
    from unbroken.randomness import Randomness
    from unbroken.sdk.config import SecretSource
    from unbroken.testing.person import CustomerLinker, Person

UPLOAD_EVERY_S: Final = 300
_TRIES_MAX: Final = 200
_RETRY_MAX_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Setting:
    """What every device of a lab shares: the platform, the app, and who links when an app asks."""

    base_url: str
    app_id: str
    secret: SecretSource
    link: CustomerLinker
    clock: LabClock


class VirtualPhone:
    """A phone or tablet with the customer's app on it.

    Args:
        name: in the story, and of its storage.
        setting: of the lab.
        facts: what the SDK reports of the device.
        storage: a directory of its own.
        network: between it and the platform.
        randomness: of its SDK.
        link_timeout_s: how long the SDK lets a linker take, in real seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        setting: Setting,
        facts: wire.Device,
        storage: Path,
        network: Network,
        randomness: Randomness,
        link_timeout_s: float = 60.0,
    ) -> None:
        self.name = name
        self.facts = facts
        self.network = network
        self.person: Person | None = None
        self.outcomes: Counter[CaptureOutcome] = Counter()
        self.clock = DeviceClock(setting.clock)
        self._setting = setting
        self._storage = storage
        self._randomness = randomness
        self._link_timeout_s = link_timeout_s
        self._linker: CustomerLinker | None = None
        self._sdk: Sdk | None = None
        self._plan: list[Appointment] = []
        self._next_upload: Appointment | None = None
        self._is_off = False

    # The app and its login

    def login(self, person: Person, *, linker: CustomerLinker | None = None, tries: int = 1) -> Self:
        """Log into the app as `person` and initialise the SDK with it.

        Args:
            person: whose session the app has from now on.
            linker: in place of the lab's, for this login and every later start of the app.
            tries: how often to try while the network is the reason; no time passes in between.

        Raises:
            InitError: as the SDK says.
        """
        self.person, self._linker = person, linker
        return self.open_app(tries=tries)

    def open_app(self, *, tries: int = 1) -> Self:
        """Start the app, which initialises the SDK; starting it again is what a person does when it did not work.

        With nobody logged in the SDK runs unlinked, as before a login.

        Raises:
            InitError: as the SDK says.
        """
        self._power_needed()
        self.close_app()
        self._sdk = Sdk(self._config())
        for tries_left in reversed(range(tries)):
            try:
                self._sdk.init()
                break
            except InitError as error:
                if error.issue is not InitIssue.SERVICE_UNREACHABLE or not tries_left:
                    raise
        if self.person is not None and self._sdk.is_user_linked:
            self.person.user_id = self._sdk.user_id
        return self

    def close_app(self) -> None:
        """Let the operating system end the app: its storage stays, nothing is uploaded."""
        if self._sdk is not None:
            self._sdk.close()
            self._sdk = None

    def delete_app(self) -> None:
        """Uninstall: the storage and everything that waited in it is gone."""
        self.stop()
        self.close_app()
        shutil.rmtree(self._storage, ignore_errors=True)

    def reinstall(self, *, tries: int = 1) -> Self:
        """Delete the app, install it again and log in as the same person.

        Raises:
            InitError: as the SDK says.
        """
        person = self._person_needed()
        self.delete_app()
        return self.login(person, linker=self._linker, tries=tries)

    def logout(self) -> ResetResult:
        """Log out: the SDK uploads what it can and is reset. Needs an app that was opened."""
        self.stop()
        self.person = None
        return self.sdk.reset()

    def switch_to(self, person: Person, *, tries: int = 1) -> Self:
        """Log out and log in as somebody else on the same device.

        Raises:
            InitError: as the SDK says.
        """
        self.logout()
        return self.login(person, tries=tries)

    # Power, network, backup

    def power_off(self) -> None:
        """Switch the device off: it captures and uploads nothing, its storage stays."""
        self.close_app()
        self._is_off = True

    def power_on(self) -> Self:
        """Switch it on again; the app starts as phones start theirs.

        Raises:
            InitError: as the SDK says.
        """
        self._is_off = False
        return self.open_app()

    def go_offline(self) -> None:
        """Lose the network; what is captured waits on the device."""
        self.network.conditions = DOWN

    def go_online(self, conditions: Conditions = GOOD) -> None:
        """Have a network again; what waits goes up with the next upload."""
        self.network.conditions = conditions

    def back_up(self) -> Backup:
        """Copy the app's storage, credentials and all, as a careless app lets the operating system do."""
        taken_at = self._setting.clock.now_ms()
        return take(self._storage, self._storage.with_name(f"{self._storage.name}-backup-{taken_at}"))

    def restore(self, backup: Backup, person: Person) -> None:
        """Fill this device from a backup; the app's own login comes with it. The app is not started yet."""
        self.delete_app()
        self.person = person
        backup.put_back(self._storage)

    # Capture and upload

    def travel(self, journey: Journey | Sequence[wire.Item], *, upload_every_s: int = UPLOAD_EVERY_S) -> Self:
        """Go along a journey, capturing and uploading on the way; the lab's time passes, for every device.

        Args:
            journey: starts now; or ready-made items with capture times of their own.
            upload_every_s: how long the SDK gathers before it uploads, in virtual time.
        """
        items = self.start(journey, upload_every_s=upload_every_s)
        if items:
            self._setting.clock.advance_to(items[-1].t)
        if not self._is_off:
            self.upload()
        return self

    def start(
        self, journey: Journey | Sequence[wire.Item], *, upload_every_s: int = UPLOAD_EVERY_S
    ) -> Sequence[wire.Item]:
        """Set out on a journey, in place of one it is on; it happens as the lab's time passes, beside other devices.

        Returns:
            The items that lie ahead, in order of time.
        """
        now_ms = self._setting.clock.now_ms()
        items = journey.items(now_ms) if isinstance(journey, Journey) else journey
        self.stop()
        ahead = sorted((item for item in items if item.t > now_ms), key=lambda item: item.t)
        self._plan = [self._setting.clock.at(item.t, partial(self._sense, item, upload_every_s)) for item in ahead]
        return ahead

    def stop(self) -> None:
        """Stop where it is: what lies ahead of its journey does not happen."""
        for appointment in self._plan:
            appointment.cancel()
        self._plan = []

    def capture(self, *items: wire.Item) -> CaptureOutcome:
        """Capture items as they are, capture times included."""
        outcome = self.sdk.capture(*items)
        self.outcomes[outcome] += len(items)
        return outcome

    def upload(self) -> bool:
        """Try once to upload what waits; whether nothing waits any more."""
        try:
            self.sdk.submit_detections()
        except SubmitError:
            return False
        return True

    def upload_all(self, tries: int = _TRIES_MAX) -> None:
        """Upload until nothing waits, however bad the network; no time passes.

        Raises:
            TimeoutError: something still waits after that many tries.
        """
        if not any(self.upload() for _ in range(tries)):
            raise TimeoutError(f"{self.name} could not upload what waits in {tries} tries")

    # What the device knows

    @property
    def sdk(self) -> Sdk:
        """The SDK of the app that runs; every call of it is allowed."""
        if self._sdk is None:
            raise RuntimeError(f"The app on {self.name} does not run: log in or open it first.")
        return self._sdk

    @property
    def install_id(self) -> str:
        """The id of its install."""
        install_id = self.sdk.install_id
        if install_id is None:
            raise RuntimeError(f"{self.name} has no install: it was never registered.")
        return install_id

    @property
    def state(self) -> str:
        """What the platform said of its install when last asked: active, standby, superseded, ..."""
        return self.sdk.status.install_state

    @property
    def waiting(self) -> int:
        """How many items wait for an upload."""
        return self.sdk.status.waiting_items

    def _sense(self, item: wire.Item, upload_every_s: int) -> None:
        if not self._is_capturing:
            return
        self.capture(replace(item, t=item.t + self.clock.error_ms))
        if self._next_upload is None:
            self._upload_in(upload_every_s)

    def _upload_in(self, pause_s: int) -> None:
        due_ms = self._setting.clock.now_ms() + pause_s * 1000
        self._next_upload = self._setting.clock.at(due_ms, partial(self._upload_when_due, pause_s))

    def _upload_when_due(self, pause_s: int) -> None:
        """What could not be uploaded is tried again, each time after twice the pause."""
        self._next_upload = None
        if self._is_capturing and not self.upload():
            self._upload_in(min(2 * pause_s, _RETRY_MAX_S))

    @property
    def _is_capturing(self) -> bool:
        """Whether it is switched on and its app runs with an SDK that is initialised."""
        return not self._is_off and self._sdk is not None and self._sdk.init_state is InitState.INITIALIZED

    def _config(self) -> Config:
        return Config(
            app_id=self._setting.app_id,
            base_url=self._setting.base_url,
            storage=Storage(self._storage, seal=Unsealed()),
            secret=self._setting.secret,
            link=with_ticket(self._link) if self.person is not None else NO_OP,
            link_timeout_s=self._link_timeout_s,
            device=self.facts,
            upload_every_s=None,
            retry_wait_max_s=0.0,
            transport=self.network,
            clock=self.clock,
            randomness=self._randomness,
        )

    def _link(self, request: LinkRequest) -> object:
        return (self._linker or self._setting.link)(self._person_needed(), request)

    def _person_needed(self) -> Person:
        if self.person is None:
            raise RuntimeError(f"Nobody is logged in on {self.name}.")
        return self.person

    def _power_needed(self) -> None:
        if self._is_off:
            raise RuntimeError(f"{self.name} is switched off.")

    def __repr__(self) -> str:
        return f"VirtualPhone({self.name!r})"
