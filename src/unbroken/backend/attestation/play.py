"""Play Integrity: Google says of an app and a device that asked it what it knows of them.

A classic request's token is opened here, with the app's own response keys. A standard request's token can only be
decoded by Google's server, and only once: asked again, Google leaves its verdicts out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol

from unbroken.backend.attestation.evidence import PlayClassic, PlayStandard
from unbroken.backend.attestation.jose import ResponseKeys, open_token
from unbroken.backend.attestation.proof import Proof
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.backend.attestation.verdict import NEWEST_MS, OLDEST_MS, PlayRules, Verdict, judge, read_verdict

if TYPE_CHECKING:
    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.evidence import Evidence
    from unbroken.backend.attestation.proof import Level

__all__ = ["Classic", "Decoder", "PlayRules", "ResponseKeys", "Standard"]

TOKEN_MAX_CHARACTERS: Final = 20_000
"""Google names no limit; tokens seen have 2 to 4 thousand."""

_REMEMBERED_MS: Final = OLDEST_MS + NEWEST_MS
_REMEMBERED_MAX: Final = 20_000


class Decoder(Protocol):
    """Who decodes the token of a standard request."""

    def decode(self, token: str, now_ms: int) -> bytes:
        """The payload, JSON.

        Raises:
            Refused: `decoder_refused`, `decoder_quota_exceeded` or `decoder_unreachable`.
        """
        ...


class Classic:
    """Verifies the token of a classic request (`Kind.PLAY_CLASSIC`) without asking anybody.

    Args:
        rules: which verdicts count.
        keys: the app's response keys, from the Play Console.
    """

    def __init__(self, rules: PlayRules, keys: ResponseKeys) -> None:
        self._rules = rules
        self._keys = keys

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:
        """See `Verifier.verify`."""
        assert isinstance(evidence, PlayClassic)
        payload, signed = open_token(_sized(evidence.token), self._keys)
        verdict = read_verdict(payload)
        level = judge(verdict, verdict.request_details.nonce, binding, self._rules, now_ms)
        return _proof(level, signed, verdict)


@dataclass(slots=True)
class _Sent:
    """A token that was sent to be decoded, and what it held, once that is known."""

    at_ms: int
    payload: bytes | None = None


class Standard:
    """Verifies the token of a standard request (`Kind.PLAY_STANDARD`), which is decoded once.

    What it held is remembered for some minutes, so that an app that heard no answer may send the same again. That it
    counts once only is seen to where challenges are. For each challenge one token is decoded and no other, as decoding
    has a quota, and a device can make up tokens: nothing is known of their form.

    Args:
        rules: which verdicts count.
        decoder: whom to ask, usually `google.GoogleDecoder`.
    """

    def __init__(self, rules: PlayRules, decoder: Decoder) -> None:
        self._rules = rules
        self._decoder = decoder
        self._sent: dict[bytes, _Sent] = {}  # by token, and by what it was sent for
        self._lock = Lock()

    def verify(self, evidence: Evidence, binding: Binding, now_ms: int) -> Proof:
        """See `Verifier.verify`."""
        assert isinstance(evidence, PlayStandard)
        token = _sized(evidence.token)
        verdict = read_verdict(self._payload(token, binding.digest, now_ms))
        level = judge(verdict, verdict.request_details.request_hash, binding, self._rules, now_ms)
        return _proof(level, token.encode(), verdict)

    def _payload(self, token: str, bound_to: bytes, now_ms: int) -> bytes:
        digest = hashlib.sha256(token.encode()).digest()
        with self._lock:
            if (before := self._sent.get(digest)) is not None:
                return _remembered(before)
            if bound_to in self._sent:
                raise Refused(Reason.TOKEN_REPEATED, "another token was sent to be decoded for this challenge")
            self._forget(now_ms)
            sent = self._sent[digest] = self._sent[bound_to] = _Sent(now_ms)
        sent.payload = self._decoder.decode(token, now_ms)
        return sent.payload

    def _forget(self, now_ms: int) -> None:
        """Drop what is too old to count, and the oldest where there are too many."""
        for digest, sent in list(islice(self._sent.items(), 4)):  # twice as many as come: it shrinks again
            if sent.at_ms < now_ms - _REMEMBERED_MS or len(self._sent) + 2 > _REMEMBERED_MAX:
                del self._sent[digest]


def _remembered(sent: _Sent) -> bytes:
    if sent.payload is None:
        raise Refused(Reason.TOKEN_REPEATED, "it was sent to be decoded before, and nothing came of that")
    return sent.payload


def _sized(token: str) -> str:
    if len(token) > TOKEN_MAX_CHARACTERS:
        raise Refused(Reason.TOO_LARGE, f"a token of {len(token)} characters")
    return token


def _proof(level: Level, signed: bytes, verdict: Verdict) -> Proof:
    app, device = verdict.app_integrity, verdict.device_integrity
    facts = {
        "package": app.package_name,
        "version": str(app.version_code),
        "app": app.app_recognition_verdict,
        "device": " ".join(device.device_recognition_verdict),
        "licence": verdict.account_details.app_licensing_verdict,
    }
    return Proof(level, hashlib.sha256(signed).digest(), facts=facts)
