"""The linking lab: people, virtual phones and tablets, networks and years of time, against a real platform.

    with Lab(seed=7) as lab:
        anna = lab.person("anna")
        old = lab.phone().login(anna)
        old.travel(Journey(HOME).stay(30).walk(CAFE).stay(20))
        new = lab.phone().login(anna)
        new.travel(Journey(CAFE).stay(20).ride(OFFICE).stay(30))
        lab.timeline(anna)          # one timeline: home, a walk, the café, a ride, the office

Time is virtual: a year passes in a moment, and everything happens in the same order in every run of a seed.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import httpx

from unbroken import wire
from unbroken.randomness import SeededRandomness
from unbroken.sdk import Secret
from unbroken.testing.clock import LabClock
from unbroken.testing.network import GOOD, Conditions, Network
from unbroken.testing.person import CustomerLinker, Person, by_lab, by_url
from unbroken.testing.phone import Setting, VirtualPhone
from unbroken.testing.platform import LabApp, View, create_app
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from unbroken.sdk.config import SecretSource

START: Final = "2026-06-02T06:00:00+00:00"
_DAY_MS: Final = 86_400_000


class Lab:
    """A story with virtual devices. Use it as a context manager: on leaving, everything it started is stopped.

    Args:
        app: an app of a platform in lab mode that runs already; None starts a platform of the lab's own.
        seed: names the run: the same ids, network faults and drawn numbers each time.
        start: when the story begins, ISO 8601; later where the platform's clock is past it, as time never runs back.
        linker: the customer's: a URL that takes `{install_id, link_ticket}`, or a function (`person.CustomerLinker`);
            None links as a customer's server should, with the app's key.
        secret: where the app gets its secret; None takes it from `app`.
        conditions: of every device's network, until changed.
        policies: of the app, where the lab makes it.
        directory: for data and storages; None takes a temporary one.
        time_zone: that devices report.
    """

    def __init__(
        self,
        app: LabApp | None = None,
        *,
        seed: int = 1,
        start: str = START,
        linker: CustomerLinker | str | None = None,
        secret: SecretSource | None = None,
        conditions: Conditions = GOOD,
        policies: Mapping[str, str] | None = None,
        directory: Path | None = None,
        time_zone: str = "UTC",
    ) -> None:
        self.seed = seed
        self.conditions = conditions
        self.time_zone = time_zone
        self.devices: list[VirtualPhone] = []
        self.people: list[Person] = []
        self._temporary = tempfile.TemporaryDirectory(prefix="unbroken-lab-") if directory is None else None
        self._directory = Path(self._temporary.name) if self._temporary else Path(str(directory))
        self._platform: PlatformProcess | None = None
        try:
            self.app = app or self._start_platform(policies or {})
            self._carrier = httpx.HTTPTransport()
            self.view = View(self.app)
            self.clock = LabClock(self._first_instant(start, is_own=app is None))
            self.view.follow(self.clock)
        except BaseException:
            self._stop_platform()
            raise
        self.began_ms = self.clock.now_ms()
        link = by_url(linker) if isinstance(linker, str) else linker or by_lab(self.view)
        app_secret = secret or (lambda: Secret(self.app.app_secret))
        self._setting = Setting(self.app.base_url, self.app.app_id, app_secret, link, self.clock)

    # Who and what takes part

    def person(self, name: str, *, external_id: str | None = None, headers: Mapping[str, str] | None = None) -> Person:
        """Somebody with an account at the customer.

        Args:
            name: in the story.
            external_id: of the account; made from the name, and new to the platform, where it is left out.
            headers: of the person's session at the customer's server, where that does the linking.
        """
        external_id = external_id or f"{name}-{self.began_ms // 1000}"
        self.people.append(Person(name, external_id, headers or {}))
        return self.people[-1]

    def phone(
        self,
        name: str | None = None,
        *,
        platform: str = "android",
        inches: float = 6.1,
        link_timeout_s: float = 60.0,
    ) -> VirtualPhone:
        """A new phone.

        Args:
            name: in the story.
            platform: android, ios or other.
            inches: of its screen; Android reports them, and is a tablet from 7 on.
            link_timeout_s: how long its SDK lets a linker take, in real seconds.
        """
        facts = self._facts(platform, inches, "phone")
        return self._device(name or f"phone {len(self.devices) + 1}", facts, link_timeout_s)

    def tablet(self, name: str | None = None, *, platform: str = "android", inches: float = 10.9) -> VirtualPhone:
        """A new tablet; `platform` is android or ios."""
        facts = self._facts(platform, inches, "pad")
        return self._device(name or f"tablet {len(self.devices) + 1}", facts, 60.0)

    # Time

    @property
    def now_ms(self) -> int:
        """The lab's present instant, epoch milliseconds."""
        return self.clock.now_ms()

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass, for every device."""
        self.wait_until(self.now_ms + round(1000 * (86_400 * days + 3_600 * hours + 60 * minutes + seconds)))

    def wait_until(self, at_ms: int) -> None:
        """Let time pass until `at_ms`, epoch milliseconds."""
        self.clock.advance_to(at_ms)

    # What came of it

    def timeline(self, person: Person) -> list[dict[str, Any]]:
        """The events of a person from the start of the story to now, in order of time."""
        return self.view.timeline(self.user_id(person), self.began_ms, self.now_ms)

    def items(self, person: Person) -> list[dict[str, Any]]:
        """What became of every item that was captured in this story by an install of the person."""
        return self.view.items(self.user_id(person), self.began_ms - _DAY_MS, self.now_ms + _DAY_MS)

    def installs(self, person: Person) -> list[dict[str, Any]]:
        """The installs of a person, with their states and activations."""
        return self.view.installs(self.user_id(person))

    def user_id(self, person: Person) -> str:
        """The platform's id of a person, as a device was told it.

        Raises:
            LookupError: no device of that person was ever linked.
        """
        if person.user_id is None:
            raise LookupError(f"no device of {person.name} was linked yet")
        return person.user_id

    def close(self) -> None:
        """Close every device, stop the platform if it is the lab's own, remove temporary files."""
        with ExitStack() as stack:  # whatever one of them raises, the others are closed
            stack.callback(self._stop_platform)
            stack.callback(self._carrier.close)
            stack.callback(self.view.close)
            for device in self.devices:
                stack.callback(device.close_app)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _facts(self, platform: str, inches: float, idiom: str) -> wire.Device:
        told = {"screen_inches": inches} if platform == "android" else {"idiom": idiom} if platform == "ios" else {}
        return wire.decode(wire.encode({"platform": platform, "time_zone": self.time_zone, **told}), wire.Device)

    def _device(self, name: str, facts: wire.Device, link_timeout_s: float) -> VirtualPhone:
        number = len(self.devices) + 1
        chance = SeededRandomness(self.seed * 1_000 + 2 * number)
        device = VirtualPhone(
            name,
            setting=self._setting,
            facts=facts,
            storage=self._directory / f"device-{number}",
            network=Network(self.clock, chance, self._carrier, self.conditions),
            randomness=SeededRandomness(self.seed * 1_000 + 2 * number + 1),
            link_timeout_s=link_timeout_s,
        )
        self.devices.append(device)
        return device

    def _start_platform(self, policies: Mapping[str, str]) -> LabApp:
        self._platform = PlatformProcess(self._directory / "platform", seed=self.seed).start()
        return create_app(self._platform, "lab", policies)

    def _first_instant(self, start: str, *, is_own: bool) -> int:
        wished_ms = wire.parse_iso(start)
        if wished_ms is None:
            raise ValueError(f"{start!r} is not an ISO 8601 time with an offset")
        if is_own:
            return wished_ms
        platform_ms = self.view.now_ms()
        days_late = -(-max(0, platform_ms - wished_ms) // _DAY_MS)
        return wished_ms + (days_late + 1 if days_late else 0) * _DAY_MS

    def _stop_platform(self) -> None:
        try:
            if self._platform is not None:
                self._platform.stop()
        finally:
            if self._temporary is not None:
                self._temporary.cleanup()
