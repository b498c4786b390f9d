"""The pure session: what the SDK does next. It is answered; it never sends, asks, sleeps or touches the disk itself.

A flow is a generator that yields `Send`, `AskLinker` or `Wait` and is told what came of it; `advance` turns its end
into `Done`. Whoever drives it writes `Session.state` to disk **before** it does a step, whenever it changed:
idempotency keys are part of it, so that a killed process repeats its request instead of making a second one.
The steps named in comments are those of the table in sdk.md.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from msgspec.structs import replace

from unbroken import wire
from unbroken.sdk.errors import Fault, FaultKind
from unbroken.sdk.exchange import AppSecret, Bearer, NoReply, Reply, Request, fault_of, read
from unbroken.sdk.linker import NO_OP, Linker, LinkerAnswer, LinkRequest
from unbroken.sdk.secret import Secret
from unbroken.sdk.state import Farewell, State
from unbroken.sdk.upload import Keep, Stored, Verdict, backoff_ms, upload_request, verdict_on

if TYPE_CHECKING:
    from unbroken.clock import Clock
    from unbroken.randomness import Randomness
    from unbroken.sdk.outbox import ClosedPayload

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Send:
    """Send this request; answer with the `Reply` or `NoReply`."""

    request: Request


@dataclass(frozen=True, slots=True)
class AskLinker:
    """Ask the linker; answer with its `LinkerAnswer`."""

    linker: Linker
    request: LinkRequest


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until then (epoch milliseconds); answer with None."""

    until_ms: int


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The flow has ended with this result."""

    result: T


Step = Send | AskLinker | Wait
Answer = Reply | NoReply | LinkerAnswer | None
Flow = Generator[Step, Answer, T]


def advance(flow: Flow[T], answer: Answer) -> Step | Done[T]:
    """The next step of a flow after `answer` (None at its start); what the flow raises comes through."""
    try:
        return flow.send(answer)
    except StopIteration as end:
        return Done(end.value)


SDK_VERSION: Final = "0.1.0"
TOKEN_RENEWED_EARLY_MS: Final = 12 * 3_600_000
"""How long before its end a cached user token is renewed: a night offline does no harm."""

_TRIES: Final = 3
_OFFLINE: Final = frozenset({FaultKind.UNREACHABLE, FaultKind.BUSY})
_LOST: Final = frozenset({FaultKind.DELETED, FaultKind.CLONED})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a session must know besides its state."""

    app_id: str
    has_secret: bool
    device: wire.Device
    app_version: str | None
    link_timeout_ms: int
    retry_wait_max_ms: int


