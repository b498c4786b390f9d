"""Freezing: a state as bytes, at most 2 KB, the same bytes for the same state under every version of Python.

All numbers but speeds are whole and written as variable-length integers (7 bits a byte, zigzag for signs).
"""

from __future__ import annotations

import struct
from typing import Final

from unbroken.domain.timeline.pieces import Bin, Halt, Kind, Run
from unbroken.domain.timeline.policy import SPEED_EDGES_MPS, VOTES
from unbroken.domain.timeline.state import Spot, State

VERSION: Final = 1
"""The first byte of a frozen state. A change of the state's shape or meaning needs another: old states are refolded."""


class StateVersionError(ValueError):
    """The bytes were frozen by another version: fold the person's items again from the first."""


def freeze(state: State) -> bytes:
    """The state as bytes."""
    to = _Writer()
    to.text(state.user_id)
    to.numbers(state.at_ms, state.first_ms, state.since_checkpoint, state.checkpoint_due, len(state.sources))
    for install, activation in state.sources:
        to.text(install)
        to.text(activation)
    to.numbers(state.fresh, state.fresh_source)
    to.spot(state.last)
    to.spot(state.held)
    to.numbers(state.quiet_ms, state.vote, state.vote_ms, state.voted_to_ms, *state.votes)
    to.number(state.halt is not None)
    if state.halt is not None:
        to.halt(state.halt)
    to.numbers(state.far_m, state.from_lat, state.from_lon, len(state.runs), len(state.bins))
    for run in state.runs:
        to.run(run)
    for piece in state.bins:
        to.bin(piece)
    return bytes((VERSION, *to.out))


def thaw(blob: bytes) -> State:
    """The state that was frozen.

    Raises:
        StateVersionError: the bytes are of another version.
    """
    if blob[:1] != bytes((VERSION,)):
        raise StateVersionError("a frozen timeline state of another version: fold again from the first item")
    of = _Reader(blob)
    state = State(of.text())
    state.at_ms, state.first_ms, state.since_checkpoint, due, sources = of.numbers(5)
    state.checkpoint_due = bool(due)
    state.sources = [(of.text(), of.text()) for _ in range(sources)]
    state.fresh, state.fresh_source = of.numbers(2)
    state.last, state.held = of.spot(), of.spot()
    state.quiet_ms, state.vote, state.vote_ms, state.voted_to_ms = of.numbers(4)
    state.votes = of.numbers(len(VOTES))
    state.halt = of.halt() if of.number() else None
    state.far_m, state.from_lat, state.from_lon, runs, bins = of.numbers(5)
    state.runs = [of.run() for _ in range(runs)]
    state.bins = [of.bin() for _ in range(bins)]
    return state


class _Writer:
    """Times and positions are written as the difference from the one before: most are close."""

    def __init__(self) -> None:
        self.out = bytearray()
        self._clock_ms = 0
        self._lat = self._lon = 0

    def number(self, number: int) -> None:
        rest = number << 1 if number >= 0 else (-number << 1) - 1
        while rest > 0x7F:
            self.out.append(rest & 0x7F | 0x80)
            rest >>= 7
        self.out.append(rest)

    def numbers(self, *numbers: int) -> None:
        for number in numbers:
            self.number(number)

    def time(self, at_ms: int) -> None:
        self.number(at_ms - self._clock_ms)
        self._clock_ms = at_ms

    def place(self, lat: int, lon: int) -> None:
        self.numbers(lat - self._lat, lon - self._lon)
        self._lat, self._lon = lat, lon

    def text(self, text: bytes) -> None:
        self.number(len(text))
        self.out += text

    def decimal(self, decimal: float) -> None:
        self.out += struct.pack("<d", decimal)

    def spot(self, spot: Spot | None) -> None:
        self.number(spot is not None)
        if spot is not None:
            self.time(spot.at_ms)
            self.place(spot.lat, spot.lon)
            self.decimal(spot.speed_mps)

    def halt(self, halt: Halt) -> None:
        self.time(halt.start_ms)
        self.time(halt.end_ms)
        self.place(halt.lat, halt.lon)
        self.numbers(halt.sources, halt.source, halt.inferred)
        self.numbers(halt.count, halt.sum_lat, halt.sum_lon, halt.sum_m2)

    def run(self, run: Run) -> None:
        self.time(run.start_ms)
        self.time(run.end_ms)
        self.place(run.lat, run.lon)
        self.numbers(run.kind, run.sources, run.source, run.way_dm, run.silent_ms)
        self.numbers(*run.bucket_ms, *run.vote_ms)

    def bin(self, piece: Bin) -> None:
        self.time(piece.start_ms)
        self.time(piece.first_ms)
        self.time(piece.end_ms)
        self.place(piece.lat, piece.lon)
        self.numbers(piece.sources, piece.source, piece.silent_ms, *piece.vote_ms)
        self.numbers(piece.count, piece.sum_lat, piece.sum_lon, piece.last_lat - piece.lat, piece.last_lon - piece.lon)


class _Reader:
    """Reads what a writer wrote, in the same order."""

    def __init__(self, blob: bytes) -> None:
        self._blob = blob
        self._at = 1
        self._clock_ms = 0
        self._lat = self._lon = 0

    def number(self) -> int:
        rest = shift = 0
        while True:
            byte = self._blob[self._at]
            self._at += 1
            rest |= (byte & 0x7F) << shift
            if byte < 0x80:
                return -(rest + 1 >> 1) if rest & 1 else rest >> 1
            shift += 7

    def numbers(self, count: int) -> list[int]:
        return [self.number() for _ in range(count)]

    def time(self) -> int:
        self._clock_ms += self.number()
        return self._clock_ms

    def place(self) -> tuple[int, int]:
        self._lat += self.number()
        self._lon += self.number()
        return self._lat, self._lon

    def text(self) -> bytes:
        length = self.number()
        self._at += length
        return self._blob[self._at - length : self._at]

    def decimal(self) -> float:
        decimal: float = struct.unpack_from("<d", self._blob, self._at)[0]
        self._at += 8
        return decimal

    def spot(self) -> Spot | None:
        if not self.number():
            return None
        return Spot(self.time(), *self.place(), self.decimal())

    def halt(self) -> Halt:
        times = self.time(), self.time()
        lat, lon = self.place()
        sources, source, inferred = self.numbers(3)
        halt = Halt(*times, lat, lon, sources, source, bool(inferred), *self.numbers(4))
        halt.settle()
        return halt

    def run(self) -> Run:
        start_ms, end_ms = self.time(), self.time()
        lat, lon = self.place()
        kind, sources, source, way_dm, silent_ms = self.numbers(5)
        buckets, votes = self.numbers(len(SPEED_EDGES_MPS) + 1), self.numbers(len(VOTES))
        return Run(Kind(kind), start_ms, end_ms, lat, lon, sources, source, way_dm, silent_ms, buckets, votes)

    def bin(self) -> Bin:
        times = self.time(), self.time(), self.time()
        lat, lon = self.place()
        sources, source, silent_ms = self.numbers(3)
        piece = Bin(*times, lat, lon, sources, source, silent_ms, self.numbers(len(VOTES)))
        piece.count, piece.sum_lat, piece.sum_lon, last_lat, last_lon = self.numbers(5)
        piece.last_lat, piece.last_lon = lat + last_lat, lon + last_lon
        return piece
