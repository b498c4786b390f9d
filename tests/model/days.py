"""Random days of a person who changes devices: what is captured, what is linked when, and how it may be delivered.

A story is the same for every delivery of it: the calls that decide who is who stand at fixed instants, and every upload
says from when on it may arrive. Delivering it in order, or torn apart, repeated and late, must make no difference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded by the number of the story, so that it can be played again
from typing import Any

from tests.model.api import DAY_MS, PHONE, TABLET

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
Item = dict[str, Any]


@dataclass(frozen=True)
class Carrier:
    """One device of the story: from when on it exists, is linked, captures, and until when."""

    name: int
    facts: dict[str, Any]
    registered_at: int
    linked_at: int
    skew_ms: int
    items: list[Item] = field(default_factory=list)
    echoes: list[Item] = field(default_factory=list)  # sent once more after the device's clock was put right


@dataclass(frozen=True)
class Delivery:
    at: int
    carrier: int
    items: list[Item]
    skew_ms: int


@dataclass(frozen=True)
class Story:
    number: int
    begin: int
    end: int
    carriers: list[Carrier]


def tell(number: int, begin: int) -> Story:
    """A story of one to four devices over one to three days; `begin` is the start of a day."""
    random = Random(number)
    end = begin + random.choice([1, 1, 2, 3]) * DAY_MS
    changes = sorted(random.randrange(begin, end) for _ in range(random.randrange(4)))
    carriers = []
    for name, at in enumerate([begin, *changes]):
        facts = PHONE if name == 0 or random.random() < 0.7 else TABLET
        skew_ms = random.choice([0, 0, 0, 7_000, 95_000, -3_600_000])
        carriers.append(Carrier(name, facts, at, at + random.choice([1, 1_000, 900_000]), skew_ms))
    path = walk(random, begin, end)
    for carrier in carriers:
        carrier.items.extend(captured_by(random, carrier, path))
        if random.random() < 0.3:
            carrier.echoes.extend(random.sample(carrier.items, len(carrier.items) // 4))
    return Story(number, begin, end, carriers)


def walk(random: Random, begin: int, end: int) -> list[tuple[int, float, float, float]]:
    """Where the person was: (instant, latitude, longitude, metres a second), stays and ways in turn."""
    places = [(52.5 + random.gauss(0, 0.03), 13.4 + random.gauss(0, 0.05)) for _ in range(random.randrange(2, 6))]
    at, (lat, lon) = begin, places[0]
    path: list[tuple[int, float, float, float]] = []
    while at < end:
        leave = at + int(random.uniform(0.1, 6) * HOUR_MS)
        while at < leave:  # a phone that lies still speaks seldom
            path.append((at, lat, lon, 0.0))
            at += int(random.choice([3, 10, 10, 45]) * MINUTE_MS * random.uniform(0.5, 1.5))
        to = random.choice(places)
        speed = random.choice([1.4, 4.5, 11.0, 22.0])
        metres = math.hypot((to[0] - lat) * 111_195, (to[1] - lon) * 67_700)
        steps = max(1, min(60, int(metres / speed / 60)))
        for step in range(1, steps + 1):
            at += int(metres / speed / steps * 1000) + 1
            path.append((at, lat + (to[0] - lat) * step / steps, lon + (to[1] - lon) * step / steps, speed))
        lat, lon = to
    return [point for point in path if point[0] < end]


def captured_by(random: Random, carrier: Carrier, path: list[tuple[int, float, float, float]]) -> list[Item]:
    """What a device records from its registration on, by its own clock, also when it is no longer the active one."""
    off = carrier.name * 0.02 if random.random() < 0.5 else 0.0  # left in a drawer, or carried along
    items: list[Item] = []
    for at, lat, lon, speed in path:
        if at < carrier.registered_at or random.random() < 0.1:
            continue
        t, noise = at + carrier.skew_ms, random.gauss(0, 1e-4)
        position = {"lat": round(lat + off + noise, 6), "lon": round(lon - noise, 6)}
        more = {"acc": round(random.uniform(4, 60), 1)} | ({"speed": speed} if random.random() < 0.7 else {})
        items.append({"kind": "location", "t": t, **position, **more})
        if random.random() < 0.3:
            kind = "walking" if 0 < speed < 3 else "automotive" if speed else "still"
            items.append({"kind": "activity", "t": t + random.randrange(-500, 500), "type": kind, "confidence": 0.8})
        if random.random() < 0.05:
            items.append({"kind": "custom", "t": t, "name": "tick", "data": {"n": len(items)}})
        if random.random() < 0.03:  # two fixes of one instant
            items.append({"kind": "location", "t": t, "lat": position["lat"] + 0.0003, "lon": position["lon"]})
    return items


def in_order(story: Story) -> list[Delivery]:
    """As a perfect network would: in order of capture, each item once, each device as soon as it may."""
    deliveries = []
    for carrier in story.carriers:
        for i in range(0, len(carrier.items), 30):
            batch = carrier.items[i : i + 30]
            deliveries.append(Delivery(earliest(carrier, batch), carrier.name, batch, carrier.skew_ms))
        if carrier.echoes:
            at = earliest(carrier, carrier.echoes) + 5 * HOUR_MS
            deliveries.append(Delivery(at, carrier.name, carrier.echoes, 0))
    return sorted(deliveries, key=lambda delivery: delivery.at)


def torn(story: Story, random: Random) -> list[Delivery]:
    """The same items shuffled, re-batched, partly repeated and up to some days late."""
    deliveries = []
    for carrier in story.carriers:
        items = carrier.items[:]
        if random.random() < 0.7:
            random.shuffle(items)
        if carrier.echoes:
            at = earliest(carrier, carrier.echoes) + 2 * HOUR_MS + random.randrange(DAY_MS)
            deliveries.append(Delivery(at, carrier.name, carrier.echoes[::-1], 0))
        while items:
            count = random.choice([1, 3, 10, 40, 200])
            batch, items = items[:count], items[count:]
            again = random.sample(carrier.items, min(len(carrier.items), random.choice([0, 0, 5, 60])))
            batch = [dict(reversed(item.items())) for item in batch + again]
            late = random.choice([0, 0, 1, 30]) * random.randrange(HOUR_MS)
            for _ in range(random.choice([1, 1, 1, 2])):
                deliveries.append(Delivery(earliest(carrier, batch) + late, carrier.name, batch, carrier.skew_ms))
                late += random.randrange(2 * HOUR_MS)
    return sorted(deliveries, key=lambda delivery: delivery.at)


def earliest(carrier: Carrier, batch: list[Item]) -> int:
    """Nothing is sent before it is captured, nor (a used install is another row of the table) before it is linked."""
    last: int = max(item["t"] for item in batch) - carrier.skew_ms
    return max(carrier.linked_at + 1, last + 1_000)
