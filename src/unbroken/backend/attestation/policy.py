"""Whether an install may go on with the proof it brought: off, observe, enforce."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Final

from unbroken.backend.attestation.evidence import Kind
from unbroken.backend.attestation.proof import Level
from unbroken.backend.attestation.refused import Reason, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.backend.attestation.binding import Binding
    from unbroken.backend.attestation.evidence import Evidence
    from unbroken.backend.attestation.proof import Proof, Verifier

_log: Final = logging.getLogger("unbroken.backend.attestation")
_THREADS_MAX: Final = 16
_AT_ONCE_MAX: Final = 256


class Mode(StrEnum):
    """What follows from a refused proof, from the mildest to the strictest."""

    OFF = "off"
    """Nothing is verified."""
    OBSERVE = "observe"
    """It is counted and told, and the install goes on."""
    ENFORCE = "enforce"
    """The install is refused."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a policy said of one install.

    Args:
        is_allowed: whether it may go on.
        level: what was proven; `none` without a proof.
        reason: why there is no proof; None if there is one, or if the policy is off.
        proof: what was verified.
    """

    is_allowed: bool
    level: Level
    reason: Reason | None = None
    proof: Proof | None = None


class Policy:
    """Verifiers by the kind of evidence they judge, and what follows.

    A device chooses what it sends, or to send nothing: a mode of one kind (`modes`) that is weaker than `mode` is open
    to every device, so it is for the weeks of a roll-out only.

    Args:
        mode: for missing and unreadable evidence, and for every kind that `modes` does not name.
        verifiers: kinds without one are refused as `not_verifiable`.
        modes: of single kinds, none of them stricter than `mode`: a device would send nothing in its place.
        is_lenient_in_outage: whether `enforce` lets an install without a proof go on (level `none`) while the service
            that must decode its proof cannot be reached. By default it does not. Whoever can cut this server off from
            that service gets in then.

    Raises:
        ValueError: no such mode or kind, or a kind that is stricter than the policy.
    """

    def __init__(
        self,
        mode: Mode,
        verifiers: Mapping[Kind, Verifier] | None = None,
        *,
        modes: Mapping[Kind, Mode] | None = None,
        is_lenient_in_outage: bool = False,
    ) -> None:
        self._mode = Mode(mode)  # a mode from a file of settings is a plain string, and "enforce" must enforce
        self._verifiers = {Kind(kind): verifier for kind, verifier in (verifiers or {}).items()}
        self._modes = {Kind(kind): Mode(mode) for kind, mode in (modes or {}).items()}
        _require_none_stricter(self._modes, self._mode)
        self._is_lenient_in_outage = is_lenient_in_outage
        self._refused: Counter[tuple[Kind | None, Reason]] = Counter()
        self._lock = Lock()
        self._threads = ThreadPoolExecutor(_THREADS_MAX, "attestation")
        self._room = BoundedSemaphore(_AT_ONCE_MAX)

    @property
    def mode(self) -> Mode:
        """Of missing and unreadable evidence."""
        return self._mode

    def judge(self, evidence: Evidence | Refused | None, binding: Binding, now_ms: int) -> Judgement:
        """Verify on this thread.

        No error passes: what a verifier does not declare is `verifier_failed`, and evidence that could not be read is
        handed in as the error that `read_evidence` raised.
        """
        if self._mode_of(evidence) is Mode.OFF:
            return _UNJUDGED
        try:
            given = _readable(evidence)
            proof = self._verifier_of(given.kind).verify(given, binding, now_ms)
            return Judgement(is_allowed=True, level=proof.level, proof=proof)
        except Exception as error:  # noqa: BLE001 - fail closed under enforce, and do no harm under observe
            return self._without_proof(evidence, error)

    async def judge_async(self, evidence: Evidence | Refused | None, binding: Binding, now_ms: int) -> Judgement:
        """The same for hosts that run on asyncio, on threads of its own: an outage takes none of the host's.

        What comes while very many wait already is not verified: `verifier_failed`.
        """
        if _kind_of(evidence) is None or self._mode_of(evidence) is Mode.OFF:
            return self.judge(evidence, binding, now_ms)
        if not self._room.acquire(blocking=False):
            return self._without_proof(evidence, Refused(Reason.VERIFIER_FAILED, "too many proofs at once"))
        try:
            loop, work = asyncio.get_running_loop(), copy_context()
            return await loop.run_in_executor(self._threads, work.run, self.judge, evidence, binding, now_ms)
        finally:
            self._room.release()

    def refused(self) -> Mapping[tuple[Kind | None, Reason], int]:
        """How many installs came without a proof since the start, by kind (None: nothing readable was sent) and reason.

        Under `observe` these are what `enforce` would have refused.
        """
        with self._lock:
            return dict(self._refused)

    def _mode_of(self, evidence: Evidence | Refused | None) -> Mode:
        kind = _kind_of(evidence)
        return self._mode if kind is None else self._modes.get(kind, self._mode)

    def _verifier_of(self, kind: Kind) -> Verifier:
        verifier = self._verifiers.get(kind)
        if verifier is None:
            raise Refused(Reason.NOT_VERIFIABLE, f"no verifier for {kind}")
        return verifier

    def _without_proof(self, evidence: Evidence | Refused | None, error: Exception) -> Judgement:
        reason = error.code if isinstance(error, Refused) else Reason.VERIFIER_FAILED
        with self._lock:
            self._refused[_kind_of(evidence), reason] += 1
        _log.warning("no proof of an install: %s", error, exc_info=None if isinstance(error, Refused) else error)
        return Judgement(self._lets_go_on(self._mode_of(evidence), reason), Level.NONE, reason)

    def _lets_go_on(self, mode: Mode, reason: Reason) -> bool:
        in_outage = self._is_lenient_in_outage and reason is Reason.DECODER_UNREACHABLE
        return mode is not Mode.ENFORCE or in_outage


_UNJUDGED: Final = Judgement(is_allowed=True, level=Level.NONE)


def _require_none_stricter(modes: Mapping[Kind, Mode], mode: Mode) -> None:
    order = list(Mode)
    for kind, own in modes.items():
        if order.index(own) > order.index(mode):
            raise ValueError(f"{kind} cannot have {own} while the policy has {mode}: a device would send nothing")


def _readable(evidence: Evidence | Refused | None) -> Evidence:
    if evidence is None:
        raise Refused(Reason.MISSING)
    if isinstance(evidence, Refused):
        raise evidence
    return evidence


def _kind_of(evidence: Evidence | Refused | None) -> Kind | None:
    return None if evidence is None or isinstance(evidence, Refused) else evidence.kind
