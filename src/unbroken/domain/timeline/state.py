"""The state of a fold: all that the items so far still mean for the items to come, bounded in size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from unbroken.domain.timeline.pieces import Bin, Halt, Run
from unbroken.domain.timeline.policy import VOTES


class Spot(NamedTuple):
    """A cleaned fix: instant, position in E7, speed (negative: not known)."""

    at_ms: int
    lat: int
    lon: int
    speed_mps: float


@dataclass(slots=True)
class State:
    """Where a fold stands. Opaque to callers but for `at_ms`, the capture time of the last item (-1: none yet)."""

    user_id: bytes
    at_ms: int = -1
    first_ms: int = -1
    since_checkpoint: int = 0
    checkpoint_due: bool = False

    sources: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Install and activation of the items behind `halt`, `runs` and `bins`, which name them by index."""
    fresh: int = 0
    """Bit mask of the sources of items since the last cleaned fix."""
    fresh_source: int = -1
    """Index of the source of the first of them; -1: none."""

    last: Spot | None = None
    held: Spot | None = None
    """A jump that waits for the next fix to confirm it."""
    quiet_ms: int = -1
    """When a silence of all items began that is too long to claim anything about; -1: there is none."""

    vote: int = -1
    """Index into VOTES of the activity felt last; -1: none."""
    vote_ms: int = -1
    """When it was felt."""
    voted_to_ms: int = -1
    """Up to where its time is counted in `votes`."""
    votes: list[int] = field(default_factory=lambda: [0] * len(VOTES))
    """Time by activity since the last cleaned fix."""

    halt: Halt | None = None
    """The confirmed stay that is open, or that the trip in `runs` and `bins` left."""
    far_m: int = 0
    """How far from `halt` that trip has got."""
    from_lat: int = 0
    from_lon: int = 0
    """Where the first of `bins` comes from."""
    runs: list[Run] = field(default_factory=list)
    bins: list[Bin] = field(default_factory=list)
    """The end of the trip, as long as it may turn out to be a stay: all within the radius of one."""

    def pieces(self) -> list[Halt | Run | Bin]:
        """All that is open and names sources."""
        pieces: list[Halt | Run | Bin] = [*self.runs, *self.bins]
        return pieces if self.halt is None else [self.halt, *pieces]

    def copy(self) -> State:
        """A state that can be folded on without changing this one."""
        return replace(
            self,
            sources=self.sources[:],
            votes=self.votes[:],
            halt=None if self.halt is None else replace(self.halt),
            runs=[run.copy() for run in self.runs],
            bins=[twin(piece) for piece in self.bins],
        )


def twin(piece: Bin) -> Bin:
    """A bin of its own list, free to be changed."""
    copy = Bin(piece.start_ms, piece.first_ms, piece.end_ms, piece.lat, piece.lon, piece.sources, piece.source,
               piece.silent_ms, piece.vote_ms[:], piece.count, piece.sum_lat, piece.sum_lon)  # fmt: skip
    copy.last_lat, copy.last_lon = piece.last_lat, piece.last_lon
    return copy
