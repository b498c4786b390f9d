"""Modes: an explicit table of rules over the features of a leg, first match wins, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain.timeline.event import Mode
from unbroken.domain.timeline.pieces import Kind, Run
from unbroken.domain.timeline.policy import SPEED_EDGES_MPS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Guess(NamedTuple):
    """The mode of a leg and how far it is trusted, 0..1."""

    mode: Mode
    confidence: float


@dataclass(frozen=True, slots=True)
class Features:
    """What a leg looks like: speeds in m/s, way in m, shares 0..1 (`*_vote` of the voted time without still)."""

    fast: bool
    way_m: float
    mean_mps: float
    top_mps: float
    silent: float
    cycling_vote: float
    automotive_vote: float
    walking_vote: float
    running_vote: float
    walk_before: bool
    walk_after: bool

    @property
    def on_foot(self) -> bool:
        """Reached and left on foot, as public transport is."""
        return self.walk_before and self.walk_after


class Rule(NamedTuple):
    """`mode` where `holds`, because of `reason`."""

    mode: Mode
    confidence: float
    holds: Callable[[Features], bool]
    reason: str


RULES: Final = (
    Rule(Mode.FLIGHT, 0.9, lambda f: f.mean_mps > 70 and f.way_m > 80_000, "faster than any other way over land"),
    Rule(Mode.RUNNING, 0.6, lambda f: f.running_vote > 0.5 and f.top_mps <= 7, "the phone felt running"),
    Rule(Mode.WALKING, 0.8, lambda f: not f.fast, "the pace of a person on foot"),
    Rule(Mode.WALKING, 0.6, lambda f: f.walking_vote > 0.5 and f.mean_mps <= 2.8, "a walk in jittering fixes"),
    Rule(Mode.BIKING, 0.8, lambda f: f.cycling_vote > 0.35 and f.top_mps <= 18, "the phone felt cycling"),
    Rule(Mode.BIKING, 0.6, lambda f: f.walking_vote > 0.5 and f.top_mps <= 12, "felt as legs, too fast for a walk"),
    Rule(Mode.BIKING, 0.5, lambda f: f.automotive_vote <= 0.5 and f.top_mps <= 7, "no motor goes this slow for long"),
    Rule(Mode.TRAIN, 0.6, lambda f: f.top_mps > 27 and f.on_foot, "faster than a bus, reached and left on foot"),
    Rule(Mode.SUBWAY, 0.7, lambda f: f.silent > 0.35 and f.top_mps > 18, "no sky, yet not slow: a tunnel"),
    Rule(Mode.BUS, 0.5, lambda f: f.walk_after and f.way_m > 8_000 and f.mean_mps < 9, "far, in the pace of stops"),
    Rule(Mode.CAR, 0.6, lambda f: f.top_mps > 18, "faster than a city bus"),
    Rule(Mode.BUS, 0.5, lambda f: f.on_foot, "reached and left on foot"),
    Rule(Mode.CAR, 0.4, lambda _: True, "motorised, and nothing speaks for public transport"),
)


def guess(legs: Sequence[Run], at: int, *, waited: bool) -> Guess:
    """The mode of leg `at`, seen between its neighbours."""
    features = features_of(legs, at, waited=waited)
    rule = next(rule for rule in RULES if rule.holds(features))
    return Guess(rule.mode, rule.confidence)


def features_of(legs: Sequence[Run], at: int, *, waited: bool) -> Features:
    """The features of leg `at`. `waited`: the first leg left from a stay."""
    leg = legs[at]
    took_ms = max(1, leg.duration_ms)
    moving_votes = sum(leg.vote_ms[1:])
    shares = [vote / max(1, moving_votes) for vote in leg.vote_ms]
    return Features(
        fast=leg.kind is Kind.FAST,
        way_m=leg.way_dm / 10,
        mean_mps=leg.way_dm * 100 / took_ms,
        top_mps=_top_mps(leg),
        silent=leg.silent_ms / took_ms,
        cycling_vote=shares[3],
        automotive_vote=shares[4],
        walking_vote=shares[1],
        running_vote=shares[2],
        walk_before=legs[at - 1].kind is Kind.SLOW if at > 0 else not waited,
        walk_after=at + 1 < len(legs) and legs[at + 1].kind is Kind.SLOW,
    )


def _top_mps(leg: Run) -> float:
    """The upper edge of the bucket that holds the 92nd percentile of the leg's speed over time."""
    left_ms = sum(leg.bucket_ms) * 0.08
    for bucket in range(len(leg.bucket_ms) - 1, -1, -1):
        left_ms -= leg.bucket_ms[bucket]
        if left_ms < 0:
            return SPEED_EDGES_MPS[bucket] if bucket < len(SPEED_EDGES_MPS) else 100.0
    return 0.0
