"""Rounds of uploads: everything that waits goes up, batch by batch, until something has to be kept for later.

An install that was told to stop has nothing to upload and would hear nothing any more; it asks for its state instead
(linking.md, states of an install), so that it goes on when it is active again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from unbroken import wire
from unbroken.sdk.exchange import read
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.status import QuotaStatus, quota_status
from unbroken.sdk.upload import Drop, Halve, Keep, Stored, Verdict, backoff_ms, upload_request, verdict_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.outgoing import Reply
    from unbroken.sdk.config import Config
    from unbroken.sdk.conversation import Conversation
    from unbroken.sdk.outbox import ClosedPayload, Outbox
    from unbroken.sdk.steps import Flow

STATE_ASKED_EVERY_MS: Final = 5 * 60_000
"""How often an install that is not active asks in the background whether it is again."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What a round of uploads did: items acknowledged, and where it stopped early, why and until when."""

    items: int
    kept: Keep | None = None


class Uploading:
    """See the module.

    Args:
        talk: of this install.
        outbox: what waits.
        config: for the network quota and the pause between rounds.
    """

    def __init__(self, talk: Conversation, outbox: Outbox, config: Config) -> None:
        self._talk = talk
        self._outbox = outbox
        self._config = config
        self._failures = 0
        self._state_asked_at_ms: int | None = None

    @property
    def network_quota(self) -> QuotaStatus:
        """How much of the network quota is used."""
        return quota_status(self._outbox.traffic_bytes(self._talk.now_ms()), self._config.quotas.network_bytes)

    # The flows

    def submit(self) -> Flow[Uploaded]:
        """Upload whatever the network quota, and ask for the state where that told nothing.

        Raises:
            Fault: why something had to be kept.
        """
        uploaded = yield from self.everything()
        if uploaded.kept is not None:
            raise uploaded.kept.fault
        if not uploaded.items:
            yield from self._ask_for_state()
        return uploaded

    def round(self) -> Flow[Uploaded]:
        """What happens in the background every so often: within the quota, and never a `Fault`."""
        uploaded = Uploaded(0)
        if not self._talk.pin_watch.may_try(self._talk.now_ms()):
            return uploaded
        if self.network_quota is not QuotaStatus.EXCEEDED:
            uploaded = yield from self.everything()
        if not uploaded.items and uploaded.kept is None and self._is_time_to_ask():
            yield from self._ask_for_state()
        return uploaded

    def everything(self) -> Flow[Uploaded]:
        """Upload until nothing waits or something has to be kept."""
        install_id, items, limit = self._talk.state.install_id, 0, wire.PAYLOADS_MAX
        if install_id is None:
            return Uploaded(0)
        self._outbox.close_open(install_id, self._talk.now_ms())
        while payloads := self._outbox.batch(install_id, limit):
            verdict = yield from self._upload(payloads)
            match verdict:
                case Stored(results):
                    items += self._outbox.acknowledge(install_id, results, self._talk.now_ms())
                case Drop(reason):
                    self._outbox.drop(install_id, payloads, reason, self._talk.now_ms())
                    limit = wire.PAYLOADS_MAX
                case Halve():
                    limit = max(1, len(payloads) // 2)
                case Keep():
                    return Uploaded(items, verdict)
                case _:
                    assert_never(verdict)
        return Uploaded(items)

    # One upload

    def _upload(self, payloads: Sequence[ClosedPayload]) -> Flow[Verdict]:
        """At most 32 payloads; at 401 the token is renewed and it is repeated. Its size counts where it arrived."""
        talk, sent_before = self._talk, self._talk.sent_bytes
        verdict: Verdict
        try:
            reply = yield from talk.send_as_user(
                lambda token: upload_request(payloads, token, talk.now_ms()), is_patient=False
            )
            verdict = self._stored(reply, payloads)
        except Fault as fault:
            verdict = self._failed(fault, payloads)
        self._outbox.count_traffic(talk.sent_bytes - sent_before, talk.now_ms())
        return verdict

    def _stored(self, reply: Reply, payloads: Sequence[ClosedPayload]) -> Stored:
        results = read(reply, wire.UploadResults)
        sent = {payload.payload_id for payload in payloads}
        stored = [result for result in results.results if result.payload_id in sent]
        self._talk.memory.change(install_state=results.state, state_reason=results.state_reason)
        if not stored:
            raise Fault(FaultKind.NOT_UNDERSTOOD, "the reply names no payload that was sent")
        self._failures = 0
        return Stored(stored)

    def _failed(self, fault: Fault, payloads: Sequence[ClosedPayload]) -> Verdict:
        self._note_state(fault)
        delay_ms = backoff_ms(self._failures, self._talk.jitter())
        verdict = verdict_on(fault, payloads, self._talk.now_ms(), delay_ms)
        if isinstance(verdict, Keep):
            self._failures += 1
        return verdict

    def _note_state(self, fault: Fault) -> None:
        if fault.kind is FaultKind.DISABLED:
            self._talk.memory.change(install_state="disabled", state_reason=fault.details)
        if fault.kind in {FaultKind.DELETED, FaultKind.CLONED}:  # of a copy: this device is that install no more
            self._talk.memory.change(install_state="deleted", state_reason=fault.details)

    # Asking for the state

    def _is_time_to_ask(self) -> bool:
        asked_at_ms, now_ms = self._state_asked_at_ms, self._talk.now_ms()
        return asked_at_ms is None or not asked_at_ms <= now_ms < asked_at_ms + STATE_ASKED_EVERY_MS

    def _ask_for_state(self) -> Flow[None]:
        """Nothing for an install that is active, or deleted, which is for ever. Asking in vain fails no upload."""
        if self._talk.state.install_id is None or self._talk.state.install_state in {"active", "deleted"}:
            return
        self._state_asked_at_ms = self._talk.now_ms()
        try:
            yield from self._talk.learn_own_state()
        except Fault as fault:
            self._note_state(fault)

    # Pauses between rounds

    def pause_after(self, uploaded: Uploaded) -> float:
        """Seconds until the next round."""
        if uploaded.kept is None:
            return self._config.upload_every_s or 0.0
        return max(0, uploaded.kept.until_ms - self._talk.now_ms()) / 1000

    def pause_after_error(self) -> float:
        """Seconds until the next round after one that ended in an exception of the app or the system: backoff too."""
        self._failures += 1
        return backoff_ms(self._failures - 1, self._talk.jitter()) / 1000
