"""What one upload says and what its reply means for the payloads in it. Pure; the rounds are in `uploading.py`."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.outgoing import full_jitter
from unbroken.sdk.exchange import Bearer, Request
from unbroken.sdk.faults import Fault, FaultKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.sdk.outbox import ClosedPayload
    from unbroken.sdk.secret import Secret

BACKOFF_FIRST_MS: Final = 2_000
BACKOFF_MAX_MS: Final = 3_600_000
_HOPELESS: Final = frozenset({400, 413})


@dataclass(frozen=True, slots=True)
class Stored:
    """The platform holds these payloads durably."""

    results: Sequence[wire.PayloadResult]


@dataclass(frozen=True, slots=True)
class Halve:
    """Something in the batch cannot succeed; smaller batches find out what, so that nothing else is given up."""


@dataclass(frozen=True, slots=True)
class Drop:
    """These payloads can never succeed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Not now: everything is kept, and may be tried again at `until_ms`."""

    until_ms: int
    fault: Fault


Verdict = Stored | Halve | Drop | Keep


def upload_request(payloads: Sequence[ClosedPayload], token: Secret, sent_at_ms: int) -> Request:
    """One attempt. `sent_at` is of this very attempt: from it the platform learns this device's clock offset."""
    parts = [b'{"payload_id":' + wire.encode(p.payload_id) + b',"items":' + p.body + b"}" for p in payloads]
    body = b'{"sent_at":' + str(sent_at_ms).encode() + b',"payloads":[' + b",".join(parts) + b"]}"
    return Request("POST", "/sdk/payloads", Bearer(token), gzip.compress(body, 6, mtime=0), is_gzip=True)


def verdict_on(fault: Fault, payloads: Sequence[ClosedPayload], now_ms: int, delay_ms: int) -> Verdict:
    """What a failed upload means (sdk.md, outbox): 400, 410, 413 cannot succeed, everything else may.

    A single payload is given up at the platform's word only: what a proxy refuses may pass once that is mended.
    """
    if fault.kind is FaultKind.DELETED:
        return Drop(fault.details)
    if fault.status in _HOPELESS and len(payloads) > 1:
        return Halve()
    if fault.status in _HOPELESS and fault.code is not None:
        return Drop(fault.details)
    return Keep(now_ms + max(delay_ms, (fault.retry_after_s or 0) * 1000), fault)


def backoff_ms(failures: int, fraction: float) -> int:
    """How long an upload that failed so often waits; `fraction` is chance, in [0, 1)."""
    return int(full_jitter(failures, BACKOFF_FIRST_MS, BACKOFF_MAX_MS, fraction))
