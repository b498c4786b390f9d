"""All that one run found out, and how to look things up in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from bench.measure import Result

if TYPE_CHECKING:
    from pathlib import Path

SLOW_SYNCS = "ingest, each sync 2 ms longer"


@dataclass(frozen=True, slots=True)
class Grown:
    """What a call costs with so many stored users.

    Args:
        all_us: CPU time of the application and of the servers behind it.
        own_us: of the application alone.
        limit_us: what a request to bare ASGI cost in turns with it: minutes lie between two sizes, in which the machine
            may have become slower or faster as a whole.
    """

    workload: str
    side: str
    users: int
    own_us: float
    all_us: float
    limit_us: float

    @property
    def of_limit(self) -> float:
        """How many requests to bare ASGI it costs."""
        return self.all_us / self.limit_us


@dataclass(slots=True)
class Told:
    """See the module.

    Args:
        at: when it was begun, for people.
        machine: what it ran on.
        postgres: the version of PostgreSQL.
        busy_cores: what all processes of the machine used before the run and after it; the run's own are in the second.
        rss_bytes: the memory of the embedded platform after its ingest.
        loaded: what of a server importing the SDK loaded.
        filled_s: how long it took to store so many users, by engine and number.
        took_s: of each part of the run.
        missing: what could not be measured, and why.
    """

    at: str = ""
    machine: str = ""
    postgres: str = ""
    quick: bool = False
    cores_shared: bool = False
    busy_cores: tuple[float, float] = (0.0, 0.0)
    results: list[Result] = field(default_factory=list)
    grown: list[Grown] = field(default_factory=list)
    rss_bytes: int = 0
    import_ms: float = 0.0
    loaded: list[str] = field(default_factory=list)
    filled_s: dict[str, float] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def find(self, workload: str, side: str, clients: int = 64) -> Result | None:
        """A result of a closed loop, if it was measured."""
        found = [
            one
            for one in self.results
            if (one.workload, one.side, one.clients) == (workload, side, clients) and not one.rate
        ]
        return found[0] if found else None

    def spread(self, workload: str, side: str) -> float | None:
        """By how much the dearest size is dearer than the cheapest; None where fewer than two were measured."""
        costs = [one.of_limit for one in self.grown if (one.workload, one.side) == (workload, side)]
        return max(costs) / min(costs) - 1 if len(costs) > 1 else None

    def forget(self, part: str) -> None:
        """What a part of a run told: `calls`, `slow`, `growth` or `import`."""
        match part:
            case "calls":
                self.results = [one for one in self.results if one.workload == SLOW_SYNCS]
            case "slow":
                self.results = [one for one in self.results if one.workload != SLOW_SYNCS]
                self.missing = []
            case "growth":
                self.grown, self.filled_s = [], {}

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Told:
    """What `write` wrote."""
    said = json.loads(path.read_text(encoding="utf-8"))
    said["results"] = [Result(**one) for one in said["results"]]
    said["grown"] = [Grown(**one) for one in said["grown"]]
    said["busy_cores"] = tuple(said["busy_cores"])
    return Told(**said)
