"""Cleaning: which fixes are believed. Coarse ones, copies within a second and lone spikes are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.timeline.geo import E7, distance_m
from unbroken.domain.timeline.policy import COARSE_ACC_M, COARSE_QUIET_MS, SPIKE_M, SPIKE_MPS
from unbroken.domain.timeline.state import Spot, State

if TYPE_CHECKING:
    from unbroken.domain.timeline.item import Fix


def believe(state: State, fix: Fix) -> tuple[Spot, ...]:
    """The spots to go on from now: none, this fix, or with it the jump before it that it confirms."""
    last, spot = state.last, _spot(fix)
    if last is None:
        return (spot,)
    if _same_second(last, spot) or (state.held is not None and _same_second(state.held, spot)):
        return ()
    way_m = distance_m(last.lat, last.lon, spot.lat, spot.lon)
    if fix.acc_m is not None and fix.acc_m > COARSE_ACC_M and _says_nothing(fix.acc_m, way_m, spot.at_ms - last.at_ms):
        return ()
    held, state.held = state.held, None
    onward_m = way_m if held is None else distance_m(held.lat, held.lon, spot.lat, spot.lon)
    believed: tuple[Spot, ...] = ()
    if held is not None and onward_m < way_m:
        believed, last, way_m = (held,), held, onward_m
    if _is_jump(way_m, spot.at_ms - last.at_ms):
        state.held = spot
        return believed
    return (*believed, spot)


def _spot(fix: Fix) -> Spot:
    speed_mps = fix.speed_mps
    if speed_mps is None or not 0 <= speed_mps < 1000:
        speed_mps = -1.0
    return Spot(fix.at_ms, round(fix.lat * E7), round(fix.lon * E7), speed_mps)


def _same_second(before: Spot, spot: Spot) -> bool:
    return before.at_ms // 1000 == spot.at_ms // 1000


def _says_nothing(acc_m: float, way_m: float, took_ms: int) -> bool:
    """A coarse fix counts only after a while without better ones, and only where it shows that the person moved."""
    return took_ms < COARSE_QUIET_MS or way_m < acc_m


def _is_jump(way_m: float, took_ms: int) -> bool:
    return way_m > SPIKE_M and way_m * 1000 > SPIKE_MPS * took_ms