class Session:
    """The conversation of one install with the platform. One flow at a time, but for a linker that is being asked."""

    def __init__(self, state: State, facts: Facts, clock: Clock, randomness: Randomness) -> None:
        self.state = state
        self._facts = facts
        self._clock = clock
        self._randomness = randomness
        self._failed_uploads = 0

    # Initialisation

    def initialise(self, linker: Linker | None, code: Secret | None = None) -> Flow[None]:
        """The table of sdk.md; returns where it says success.

        Args:
            linker: the app's, asked at step 9.
            code: an authentication code to register with, in place of the app secret.

        Raises:
            Fault: where the table says fail; `INIT_ISSUES` names it.
        """
        if self.state.app_id != self._facts.app_id:  # 1; 2 is a transition that the table of InitState lacks
            raise Fault(FaultKind.CHANGED_APP, "the state on this device was made with another app id")
        yield from self.say_farewells()
        try:
            yield from self._initialise_once(linker, code)
        except Fault as fault:
            if fault.kind not in _LOST:
                raise
            self._forget_install(restored_from=self.state.install_id if fault.kind is FaultKind.CLONED else None)
            yield from self._initialise_once(linker, code)

    def _initialise_once(self, linker: Linker | None, code: Secret | None) -> Flow[None]:
        if self.state.install_id is None:
            yield from self._register(code)  # 3
        try:
            ticket = yield from self.learn_own_state()  # 4
        except Fault as fault:
            if fault.kind in _OFFLINE and self.state.linked:
                return
            raise
        self._refuse_if_disabled()  # 5
        if self.state.linking == "off" or self.state.linked:  # 6, 7
            return  # 11, 12
        if linker is None or linker is NO_OP:  # 8
            if self.state.linking == "required":
                raise Fault(FaultKind.LINKER_FAILED, "the app requires linking and no linker is set")
            return
        yield from self._link_through(linker, ticket)  # 9, 10

    def _register(self, code: Secret | None) -> Flow[None]:
        """Step 3. The key is on disk before the request, the reply before anything else."""
        if code is None and not self._facts.has_secret:
            raise Fault(FaultKind.UNAUTHENTICATED, "there is no user yet, and neither app secret nor code to make one")
        self._choose_registration_key(code)
        body = wire.Register(
            device=self._facts.device,
            sdk=wire.SdkVersion(name="unbroken-python", version=SDK_VERSION),
            app_version=self._facts.app_version,
            restored_from=self.state.restored_from,
            authentication_code=code.reveal() if code else None,
        )
        authorization = None if code else AppSecret(self._facts.app_id)
        key = self.state.registration_key
        request = Request("POST", "/sdk/installs", authorization, wire.encode(body), idempotency_key=key)
        self._remember_registration(read((yield from self._send(request)), wire.Registered))

    def _choose_registration_key(self, code: Secret | None) -> None:
        """The unfinished registration's key; a fresh one for the code of another account.

        Without a code an unfinished registration by code is finished: the platform knows it by its key.
        """
        made_for = _fingerprint(code) if code else self.state.registration_code
        if self.state.registration_key is None or made_for != self.state.registration_code:
            self.state = replace(self.state, registration_key=self._new_key(), registration_code=made_for)

    def _remember_registration(self, registered: wire.Registered) -> None:
        self.state = replace(
            self.state,
            install_id=registered.install_id,
            user_id=registered.user_id,
            credential=Secret(registered.install_credential),
            token=Secret(registered.user_token.token),
            token_expires_at_ms=_expiry(registered.user_token),
            linked=registered.linked,
            install_state=registered.state,
            state_reason=registered.state_reason,
            linking=registered.config.linking,
            registration_key=None,
            registration_code=None,
            restored_from=None,
        )

    def _refuse_if_disabled(self) -> None:
        if self.state.install_state == "disabled":
            raise Fault(FaultKind.DISABLED, f"the platform has disabled this install: {self.state.state_reason}")

    # Own state and linking

    def learn_own_state(self) -> Flow[str | None]:
        """Ask the platform how it sees this install; returns the link ticket, where there is one."""
        reply = yield from self._send_as_user(lambda token: Request("GET", "/sdk/install", Bearer(token)))
        return self._remember_own_state(read(reply, wire.OwnState))

    def _remember_own_state(self, own: wire.OwnState) -> str | None:
        self.state = replace(
            self.state,
            user_id=own.user_id,
            linked=own.linked,
            install_state=own.state,
            state_reason=own.state_reason,
            linking=own.config.linking,
        )
        return own.link_ticket

    def link_through(self, linker: Linker) -> Flow[None]:
        """Link the existing user through a linker; the platform's word, not the linker's, makes it so."""
        ticket = yield from self.learn_own_state()
        self._refuse_if_disabled()
        if not self.state.linked:
            yield from self._link_through(linker, ticket)

    def _link_through(self, linker: Linker, ticket: str | None) -> Flow[None]:
        deadline_ms = self._clock.now_ms() + self._facts.link_timeout_ms
        answer = yield AskLinker(linker, LinkRequest(self._known_install(), ticket, deadline_ms))  # 9
        assert isinstance(answer, LinkerAnswer)
        if not answer.is_success:
            raise Fault(FaultKind.LINKER_FAILED, str(answer.reason)) from answer.error
        yield from self.learn_own_state()  # 10
        self._refuse_if_disabled()
        if not self.state.linked:
            raise Fault(FaultKind.LINKER_FAILED, "the linker says it has linked, the platform says it has not")

    def link_with_code(self, code: Secret) -> Flow[None]:
        """Link the existing user with an authentication code (linking.md, rows 4 to 15)."""
        made_for = _fingerprint(code)
        if self.state.link_key is None or self.state.link_code != made_for:
            self.state = replace(self.state, link_key=self._new_key(), link_code=made_for)
        key = self.state.link_key
        body = wire.encode(wire.RedeemCode(code.reveal()))
        reply = yield from self._send_as_user(
            lambda token: Request("POST", "/sdk/link", Bearer(token), body, idempotency_key=key)
        )
        self._remember_own_state(read(reply, wire.OwnState))
        self.state = replace(self.state, link_key=None, link_code=None)

    # Tokens

    def fresh_token(self) -> Flow[Secret]:
        """The user token, renewed when it ends soon; offline the cached one as long as it is valid."""
        now_ms = self._clock.now_ms()
        if now_ms >= self.state.token_expires_at_ms - TOKEN_RENEWED_EARLY_MS:
            try:
                yield from self.renew()
            except Fault as fault:
                if fault.kind not in _OFFLINE or now_ms >= self.state.token_expires_at_ms:
                    raise
        return self._known_token()

    def renew(self) -> Flow[None]:
        """Exchange the install credential for the next and a new user token; repeated, it is the same exchange."""
        credential, key = self.state.credential, self.state.renewal_key or self._new_key()
        if credential is None:
            raise Fault(FaultKind.DELETED, "there is no user on this device")
        self.state = replace(self.state, renewal_key=key)
        tokens = yield from self._send_renewal(credential, key)
        self.state = replace(
            self.state,
            credential=Secret(tokens.install_credential),
            token=Secret(tokens.user_token.token),
            token_expires_at_ms=_expiry(tokens.user_token),
            renewal_key=None,
        )

    def _send_renewal(self, credential: Secret, key: str) -> Flow[wire.Tokens]:
        request = Request("POST", "/sdk/tokens", Bearer(credential), idempotency_key=key)
        return read((yield from self._send(request)), wire.Tokens)

    # Payloads and metadata

    def upload(self, payloads: Sequence[ClosedPayload]) -> Flow[Verdict]:
        """One upload of at most 32 payloads; at 401 the token is renewed and the upload repeated."""
        try:
            reply = yield from self._send_as_user(
                lambda token: upload_request(payloads, token, self._clock.now_ms()), is_patient=False
            )
            results = read(reply, wire.UploadResults)
        except Fault as fault:
            return self._failed_upload(fault, payloads)
        self._failed_uploads = 0
        self.state = replace(self.state, install_state=results.state, state_reason=results.state_reason)
        sent = {payload.payload_id for payload in payloads}
        stored = [result for result in results.results if result.payload_id in sent]
        if stored:
            return Stored(stored)
        return self._failed_upload(
            Fault(FaultKind.NOT_UNDERSTOOD, "the reply names no payload that was sent"), payloads
        )

    def _failed_upload(self, fault: Fault, payloads: Sequence[ClosedPayload]) -> Verdict:
        if fault.kind is FaultKind.DISABLED:
            self.state = replace(self.state, install_state="disabled", state_reason=fault.details)
        if fault.kind is FaultKind.DELETED:
            self.state = replace(self.state, install_state="deleted", state_reason=fault.details)
        delay_ms = backoff_ms(self._failed_uploads, self._randomness.fraction())
        verdict = verdict_on(fault, payloads, self._clock.now_ms(), delay_ms)
        if isinstance(verdict, Keep):
            self._failed_uploads += 1
        return verdict

    def add_metadata(self, fields: Mapping[str, str]) -> Flow[None]:
        """Merge fields into the user's metadata; repeating it changes nothing."""
        body = wire.encode(dict(fields))
        yield from self._send_as_user(lambda token: Request("PUT", "/sdk/metadata", Bearer(token), body))

    # Reset

    def leave(self) -> None:
        """Stop being this install: one write forgets it and notes the farewell, so that a kill leaves no half reset."""
        farewells = self.state.farewells
        if self.state.install_id is not None and self.state.credential is not None:
            farewell = Farewell(self.state.install_id, self.state.credential, self.state.renewal_key)
            farewells = (*farewells, farewell)
        self.state = State(app_id=self._facts.app_id, farewells=farewells)

    def say_farewells(self) -> Flow[bool]:
        """Tell the platform of every install that was reset here; returns whether it knows of all."""
        while self.state.farewells:
            try:
                yield from self._say_first_farewell()
            except Fault as fault:
                if fault.kind in _OFFLINE:
                    return False
                # Any other refusal is final: a credential that is refused now will not be accepted later.
            self.state = replace(self.state, farewells=self.state.farewells[1:])
        return True

    def _say_first_farewell(self) -> Flow[None]:
        """An unfinished renewal is finished first: only its reply carries the credential that is valid now."""
        farewell = self.state.farewells[0]
        if farewell.renewal_key is not None:
            tokens = yield from self._send_renewal(farewell.credential, farewell.renewal_key)
            farewell = Farewell(farewell.install_id, Secret(tokens.install_credential))
            self.state = replace(self.state, farewells=(farewell, *self.state.farewells[1:]))
        yield from self._send(Request("DELETE", "/sdk/install", Bearer(farewell.credential)), is_patient=False)

    def _forget_install(self, restored_from: str | None) -> None:
        """Be a new device that keeps its settings (step 4: deleted or cloned)."""
        self.state = State(
            app_id=self.state.app_id,
            restored_from=restored_from,
            farewells=self.state.farewells,
            detections_enabled=self.state.detections_enabled,
            detections_until_ms=self.state.detections_until_ms,
        )

    # Exchanges

    def _send_as_user(self, build: Callable[[Secret], Request], *, is_patient: bool = True) -> Flow[Reply]:
        """Send with the user token. The platform, not this device's clock, says by 401 when it has ended."""
        try:
            return (yield from self._send(build(self._known_token()), is_patient=is_patient))
        except Fault as fault:
            if fault.kind is not FaultKind.UNAUTHENTICATED:
                raise
        yield from self.renew()
        return (yield from self._send(build(self._known_token()), is_patient=is_patient))

    def _send(self, request: Request, *, is_patient: bool = True) -> Flow[Reply]:
        """One exchange. A short `Retry-After` is waited out, unless the body would be stale after it (an upload)."""
        for tries_left in reversed(range(_TRIES)):
            answer = yield Send(request)
            if isinstance(answer, NoReply):
                raise Fault(FaultKind.UNREACHABLE, answer.details)
            assert isinstance(answer, Reply)
            if answer.status < 400:
                return answer
            fault = fault_of(answer)
            pause_ms = (fault.retry_after_s or 0) * 1000
            if not (is_patient and tries_left and 0 < pause_ms <= self._facts.retry_wait_max_ms):
                raise fault
            yield Wait(self._clock.now_ms() + pause_ms)
        raise AssertionError("the last try returns or raises")

    def _known_token(self) -> Secret:
        if self.state.token is None:  # reset while a linker was being asked
            raise Fault(FaultKind.DELETED, "there is no user on this device")
        return self.state.token

    def _known_install(self) -> str:
        if self.state.install_id is None:
            raise Fault(FaultKind.DELETED, "there is no user on this device")
        return self.state.install_id

    def _new_key(self) -> str:
        """An idempotency key: a random UUID, as a registration's key is a secret of the device (linking.md)."""
        return str(uuid.UUID(bytes=self._randomness.secret(16), version=4))


def _fingerprint(code: Secret) -> str:
    return hashlib.sha256(code.reveal().encode()).hexdigest()


def _expiry(token: wire.UserToken) -> int:
    expires_at_ms = wire.parse_iso(token.expires_at)
    if expires_at_ms is None:
        raise Fault(FaultKind.NOT_UNDERSTOOD, "the platform's token has no readable expiry")
    return expires_at_ms
