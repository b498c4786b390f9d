"""What happens to the phones of the demo: where the day is cut, and who carries what.

Two stories of the same day: `four_installs` over a bad network, and `one_phone` that never changes over a good one.
The person never notices the difference, so neither may the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.testing.network import BAD, GOOD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.demo.day import Day
    from unbroken.testing.lab import Lab
    from unbroken.testing.person import Person
    from unbroken.testing.phone import VirtualPhone

_TRIES: Final = 100
_UPLOAD_EVERY_S: Final = 120
_LEFT_BEHIND_HOURS: Final = 2
_LEAD_MS: Final = 20_000

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Cuts:
    """The instants at which the day is cut, epoch milliseconds; all strictly between two items."""

    reinstall_ms: int
    tablet_ms: int
    offline_ms: int
    new_phone_ms: int
    late_ms: int


def cut(items: Sequence[wire.Item]) -> Cuts:
    """Cut a day by how much was captured, not by the clock: then most cuts fall where the person is on the move."""

    def at(share: float) -> int:
        return items[int(share * (len(items) - 1))].t + 1

    return Cuts(at(0.2), at(0.4), at(0.46), at(0.66), at(0.97))


def four_installs(lab: Lab, robin: Person, items: Sequence[wire.Item], tell: Tell) -> dict[str, str]:
    """Phone A, the same phone after a reinstall, a tablet, phone B.

    Returns:
        Install id to what to call it.
    """
    cuts, story = cut(items), _Story(lab, robin, items, tell)
    phone_a = story.begin("phone A")
    story.reinstall(phone_a, cuts.reinstall_ms)
    story.lay_a_tablet_down(cuts.tablet_ms)
    story.lose_the_network(phone_a, cuts.offline_ms)
    phone_b = story.move_to_phone_b(phone_a, cuts.new_phone_ms)
    story.find_a_network(phone_a, cuts.late_ms)
    story.end(phone_b)
    return story.named


def one_phone(lab: Lab, robin: Person, items: Sequence[wire.Item], tell: Tell) -> dict[str, str]:
    """One phone that never changes, over a good network. Returns as `four_installs` does."""
    lab.conditions = GOOD
    _begin(lab, items)
    phone = lab.phone("one phone").login(robin)
    tell("Robin logs in on one phone and keeps it all day.")
    phone.travel(items)
    lab.wait(hours=1)
    tell("The day is over.")
    return {phone.install_id: "one phone"}


class _Story:
    """What happens to four installs, one after the other.

    Attributes:
        named: install id to what to call it.
    """

    def __init__(self, lab: Lab, robin: Person, items: Sequence[wire.Item], tell: Tell) -> None:
        self.named: dict[str, str] = {}
        self._lab = lab
        self._robin = robin
        self._items = items
        self._tell = tell

    def begin(self, name: str) -> VirtualPhone:
        _begin(self._lab, self._items)
        phone = self._log_in(self._lab.phone(name), name)
        self._tell("Robin logs in on phone A. The network is bad: requests get lost, doubled, and overtake each other.")
        self._carry(phone)
        return phone

    def reinstall(self, phone: VirtualPhone, at_ms: int) -> None:
        self._lab.wait_until(at_ms)
        phone.stop()
        phone.upload_all()
        phone.reinstall(tries=_TRIES)
        self.named[phone.install_id] = "phone A, reinstalled"
        self._tell("Robin deletes the app on phone A, installs it again and logs in: a new install takes over.")
        self._carry(phone)

    def lay_a_tablet_down(self, at_ms: int) -> None:
        self._lab.wait_until(at_ms)
        tablet = self._log_in(self._lab.tablet("tablet"), "tablet")
        self._tell(f"Robin logs in on a tablet and leaves it there. Beside an active phone it is on {tablet.state}.")
        self._leave(tablet, at_ms)

    def lose_the_network(self, phone: VirtualPhone, at_ms: int) -> None:
        self._lab.wait_until(at_ms)
        phone.go_offline()
        self._tell("Phone A loses the network. What it captures waits on its disk.")

    def move_to_phone_b(self, phone_a: VirtualPhone, at_ms: int) -> VirtualPhone:
        self._lab.wait_until(at_ms)
        waiting = phone_a.waiting
        phone_b = self._log_in(self._lab.phone("phone B", platform="ios"), "phone B")
        self._leave(phone_a, at_ms)
        self._tell(
            f"Robin logs in on the new phone B. Phone A is left behind, {waiting} items still on it, and captures on."
        )
        self._carry(phone_b)
        return phone_b

    def find_a_network(self, phone: VirtualPhone, at_ms: int) -> None:
        self._lab.wait_until(at_ms)
        phone.go_online(BAD)
        phone.upload_all()
        self._tell(
            "Phone A finds a network again and uploads what waited. Only what it captured before the hand-over counts."
        )

    def end(self, phone: VirtualPhone) -> None:
        self._lab.wait_until(self._items[-1].t)
        phone.upload_all()
        self._lab.wait(hours=1)
        self._tell("The day is over; the last uploads that were held up on the way have arrived.")

    def _log_in(self, device: VirtualPhone, name: str) -> VirtualPhone:
        device.login(self._robin, tries=_TRIES)
        self.named[device.install_id] = name
        return device

    def _carry(self, phone: VirtualPhone) -> None:
        phone.start(self._items, upload_every_s=_UPLOAD_EVERY_S)

    def _leave(self, device: VirtualPhone, since_ms: int) -> None:
        device.start(_lying_still(self._items, since_ms, self._lab.now_ms))


def begins_at(day: Day) -> str:
    """When the story of a day begins, ISO 8601: a little before its first item."""
    return wire.iso(day.start_ms - _LEAD_MS)


def _begin(lab: Lab, items: Sequence[wire.Item]) -> None:
    lab.wait_until(items[0].t - _LEAD_MS // 2)


def _lying_still(items: Sequence[wire.Item], since_ms: int, now_ms: int) -> list[wire.Location]:
    """What a device captures that lies where the person was at `since_ms`."""
    here = [item for item in items if isinstance(item, wire.Location) and item.t <= since_ms][-1]
    return [
        wire.Location(t=now_ms + minute * 60_000, lat=here.lat, lon=here.lon, acc=20.0, speed=0.0)
        for minute in range(1, _LEFT_BEHIND_HOURS * 60, 4)
    ]
