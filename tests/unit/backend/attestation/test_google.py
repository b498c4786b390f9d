"""Google's decode call, against a fake of its servers on loopback."""

from __future__ import annotations

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from unbroken.backend.attestation import Binding, Level, Reason, Refused
from unbroken.backend.attestation.evidence import PlayStandard
from unbroken.backend.attestation.google import GoogleDecoder, ServiceAccount
from unbroken.backend.attestation.jose import from_base64url, to_base64url
from unbroken.backend.attestation.play import PlayRules, Standard
from unbroken.testing.attestation.android import KeyRoots
from unbroken.testing.attestation.issuing import new_key
from unbroken.testing.attestation.lab import PACKAGE, SIGNER, _account_key
from unbroken.testing.attestation.play import Play, verdict
from unbroken.testing.attestation.server import TOKEN_PATH, GoogleServer

NOW_MS = 1_790_000_000_000
BINDING = Binding("a" * 24, "b" * 24, b"", bytes(32))
DECODE_PATH = f"/v1/{PACKAGE}:decodeIntegrityToken"


class Google:
    def __init__(self):
        self.play = Play()
        self.server = GoogleServer(self.play, KeyRoots(NOW_MS))
        self.account = ServiceAccount("kit@example.com", _account_key(), f"{self.server.url}{TOKEN_PATH}")
        self.decoder = GoogleDecoder(PACKAGE, self.account, url=self.server.url, timeout_s=30)

    def token(self):
        bound_to = {"requestHash": to_base64url(BINDING.digest)}
        return self.play.standard_token(verdict(PACKAGE, SIGNER, bound_to, NOW_MS))

    def close(self):
        self.decoder.close()
        self.server.close()


@pytest.fixture
def google():
    made = Google()
    yield made
    made.close()


def code_of(judge, *args):
    with pytest.raises(Refused) as caught:
        judge(*args)
    return caught.value.code


def test_a_token_is_decoded_and_its_verdict_judged(google):
    verifier = Standard(PlayRules(packages={PACKAGE}, signers={SIGNER}), google.decoder)
    evidence = PlayStandard(google.token())
    assert verifier.verify(evidence, BINDING, NOW_MS).level == Level.PLAY_STRONG
    assert verifier.verify(evidence, BINDING, NOW_MS).level == Level.PLAY_STRONG
    assert google.play.decodings == [evidence.token]


def test_a_token_that_google_decodes_again_has_no_verdicts(google):
    token = google.token()
    first, second = (json.loads(google.decoder.decode(token, NOW_MS)) for _ in range(2))
    assert first["deviceIntegrity"]
    assert second["deviceIntegrity"] == {}


