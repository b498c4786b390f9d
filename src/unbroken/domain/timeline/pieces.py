"""What a stretch of time is condensed into, so that a state stays small: bins, runs and halts."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import IntEnum

from unbroken.domain.timeline.geo import distance_m, short_way
from unbroken.domain.timeline.policy import MOST_MS, SPEED_EDGES_MPS, VOTES


class Kind(IntEnum):
    """What a run is; the MOVES are movement, the others stand between movements."""

    SLOW = 0
    FAST = 1
    OFF_GRID = 2
    UNKNOWN = 3


MOVES = (Kind.SLOW, Kind.FAST)


@dataclass(slots=True)
class Bin:
    """The fixes of about half a minute: their count, the sum of their offsets from the first (`lat`, `lon`), the last.

    The way from the fix before, left at `start_ms`, to the first fix, at `first_ms`, belongs to the bin.
    """

    start_ms: int
    first_ms: int
    end_ms: int
    lat: int
    lon: int
    sources: int
    source: int
    silent_ms: int
    vote_ms: list[int]
    count: int = 1
    sum_lat: int = 0
    sum_lon: int = 0
    last_lat: int = 0
    last_lon: int = 0

    def __post_init__(self) -> None:
        self.last_lat, self.last_lon = self.lat, self.lon


@dataclass(slots=True)
class Run:
    """Movement of one kind. `bucket_ms` is the time by speed (of bins), `vote_ms` the time by felt activity."""

    kind: Kind
    start_ms: int
    end_ms: int
    lat: int
    lon: int
    sources: int
    source: int
    way_dm: int = 0
    silent_ms: int = 0
    bucket_ms: list[int] = field(default_factory=lambda: [0] * (len(SPEED_EDGES_MPS) + 1))
    vote_ms: list[int] = field(default_factory=lambda: [0] * len(VOTES))

    def copy(self) -> Run:
        """A run of its own lists, free to be changed."""
        return Run(self.kind, self.start_ms, self.end_ms, self.lat, self.lon, self.sources, self.source,
                   self.way_dm, self.silent_ms, self.bucket_ms[:], self.vote_ms[:])  # fmt: skip

    @property
    def duration_ms(self) -> int:
        """How long it lasts."""
        return self.end_ms - self.start_ms

    def step(self, end_ms: int, way_m: float, silent_ms: int, vote_ms: list[int]) -> None:
        """Go on to `end_ms`, over `way_m` metres."""
        took_ms = end_ms - self.end_ms
        self.end_ms = end_ms
        self.way_dm += round(way_m * 10)
        self.silent_ms = min(MOST_MS, self.silent_ms + silent_ms)
        bucket = bisect_left(SPEED_EDGES_MPS, way_m * 1000 / took_ms)
        self.bucket_ms[bucket] = min(MOST_MS, self.bucket_ms[bucket] + took_ms)
        for vote, voted_ms in enumerate(vote_ms):
            if voted_ms:
                self.vote_ms[vote] = min(MOST_MS, self.vote_ms[vote] + min(voted_ms, took_ms))

    def absorb(self, later: Run) -> None:
        """Add the run that follows; the kind stays."""
        self.end_ms = later.end_ms
        self.way_dm += later.way_dm
        self.silent_ms = min(MOST_MS, self.silent_ms + later.silent_ms)
        self.sources |= later.sources
        self.bucket_ms = [min(MOST_MS, a + b) for a, b in zip(self.bucket_ms, later.bucket_ms, strict=True)]
        self.vote_ms = [min(MOST_MS, a + b) for a, b in zip(self.vote_ms, later.vote_ms, strict=True)]


@dataclass(slots=True)
class Halt:
    """A stay: fixes around their running mean, kept as sums of offsets from (`lat`, `lon`). `end_ms`: last seen there.

    `mean_lat`, `mean_lon` follow from the sums.
    """

    start_ms: int
    end_ms: int
    lat: int
    lon: int
    sources: int
    source: int
    inferred: bool
    count: int = 0
    sum_lat: int = 0
    sum_lon: int = 0
    sum_m2: int = 0
    mean_lat: int = 0
    mean_lon: int = 0

    def add(self, lat: int, lon: int, count: int = 1, sum_lat: int = 0, sum_lon: int = 0) -> None:
        """Take `count` fixes around (`lat`, `lon`) into the mean."""
        self.count += count
        self.sum_lat += (lat - self.lat) * count + sum_lat
        self.sum_lon += short_way(lon - self.lon) * count + sum_lon
        self.settle()
        self.sum_m2 += round(distance_m(self.mean_lat, self.mean_lon, lat, lon) ** 2) * count

    def settle(self) -> None:
        """Bring the mean up to date with the sums."""
        self.mean_lat = self.lat + self.sum_lat // self.count
        self.mean_lon = short_way(self.lon + self.sum_lon // self.count)
