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
    cuts, named = cut(items), _Names()
    _begin(lab, items)
    phone_a = lab.phone("phone A").login(robin, tries=_TRIES)
    named.add(phone_a, "phone A")
    tell("Robin logs in on phone A. The network is bad: requests get lost, doubled, and overtake each other.")
    phone_a.start(items, upload_every_s=_UPLOAD_EVERY_S)

    lab.wait_until(cuts.reinstall_ms)
    phone_a.stop()
    phone_a.upload_all()
    phone_a.reinstall(tries=_TRIES)
    named.add(phone_a, "phone A, reinstalled")
    tell("Robin deletes the app on phone A, installs it again and logs in: a new install takes over.")
    phone_a.start(items, upload_every_s=_UPLOAD_EVERY_S)

    lab.wait_until(cuts.tablet_ms)
    tablet = lab.tablet("tablet").login(robin, tries=_TRIES)
    named.add(tablet, "tablet")
    tell(f"Robin logs in on a tablet and leaves it there. Beside an active phone it is on {tablet.state}.")
    tablet.start(_lying_still(items, cuts.tablet_ms, lab.now_ms))

    lab.wait_until(cuts.offline_ms)
    phone_a.go_offline()
    tell("Phone A loses the network. What it captures waits on its disk.")

    lab.wait_until(cuts.new_phone_ms)
    waiting = phone_a.waiting
    phone_b = lab.phone("phone B", platform="ios").login(robin, tries=_TRIES)
    named.add(phone_b, "phone B")
    phone_a.start(_lying_still(items, cuts.new_phone_ms, lab.now_ms))
    tell(f"Robin logs in on the new phone B. Phone A is left behind, {waiting} items still on it, and captures on.")
    phone_b.start(items, upload_every_s=_UPLOAD_EVERY_S)

    lab.wait_until(cuts.late_ms)
    phone_a.go_online(BAD)
    phone_a.upload_all()
    tell("Phone A finds a network again and uploads what waited. Only what it captured before the hand-over counts.")

    lab.wait_until(items[-1].t)
    phone_b.upload_all()
    lab.wait(hours=1)
    tell("The day is over; the last uploads that were held up on the way have arrived.")
    return named.by_install


def one_phone(lab: Lab, robin: Person, items: Sequence[wire.Item], tell: Tell) -> dict[str, str]:
    """One phone that never changes, over a good network. Returns as `four_installs` does."""
    named = _Names()
    lab.conditions = GOOD
    _begin(lab, items)
    phone = lab.phone("one phone").login(robin)
    named.add(phone, "one phone")
    tell("Robin logs in on one phone and keeps it all day.")
    phone.travel(items)
    lab.wait(hours=1)
    tell("The day is over.")
    return named.by_install


class _Names:
    def __init__(self) -> None:
        self.by_install: dict[str, str] = {}

    def add(self, phone: VirtualPhone, name: str) -> None:
        self.by_install[phone.install_id] = name


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