def test_the_account_signs_a_statement_that_google_can_verify(google):
    google.decoder.decode(google.token(), NOW_MS)
    header, claims, signature = google.server.statements[0].split(".")
    key = load_pem_private_key(_account_key().encode(), None).public_key()
    key.verify(from_base64url(signature), f"{header}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(from_base64url(header)) == {"alg": "RS256", "typ": "JWT"}
    assert json.loads(from_base64url(claims)) == {
        "iss": "kit@example.com",
        "scope": "https://www.googleapis.com/auth/playintegrity",
        "aud": google.account.token_url,
        "iat": NOW_MS // 1000,
        "exp": NOW_MS // 1000 + 600,
    }


def test_an_access_token_is_used_until_a_minute_before_its_end(google):
    for at_ms in (NOW_MS, NOW_MS + 1, NOW_MS + 3_538_999):
        google.decoder.decode(google.token(), at_ms)
    assert len(google.server.statements) == 1
    google.decoder.decode(google.token(), NOW_MS + 3_539_000)
    assert len(google.server.statements) == 2


def test_threads_share_one_access_token(google):
    tokens = [google.token() for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        decoded = list(threads.map(lambda token: google.decoder.decode(token, NOW_MS), tokens))
    assert len(decoded) == 8
    assert len(google.server.statements) == 1


def test_a_refused_access_token_is_asked_for_once_in_ten_seconds_by_whomever(google):
    asked = []
    google.server.answer = lambda path, *_: asked.append(path) or (503, b"{}")
    with ThreadPoolExecutor(8) as threads:
        outcomes = threads.map(lambda _: code_of(google.decoder.decode, "token", NOW_MS), range(8))
        assert set(outcomes) == {Reason.DECODER_UNREACHABLE}
    assert code_of(google.decoder.decode, "token", NOW_MS + 9_999) == Reason.DECODER_UNREACHABLE
    assert asked == [TOKEN_PATH]
    del google.server.answer
    assert google.decoder.decode(google.token(), NOW_MS + 10_000)


def test_while_one_thread_renews_the_access_token_the_others_use_the_old_one(google):
    begun, may_end, answer = threading.Event(), threading.Event(), google.server.answer
    google.decoder.decode(google.token(), NOW_MS)
    renewed_at_ms = NOW_MS + 3_540_000

    def slow(path, *more):
        if path == TOKEN_PATH:
            begun.set()
            may_end.wait(20)
        return answer(path, *more)

    google.server.answer = slow
    with ThreadPoolExecutor(2) as threads:
        renewing = threads.submit(google.decoder.decode, google.token(), renewed_at_ms)
        assert begun.wait(20)
        other = threads.submit(google.decoder.decode, google.token(), renewed_at_ms)
        try:
            assert other.result(5)
        finally:
            may_end.set()
        assert renewing.result(20)


def test_an_access_token_that_google_does_not_know_any_more_is_had_anew(google):
    google.decoder.decode(google.token(), NOW_MS)
    google.server.statuses[DECODE_PATH] = 401
    assert code_of(google.decoder.decode, google.token(), NOW_MS) == Reason.DECODER_REFUSED
    del google.server.statuses[DECODE_PATH]
    assert google.decoder.decode(google.token(), NOW_MS)
    assert len(google.server.statements) == 2


@pytest.mark.parametrize("path", [TOKEN_PATH, DECODE_PATH])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, Reason.DECODER_REFUSED),
        (403, Reason.DECODER_REFUSED),
        (302, Reason.DECODER_REFUSED),
        (429, Reason.DECODER_QUOTA_EXCEEDED),
        (500, Reason.DECODER_REFUSED),
        (501, Reason.DECODER_REFUSED),
        (502, Reason.DECODER_UNREACHABLE),
        (503, Reason.DECODER_UNREACHABLE),
        (504, Reason.DECODER_UNREACHABLE),
    ],
)
def test_what_google_answers_otherwise_has_its_reason(google, path, status, reason):
    google.server.statuses[path] = status
    assert code_of(google.decoder.decode, google.token(), NOW_MS) == reason


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"<html>", b"\xff", b'{"access_token": 1}', b" " * 70_000])
def test_a_reply_that_cannot_be_read_is_no_outage(google, body):
    google.server.answer = lambda *_: (200, body)
    assert code_of(google.decoder.decode, google.token(), NOW_MS) == Reason.DECODER_REFUSED


def test_a_token_that_google_does_not_know_is_refused(google):
    assert code_of(google.decoder.decode, "unknown", NOW_MS) == Reason.DECODER_REFUSED


def test_silence_is_an_outage(google):
    decoder = GoogleDecoder(PACKAGE, google.account, url="http://127.0.0.1:9", timeout_s=1)
    assert code_of(decoder.decode, google.token(), NOW_MS) == Reason.DECODER_UNREACHABLE
    decoder.close()


def account_file(**changed):
    content = {
        "client_email": "a@b.c",
        "private_key": _account_key(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    return json.dumps(content | changed).encode()


def test_a_service_account_is_read_from_googles_file_and_does_not_show_its_key():
    account = ServiceAccount.of_file(account_file(type="service_account"))
    assert account.email == "a@b.c"
    assert "PRIVATE KEY" not in repr(account)


EC_KEY = new_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        account_file(private_key="no key"),
        account_file(private_key=EC_KEY),
        account_file(token_uri="http://oauth2.googleapis.com/token"),
        account_file(token_uri="file:///etc/passwd"),
    ],
    ids=["empty", "no members", "no key", "not RSA", "in the clear", "a file"],
)
def test_a_file_that_is_no_account_is_refused_without_its_key(content):
    with pytest.raises(ValueError, match=r".") as caught:
        ServiceAccount.of_file(content)
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "PRIVATE KEY" not in shown
    assert base64.b64encode(b"PRIVATE").decode() not in shown


def test_googles_own_address_must_be_https():
    account = ServiceAccount.of_file(account_file())
    with pytest.raises(ValueError, match="loopback"):
        GoogleDecoder(PACKAGE, account, url="http://playintegrity.googleapis.com")
