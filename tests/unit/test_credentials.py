"""Credentials: their form, and what the platform signs."""

from __future__ import annotations

import hmac

import pytest

from unbroken.credentials import Kind, Signed, Vault, kind_of, read_opaque, write_opaque
from unbroken.domain.standing import Standing

VAULT = Vault(pepper=b"p" * 32, signing_key=b"s" * 32)
OPAQUE = write_opaque(Kind.API_KEY, b"k" * 12, bytes(range(32)))
SIGNED = Signed(b"a" * 12, b"i" * 12, 1_790_000_000_000, Standing.STANDBY)


def test_an_opaque_credential_says_its_kind_and_whose_it_is():
    opaque = read_opaque(OPAQUE)
    assert opaque is not None
    assert (opaque.kind, opaque.subject) == (Kind.API_KEY, b"k" * 12)


@pytest.mark.parametrize("at", range(len(OPAQUE)))
def test_one_wrong_character_makes_it_none(at):
    wrong = OPAQUE[:at] + ("x" if OPAQUE[at] != "x" else "y") + OPAQUE[at + 1 :]
    assert read_opaque(wrong) is None


@pytest.mark.parametrize(
    "text", ["", "unb_", "unb_key_", OPAQUE + "0", OPAQUE[:-1], "é" * len(OPAQUE), "unb_zzz_" + "0" * 75]
)
def test_what_is_not_of_the_form_is_none(text):
    assert read_opaque(text) is None


@pytest.mark.parametrize("kind", [Kind.USER_TOKEN, Kind.LINK_TICKET])
def test_what_was_signed_is_read_again(kind):
    assert VAULT.open(kind, VAULT.sign(kind, SIGNED)) == SIGNED


def test_a_ticket_is_no_token_and_a_token_no_ticket():
    ticket = VAULT.sign(Kind.LINK_TICKET, SIGNED)
    assert VAULT.open(Kind.USER_TOKEN, ticket) is None
    assert VAULT.open(Kind.USER_TOKEN, ticket.replace("unb_tick_", "unb_user_")) is None


def test_every_flipped_bit_is_noticed():
    token = VAULT.sign(Kind.USER_TOKEN, SIGNED)
    start = len("unb_user_")
    for at in range(start, len(token)):
        for other in "AZaz09-_":
            if other != token[at]:
                assert VAULT.open(Kind.USER_TOKEN, token[:at] + other + token[at + 1 :]) is None


@pytest.mark.parametrize("more", ["=", "==", "====", "A", "AAAA", "\n", " "])
def test_a_signed_credential_has_one_spelling(more):
    assert VAULT.open(Kind.USER_TOKEN, VAULT.sign(Kind.USER_TOKEN, SIGNED) + more) is None


def test_a_key_of_one_purpose_is_none_of_another():
    derived = {VAULT.derived(purpose, content) for purpose in (b"a", b"ab") for content in (b"", b"b", b"\0b")}
    assert len(derived) == 6
    assert VAULT.derived(b"a", b"b") != Vault(pepper=b"p" * 32, signing_key=b"t" * 32).derived(b"a", b"b")


def test_another_platform_does_not_believe_it():
    other = Vault(pepper=b"p" * 32, signing_key=b"t" * 32)
    assert other.open(Kind.USER_TOKEN, VAULT.sign(Kind.USER_TOKEN, SIGNED)) is None


@pytest.mark.parametrize("length", [0, 1, 32, 63, 64, 65, 200])
def test_a_digest_is_an_hmac_whatever_the_length_of_the_key(length):
    key = bytes(range(length))
    vault = Vault(pepper=key, signing_key=b"s")
    for secret in ("", "a secret", "é" * 300):
        assert vault.digest(secret) == hmac.digest(key, secret.encode(), "sha256")
    assert vault.tombstone(b"i" * 12) == hmac.digest(key, b"tombstone" + b"i" * 12, "sha256")


def test_the_vault_shows_nothing():
    assert "pppp" not in repr(VAULT)
    assert "ssss" not in repr(VAULT)


def test_a_kind_is_known_by_its_prefix():
    assert kind_of("unb_inst_x") is Kind.INSTALL
    assert kind_of("Bearer") is None
