"""Seeded mutations against every reader of `targets_readers`: only what a reader declares may come out of it.

The same inputs in every run; one that fails is told, and becomes a test of its own.
"""

from __future__ import annotations

import os

import pytest
from tests.fuzz.targets_readers import TARGETS

from unbroken.randomness import SeededRandomness

FEW = 2_000
MANY = int(os.environ.get("UNBROKEN_FUZZ_INPUTS", "1000000"))
WORDS = (
    b"", b"\0", b"\xff", b"\xc0\xaf", b"%", b"%00", b"%2e%2e", b"..", b"/", b"\r\n", b'"', b"\\", b"\\u0000", b"{",
    b"\\ud800", b"[", b"}" * 20, b"[" * 20, b"1e999", b"-0", b"NaN", b"=", b"==", b"&&", b"+", b"9" * 40, b"null",
    b"\xe2\x80\xae", b"\xb2",
)  # fmt: skip


class Mutations:
    """Inputs made of seeds by chance that is the same in every run."""

    def __init__(self, name: str, seeds: tuple[bytes, ...]) -> None:
        self._chance = SeededRandomness(sum(name.encode()))
        self._pool = list(seeds)

    def _below(self, limit: int) -> int:
        return int(self._chance.fraction() * limit)

    def next(self) -> bytes:
        """The next input: one of the pool, changed in one to four places."""
        content = bytearray(self._pool[self._below(len(self._pool))])
        for _ in range(1 + self._below(4)):
            at = self._below(len(content) + 1)
            match self._below(6):
                case 0 if content:
                    content[at % len(content)] ^= 1 << self._below(8)
                case 1:
                    content[at:at] = WORDS[self._below(len(WORDS))]
                case 2:
                    del content[at : at + 1 + self._below(8)]
                case 3:
                    content[at:at] = bytes([self._below(256)]) * (1 + self._below(3))
                case 4:
                    content[at:at] = content[: self._below(len(content) + 1)]
                case _:
                    other = self._pool[self._below(len(self._pool))]
                    content[at:] = other[self._below(len(other) + 1) :]
        made = bytes(content[:20_000])
        if self._below(50) == 0 and len(self._pool) < 200:
            self._pool.append(made)
        return made


def fuzz(name, count):
    target = TARGETS[name]
    for seed in target.seeds:
        if not target.declared:
            target.read(seed)
    inputs = Mutations(name, target.seeds)
    for _ in range(count):
        content = inputs.next()
        try:
            target.read(content)
        except target.declared:
            pass
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            pytest.fail(f"{name} raised {error!r} for {content!r}")


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_raises_what_it_declares_and_nothing_else(name):
    fuzz(name, FEW)


@pytest.mark.prove
@pytest.mark.parametrize("name", TARGETS)
def test_a_million_inputs_do_not_change_that(name):
    fuzz(name, MANY)
