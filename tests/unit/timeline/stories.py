"""Stories: streams of items to fold, told step by step, and Hypothesis strategies that make them up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from hypothesis import strategies as st

from unbroken.domain.timeline.fold import fold, start, tail
from unbroken.domain.timeline.item import Fix, Item, Motion, order_key

if TYPE_CHECKING:
    from unbroken.domain.timeline.event import Event

USER = b"user-0000001"
INSTALL = b"install-0001"
ACTIVATION = b"activation-1"
NOON = 1_700_000_000_000
M_PER_DEGREE = 111_195.0
MOTIONS = ("still", "walking", "running", "cycling", "automotive", "unknown")


@dataclass
class Story:
    """A person whose phone writes items. Every step starts where and when the one before ended."""

    at_ms: int = NOON
    lat: float = 60.17
    lon: float = 24.94
    items: list[Item] = field(default_factory=list)

    def fix(self, acc_m: float | None = 10.0, speed_mps: float | None = None) -> Self:
        self.items.append(Fix(self.at_ms, self.lat, self.lon, acc_m, speed_mps, INSTALL, ACTIVATION))
        return self

    def feel(self, motion: str, confidence: float | None = 0.9) -> Self:
        self.items.append(Motion(self.at_ms, motion, confidence, INSTALL, ACTIVATION))
        return self

    def wait(self, minutes: float) -> Self:
        self.at_ms += round(minutes * 60_000)
        return self

    def jump(self, north_m: float = 0.0, east_m: float = 0.0) -> Self:
        self.lat = max(-90.0, min(90.0, self.lat + north_m / M_PER_DEGREE))
        self.lon += east_m / M_PER_DEGREE / max(0.01, math.cos(math.radians(self.lat)))
        self.lon = (self.lon + 180.0) % 360.0 - 180.0
        return self

    def stay(self, minutes: float, every_s: float = 60.0) -> Self:
        """Fixes that wander by a few metres."""
        for n in range(int(minutes * 60 / every_s)):
            self.wait(every_s / 60).jump(4.0 * (-1) ** n, 3.0 * (-1) ** (n // 2)).fix(speed_mps=0.0)
        return self

    def go(self, minutes: float, mps: float, every_s: float = 10.0, motion: str | None = None) -> Self:
        """Fixes on the way to the north-east."""
        for _ in range(max(1, int(minutes * 60 / every_s))):
            step_m = mps * every_s / math.sqrt(2)
            self.wait(every_s / 60).jump(step_m, step_m)
            if motion:
                self.feel(motion)
            self.fix(speed_mps=mps)
        return self

    def events(self) -> list[Event]:
        return told(self.items)

    def summary(self) -> list[str]:
        """Each event as one word: its mode, or its type."""
        return [str(event.mode or event.type) for event in self.events()]


def told(items: list[Item]) -> list[Event]:
    """All events of a stream, folded at once."""
    folded = fold(start(USER), sorted(items, key=order_key))
    return [*folded.events, *tail(folded.state)]


def dealt(items: list[Item], hands: list[int]) -> list[Item]:
    """The same items, captured by one install after another: the install changes at each of `hands`."""
    names = [sum(at >= hand for hand in hands) for at in range(len(items))]
    return [
        item._replace(install=b"install-%04d" % name, activation=b"activation%02d" % name)
        for item, name in zip(items, names, strict=True)
    ]


def anonymous(event: Event) -> Event:
    """The event without the fields that name its installs."""
    return replace(event, install=b"", activation=b"", installs=())


places = st.sampled_from([(60.17, 24.94), (0.0, 0.0), (89.9999, 12.0), (-90.0, 0.0), (-17.0, 179.9995), (37.4, -122.1)])
stays = st.tuples(st.just("stay"), st.sampled_from([(1, 1.0), (4, 20.0), (6, 21.0), (20, 60.0), (40, 290.0)]))
trips = st.tuples(
    st.just("go"),
    st.sampled_from([0.5, 2.0, 4.0, 9.0, 20.0]),
    st.sampled_from([0.3, 1.4, 2.2, 4.0, 9.0, 25.0, 240.0]),
    st.sampled_from([None, *MOTIONS]),
)
oddities = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.005, 1.0, 4.0, 9.0, 31.0, 200.0, 1300.0, 1500.0, 50_000.0])),
    st.tuples(st.just("jump"), st.floats(-3000, 3000), st.floats(-3000, 3000)),
    st.tuples(st.just("fly"), st.floats(-4e6, 4e6)),
    st.tuples(st.just("fix"), st.sampled_from([None, 5.0, 250.0, 3000.0]), st.sampled_from([None, -1.0, 0.0, 20.0])),
    st.tuples(st.just("feel"), st.sampled_from(MOTIONS), st.sampled_from([None, 0.3, 0.9])),
)
steps = st.one_of(stays, trips, trips, oddities, oddities)


@st.composite
def streams(draw: st.DrawFn) -> list[Item]:
    """Items in order: a made-up story of likely and unlikely steps."""
    lat, lon = draw(places)
    story = Story(lat=lat, lon=lon)
    for step in draw(st.lists(steps, min_size=draw(st.sampled_from([1, 6])), max_size=18)):
        live(story, step)
    if not story.items:
        story.fix()
    return sorted(set(story.items), key=order_key)


def live(story: Story, step: tuple[Any, ...]) -> None:
    match step:
        case ("stay", (minutes, every_s)):
            story.stay(minutes, every_s)
        case ("go", minutes, mps, motion):
            story.go(minutes, mps, every_s=20.0, motion=motion)
        case ("wait", minutes):
            story.wait(minutes)
        case ("jump", north_m, east_m):
            story.jump(north_m, east_m).fix()
        case ("fly", east_m):
            story.jump(east_m=east_m).fix()
        case ("fix", acc_m, speed_mps):
            story.fix(acc_m, speed_mps)
        case ("feel", motion, confidence):
            story.feel(motion, confidence)
