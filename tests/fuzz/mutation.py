"""Inputs made by changing genuine ones at random, the same for one seed."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.table import Target

INTERESTING = [b"", b"\x00", b"\xff", b"\x7f", b"\x80", b"\x1f", b"\x81", b"\x82\xff\xff", b"\xbf", b".", b"=", b'"']
KEPT_MAX = 2_000


@dataclass
class Result:
    tried: int = 0
    kept: int = 0
    failure: BaseException | None = None
    failed_on: bytes = b""


def fuzz(target: Target, *, seed: int, seconds: float | None = None, count: int | None = None) -> Result:
    """Run until the time is over, so many inputs were tried, or one failed.

    Now and then a changed input stays, to be changed further: faults that need two changes are found too.
    """
    chance, pool, result = Random(seed), list(target.seeds), Result()
    ends_at = None if seconds is None else time.monotonic() + seconds
    for n in itertools.count() if count is None else range(count):
        if ends_at is not None and n % 64 == 0 and time.monotonic() >= ends_at:
            break
        data = changed(chance.choice(pool), chance, target.seeds)
        result.tried += 1
        try:
            target.run(data)
        except Exception as failure:  # noqa: BLE001 - any error is what is looked for
            result.failure, result.failed_on = failure, data
            break
        if chance.random() < 0.02 and len(pool) < KEPT_MAX:
            pool.append(data)
            result.kept += 1
    return result


def changed(data: bytes, chance: Random, seeds) -> bytes:
    content = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4])):
        at = chance.randrange(len(content) + 1)
        match chance.randrange(7):
            case 0 if at < len(content):
                content[at] ^= 1 << chance.randrange(8)
            case 1 if at < len(content):
                content[at] = chance.randrange(256)
            case 2:
                content[at : at + chance.randrange(1, 9)] = b""
            case 3:
                content[at:at] = chance.choice(INTERESTING)
            case 4:
                content[at:at] = chance.randbytes(chance.randrange(1, 5))
            case 5:
                other = chance.choice(seeds)
                begin = chance.randrange(len(other) + 1)
                content[at : at + 8] = other[begin : begin + chance.randrange(1, 32)]
            case _:
                del content[at:]
    return bytes(content)
