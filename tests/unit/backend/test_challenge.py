from __future__ import annotations

from dataclasses import replace

import pytest

from unbroken.backend.attestation import Refused
from unbroken.backend.challenge import LIFE_S, Asker, check_challenge, make_challenge

KEY = b"k" * 32
ALICE = Asker("ab" * 12, "a1" * 12, "alice")
NOW_MS = 1_800_000_000_500


def made(asker=ALICE, chance=b"c" * 12):
    return make_challenge(KEY, asker, NOW_MS, chance)


def test_a_challenge_has_32_bytes_and_passes_for_whom_it_was_made_until_it_ends():
    assert len(made()) == 32
    for later_ms in (0, 1000 * LIFE_S - 501):
        check_challenge(KEY, ALICE, made(), NOW_MS + later_ms)
    with pytest.raises(Refused, match="too_old"):
        check_challenge(KEY, ALICE, made(), NOW_MS + 1000 * LIFE_S)


@pytest.mark.parametrize(
    "other",
    [
        replace(ALICE, app_id="cd" * 12),
        replace(ALICE, install_id="a2" * 12),
        replace(ALICE, account="bob"),
        replace(ALICE, account="alice "),
        Asker("ab" * 12, "a1" * 12 + "alice", ""),
        Asker("ab" * 12 + "a1", "a1" * 11, "alice"),
        replace(ALICE, account="\ud800"),
    ],
)
def test_it_is_worth_nothing_for_another_app_install_or_account(other):
    with pytest.raises(Refused, match="binding_mismatch"):
        check_challenge(KEY, other, made(), NOW_MS)


def test_no_bit_of_it_can_be_changed_and_nothing_left_out_or_added():
    challenge = made()
    flipped = [
        challenge[:i] + bytes([challenge[i] ^ 1 << bit]) + challenge[i + 1 :] for i in range(32) for bit in range(8)
    ]
    for wrong in (*flipped, *(challenge[:size] for size in range(32)), challenge + b"\0", b"\0" * 32):
        with pytest.raises(Refused, match="binding_mismatch"):
            check_challenge(KEY, ALICE, wrong, NOW_MS)


def test_another_key_makes_other_challenges():
    with pytest.raises(Refused, match="binding_mismatch"):
        check_challenge(b"K" * 32, ALICE, made(), NOW_MS)


def test_chance_makes_each_another():
    assert made() != made(chance=b"d" * 12)


def test_who_asks_is_not_shown():
    assert "alice" not in repr(ALICE)
