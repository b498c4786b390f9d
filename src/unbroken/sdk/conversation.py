"""One install's conversation with the platform: sending, its own state, the user token.

One flow at a time has it (`eras.py`), but for a linker that is being asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unbroken import wire
from unbroken.outgoing import NoReply, Reply
from unbroken.randomness import uuid7
from unbroken.sdk.exchange import Bearer, Request, WrongPeer, fault_of, is_good, read, require_status
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.install_key import key_of, new_seed
from unbroken.sdk.pin_watch import PinWatch
from unbroken.sdk.secret import Secret
from unbroken.sdk.steps import Flow, Send, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from unbroken.clock import Clock
    from unbroken.randomness import Randomness
    from unbroken.sdk.install_key import InstallKey
    from unbroken.sdk.memory import Memory
    from unbroken.sdk.state import State

OFFLINE: Final = frozenset({FaultKind.UNREACHABLE, FaultKind.BUSY, FaultKind.PIN_MISMATCH})
"""The platform cannot be asked just now; nothing else is known."""

_OF_SOMEBODY_ELSE: Final = frozenset({FaultKind.REFUSED, FaultKind.NOT_UNDERSTOOD})

_TOKEN_LIFE_MS: Final = 3 * 24 * 3_600_000  # http-api.md, credentials
_RENEWED_AT_AGE_MS: Final = _TOKEN_LIFE_MS - 12 * 3_600_000  # a night offline does no harm
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """What a conversation must know besides the state."""

    app_id: str
    has_secret: bool
    device: wire.Device
    app_version: str | None
    link_timeout_ms: int
    retry_wait_max_ms: int
    install_key: InstallKey | None = None


class Conversation:
    """See the module. What is learned goes into `memory`.

    Args:
        clock: the device's; the platform's may be days apart.
    """

    def __init__(self, memory: Memory, facts: Facts, clock: Clock, randomness: Randomness) -> None:
        self.memory = memory
        self.facts = facts
        self.sent_bytes = 0
        """The bodies that reached the platform: those that were answered."""
        self.pin_watch = PinWatch()
        self._clock = clock
        self._randomness = randomness

    @property
    def state(self) -> State:
        """What this install is."""
        return self.memory.state

    def now_ms(self) -> int:
        """The device's time."""
        return self._clock.now_ms()

    def jitter(self) -> float:
        """A number in [0, 1)."""
        return self._randomness.fraction()

    def new_key(self) -> str:
        """An idempotency key: a random UUID, as a registration's key is a secret of the device (linking.md).

        Of version 7, which the platform keeps in the order of time.
        """
        return uuid7(self.now_ms(), self._randomness.secret(10))

    def new_seed(self) -> Secret | None:
        """For the key of a new install; None where it can have none."""
        return new_seed(self._randomness)

    # Exchanges

    def send(self, request: Request, *, is_patient: bool = True) -> Flow[Reply]:
        """One exchange. A short `Retry-After` is waited out, unless the body would be stale after it (an upload).

        Raises:
            Fault: there was no reply, or not one that says it succeeded.
        """
        for tries_left in reversed(range(_TRIES)):
            reply = yield from self._send_once(request)
            if is_good(reply):
                return reply
            fault = fault_of(reply)
            pause_ms = (fault.retry_after_s or 0) * 1000
            if not (is_patient and tries_left and 0 < pause_ms <= self.facts.retry_wait_max_ms):
                raise fault
            yield Wait(self.now_ms() + pause_ms)
        raise AssertionError("the last try returns or raises")

    def _send_once(self, request: Request) -> Flow[Reply]:
        told = yield Send(request)
        if isinstance(told, WrongPeer):
            self.pin_watch.note_miss(self.now_ms())
            self.memory.update(lambda state: replace(state, pin_misses=state.pin_misses + 1))
            raise Fault(FaultKind.PIN_MISMATCH, told.details)
        if isinstance(told, NoReply):
            raise Fault(FaultKind.UNREACHABLE, told.details)
        assert isinstance(told, Reply)
        self.pin_watch.note_platform()
        self.sent_bytes += len(request.body)
        return told

    def send_as_user(self, build: Callable[[Secret], Request], *, is_patient: bool = True) -> Flow[Reply]:
        """Send with the user token. The platform, not this device's clock, says by 401 when it has ended.

        Raises:
            Fault: as `send`, or as `renew`.
        """
        try:
            return (yield from self.send(build(self.known_token()), is_patient=is_patient))
        except Fault as fault:
            if fault.kind is not FaultKind.UNAUTHENTICATED:
                raise
        yield from self.renew()
        return (yield from self.send(build(self.known_token()), is_patient=is_patient))

    # Own state and metadata

    def learn_own_state(self) -> Flow[Secret | None]:
        """Ask the platform how it sees this install; returns the link ticket, where there is one."""
        reply = yield from self.send_as_user(lambda token: Request("GET", "/sdk/install", Bearer(token)))
        return self.remember_own_state(read(reply, wire.OwnState))

    def remember_own_state(self, own: wire.OwnState) -> Secret | None:
        """Keep what the platform said of this install; returns the link ticket, where there is one."""
        self.memory.change(
            user_id=own.user_id,
            linked=own.linked,
            install_state=own.state,
            state_reason=own.state_reason,
            linking=own.config.linking,
        )
        return None if own.link_ticket is None else Secret(own.link_ticket)

    def add_metadata(self, fields: Mapping[str, str]) -> Flow[None]:
        """Merge fields into the user's metadata; repeating it changes nothing."""
        body = wire.encode(dict(fields))
        reply = yield from self.send_as_user(lambda token: Request("PUT", "/sdk/metadata", Bearer(token), body))
        require_status(reply, 200)
        read(reply, dict[str, str])

    # Tokens

    def fresh_token(self) -> Flow[Secret]:
        """The user token, renewed when it ends soon; offline the cached one as long as it is valid."""
        age_ms = self.now_ms() - self.state.token_received_at_ms
        if not 0 <= age_ms < _RENEWED_AT_AGE_MS:  # below 0 the clock was turned back: the age is unknown
            try:
                yield from self.renew()
            except Fault as fault:
                if not is_unheard(fault) or age_ms >= _TOKEN_LIFE_MS:
                    raise
        return self.known_token()

    def renew(self) -> Flow[None]:
        """Exchange the install credential for the next and a new user token; repeated, it is the same exchange."""
        credential, key = self.state.credential, self.state.renewal_key or self.new_key()
        if credential is None:
            raise _no_user()
        self.memory.change(renewal_key=key)
        tokens = yield from self.send_renewal(self.spending(credential, self.state.install_key), key)
        self.memory.change(
            credential=Secret(tokens.install_credential), renewal_key=None, **self.token_fields(tokens.user_token)
        )

    def spending(self, credential: Secret, seed: Secret | None) -> Bearer:
        """An install credential with the key that signs for its install; `seed` as in `State.install_key`."""
        return Bearer(credential, key_of(seed, self.facts.install_key))

    def send_renewal(self, spending: Bearer, key: str) -> Flow[wire.Tokens]:
        """The exchange itself; only its reply carries the credential that is valid from now on."""
        request = Request("POST", "/sdk/tokens", spending, idempotency_key=key)
        return read((yield from self.send(request)), wire.Tokens)

    def token_fields(self, token: wire.UserToken) -> dict[str, object]:
        """The fields of the state that a user token received now gives."""
        expires_at_ms = wire.parse_iso(token.expires_at)
        if expires_at_ms is None:
            raise Fault(FaultKind.NOT_UNDERSTOOD, "the platform's token has no readable expiry")
        return {
            "token": Secret(token.token),
            "token_expires_at_ms": expires_at_ms,
            "token_received_at_ms": self.now_ms(),
        }

    def known_token(self) -> Secret:
        """The user token there is."""
        if self.state.token is None:
            raise _no_user()
        return self.state.token

    def known_install(self) -> str:
        """The id of the install there is."""
        if self.state.install_id is None:
            raise _no_user()
        return self.state.install_id


def is_unheard(fault: Fault) -> bool:
    """Whether the platform did not hear the question: nobody answered, or a portal or a proxy did in its place."""
    return fault.kind in OFFLINE or (fault.kind in _OF_SOMEBODY_ELSE and fault.code is None)


def _no_user() -> Fault:
    return Fault(FaultKind.DELETED, "there is no user on this device")
