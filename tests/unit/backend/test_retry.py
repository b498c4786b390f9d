from __future__ import annotations

import pytest

from unbroken.backend import InvalidConfig, Retry
from unbroken.backend.retry import Attempts
from unbroken.outgoing import NoReply, Reply

SILENCE = NoReply("no network")
BURST = b'{"message": "", "errorCode": "LINK_BURST", "ref": ""}'


class Fixed:
    """Chance that always falls the same way."""

    def __init__(self, fraction):
        self._fraction = fraction

    def fraction(self):
        return self._fraction


def pauses(retry, answers, fraction=0.5):
    attempts = Attempts(retry, Fixed(fraction))
    told = []
    for answer in answers:
        told.append(attempts.pause_after(answer))
        if told[-1] is None:
            break
    return told


def test_pauses_double_up_to_a_limit_and_end_with_the_last_try():
    retry = Retry(tries_max=6, pause_first_s=1, pause_max_s=4, wait_max_s=100)
    assert pauses(retry, [SILENCE] * 6) == [0.5, 1, 2, 2, 2, None]


def test_jitter_is_full_so_a_pause_may_be_as_short_as_nothing():
    assert pauses(Retry(tries_max=2), [SILENCE], fraction=0.0) == [0.0]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status):
    assert pauses(Retry(), [Reply(status)])[0] is not None


@pytest.mark.parametrize("answer", [Reply(200), Reply(400), Reply(401), Reply(403), Reply(404), Reply(409), Reply(302)])
def test_an_answer_is_the_last_word(answer):
    assert pauses(Retry(), [answer]) == [None]


def test_a_held_burst_is_a_decision_and_is_not_tried_again():
    assert pauses(Retry(), [Reply(429, BURST)]) == [None]


def test_retry_after_is_obeyed():
    assert pauses(Retry(), [Reply(503, retry_after_s=3)]) == [3.0]


def test_a_retry_after_beyond_the_bound_ends_the_call_at_once():
    assert pauses(Retry(wait_max_s=10), [Reply(429, retry_after_s=11)]) == [None]


def test_all_pauses_of_a_call_are_bounded_together():
    assert pauses(Retry(tries_max=9, wait_max_s=10), [Reply(503, retry_after_s=4)] * 9) == [4.0, 4.0, None]


@pytest.mark.parametrize("wrong", [{"tries_max": 0}, {"pause_first_s": -1}, {"wait_max_s": -0.1}])
def test_a_retry_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InvalidConfig):
        Retry(**wrong)
