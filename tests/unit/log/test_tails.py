"""Tails: who appends tells those who read, gathered; what is heard is never taken back by something older."""

from __future__ import annotations

import pytest

from unbroken.log.jetstream.tails import Tails

pytestmark = pytest.mark.anyio


class Ear:
    """Everything that was told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __call__(self, message: bytes) -> None:
        self.heard.append(message)


async def nobody(message: bytes) -> None:
    raise AssertionError(message)


async def test_what_is_appended_together_is_told_once_and_understood_elsewhere():
    ear = Ear()
    here, there = Tails(ear), Tails(nobody)
    for sequence in range(1, 51):
        here.note(sequence % 3, sequence)
    await here.told()

    assert len(ear.heard) == 1
    there.hear(ear.heard[0])
    assert [there.of(partition) for partition in range(3)] == [48, 49, 50]
    assert here.behind({}) == there.behind({}) == [0, 1, 2]


async def test_a_partition_is_behind_while_its_tail_lies_beyond_its_cursor():
    tails = Tails(nobody)
    tails.learn(4, 10)
    assert tails.behind({4: 9}) == [4]
    assert tails.behind({4: 10}) == []


async def test_an_older_tail_changes_nothing():
    tails = Tails(nobody)
    tails.learn(4, 10)
    tails.grew.clear()
    tails.learn(4, 9)
    assert tails.of(4) == 10
    assert not tails.grew.is_set()


async def test_what_was_learned_while_it_was_looked_at_is_not_forgotten():
    tails = Tails(nobody)
    tails.learn(4, 10)
    seen = tails.of(4)
    tails.learn(4, 11)
    tails.forget(4, seen)
    assert tails.of(4) == 11
    tails.forget(4, 11)
    assert tails.of(4) == 0


async def test_a_message_of_another_form_is_no_news():
    tails = Tails(nobody)
    tails.hear(b"hello")
    assert tails.behind({}) == []
