"""What every face of the kit does with a request of an app, whatever the framework: the rules are those of `linking`.

One flow, written once. It awaits what its host does (`Host`): on asyncio that suspends, in a framework that blocks it
never does (`blocking`).
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final, Protocol, TypedDict

from unbroken import wire
from unbroken.backend import linking
from unbroken.backend.attestation import Binding, Level, Mode, Reason, Refused, read_evidence
from unbroken.backend.challenge import CHANCE_BYTES, KEY_MIN_BYTES, LIFE_S, Asker, check_challenge, make_challenge
from unbroken.backend.connection import check_url
from unbroken.backend.errors import BackendError, InvalidConfig
from unbroken.backend.pace import InProcessLimit, Limit, Pace
from unbroken.domain import errors as refusals
from unbroken.domain.ids import parse_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.backend.attestation import Evidence, Judgement, Policy
    from unbroken.backend.client import AsyncPlatform, Platform
    from unbroken.backend.linking import AppAnswer, LinkAsked
    from unbroken.backend.request import Request
    from unbroken.backend.results import AuthCode, Link

_log: Final = logging.getLogger("unbroken.backend")
_NO_CHALLENGE: Final = bytes(32)

CHALLENGE_PACE: Final = Pace(burst=20, every_s=300)
"""About 300 a day for each account. A login takes one, and more than 20 links a day are held by the platform."""


class Settings(TypedDict, total=False):
    """What a face may be set up with, beside the platform and `authenticate`.

    Args:
        platform_url: where apps reach the platform; the kit's own base URL if left out.
        attestation: what devices must prove (`unbroken.backend.attestation`); nothing if left out. Needs `app_id`.
        app_id: the app that the API key is of: proofs are bound to it.
        challenge_key: 32 bytes or more that seal challenges, the same in every process of this server; made from the
            API key if left out, so that a changed key voids the challenges of two minutes.
        limit: how often one account may call. A `Pace` is counted in this process; a `Limit` of your own may count
            for several; None lets everybody call.
        challenge_limit: the same for challenges alone; `CHALLENGE_PACE` if left out. For each of them a device may have
            one token decoded by Google, which decodes 10,000 a day for all of an app's accounts.
    """

    platform_url: str | None
    attestation: Policy | None
    app_id: str | None
    challenge_key: bytes | None
    limit: Pace | Limit | None
    challenge_limit: Pace | Limit | None


class Host(Protocol):
    """What the flow leaves to its face: whom it calls, and whether that suspends."""

    async def authenticate(self, request: Request) -> object:
        """Whoever is signed in, or None."""
        ...

    async def wait_ms(self, limit: Limit, account: str, now_ms: int) -> int:
        """See `Limit`."""
        ...

    async def judge(self, policy: Policy, given: Evidence | Refused | None, binding: Binding, now_ms: int) -> Judgement:
        """See `Policy.judge`."""
        ...

    async def link(self, asked: LinkAsked, account: str, attested: wire.Attested | None) -> Link:
        """See `Platform.link`."""
        ...

    async def find_link(self, asked: LinkAsked, account: str) -> Link | None:
        """See `Platform.find_link`."""
        ...

    async def create_auth_code(self, account: str) -> AuthCode:
        """See `Platform.create_auth_code`."""
        ...


class Endpoint:
    """The part of a customer's server that an app talks to, without the framework.

    Raises:
        InvalidConfig: a setting is not usable.
    """

    def __init__(self, host: Host, platform: Platform | AsyncPlatform, settings: Settings) -> None:
        _refuse_unknown(settings)
        self._host = host
        self._options = platform.options
        url = settings.get("platform_url")
        self._platform_url = platform.base_url if url is None else url
        check_url(self._platform_url)
        self._policy = settings.get("attestation")
        self._app_id = _checked_app_id(settings.get("app_id"), is_needed=self._policy is not None)
        key = settings.get("challenge_key")
        self._challenge_key = platform.derive(b"unbroken challenges") if key is None else key
        if len(self._challenge_key) < KEY_MIN_BYTES:
            raise InvalidConfig(f"a challenge key has at least {KEY_MIN_BYTES} bytes")
        self._limit = _limit_of(settings.get("limit", Pace()))
        self._challenge_limit = _limit_of(settings.get("challenge_limit", CHALLENGE_PACE))

    async def answer(self, request: Request, body: Callable[[], Awaitable[bytes]]) -> AppAnswer:
        """Answer one request; what `authenticate` raises is the host application's to handle.

        Args:
            body: reads it whole, or raises what it refuses.
        """
        ref = self._options.new_id()
        is_call = linking.METHODS.get(request.path) == request.method
        signed_in = await self._host.authenticate(request) if is_call else None
        try:
            return await self._answer(request, signed_in, body)
        except BackendError as error:
            _log.warning("the platform did not do what an app asked for: %s (here %s)", error, ref)
            return linking.failed(error, ref)
        except refusals.Refusal as refusal:
            return linking.refused(refusal, ref, request.path)

    async def _answer(self, request: Request, signed_in: object, body: Callable[[], Awaitable[bytes]]) -> AppAnswer:
        linking.require_route(request.method, request.path)
        account = _account_of(signed_in)
        await self._pace(self._limit, account)
        match request.path:
            case "/challenge":
                return await self._challenge(account, linking.read_install_id(request.query))
            case "/auth-code":
                return await self._auth_code(account)
            case _:
                linking.require_json(request.headers)
                asked = linking.read_install(await body())
                linking.require_install_id(asked.install_id)
                return await self._link(account, asked)

    async def _pace(self, limit: Limit | None, account: str) -> None:
        if limit is None:
            return
        wait_ms = await self._host.wait_ms(limit, account, self._options.clock.now_ms())
        if wait_ms > 0:
            raise refusals.RateLimited("This account calls too often.", retry_after_s=-(-wait_ms // 1000))

    async def _challenge(self, account: str, install_id: str) -> AppAnswer:
        if self._policy is None:
            raise refusals.NotFound("This server asks no device for a proof.")
        await self._pace(self._challenge_limit, account)
        chance = self._options.randomness.secret(CHANCE_BYTES)
        asker = Asker(self._app_id, install_id, account)
        made = make_challenge(self._challenge_key, asker, self._options.clock.now_ms(), chance)
        return linking.challenge(made, LIFE_S)

    async def _auth_code(self, account: str) -> AppAnswer:
        """A code links whatever install brings it, and so proves nothing of a device: not where a proof is enforced."""
        if self._policy is not None and self._policy.mode is Mode.ENFORCE:
            raise _refused(Reason.MISSING, hint="Here an install is linked by POST /install, with a proof.")
        return linking.auth_code(await self._host.create_auth_code(account), self._platform_url)

    async def _link(self, account: str, asked: LinkAsked) -> AppAnswer:
        try:
            attested = None if self._policy is None else await self._judge(self._policy, account, asked)
        except refusals.AttestationRefused:
            repeated = await self._repeated(account, asked)
            if repeated is None:
                raise
            return linking.linked(repeated)
        return linking.linked(await self._host.link(asked, account, attested))

    async def _repeated(self, account: str, asked: LinkAsked) -> Link | None:
        """The link that is there already: said again it is answered again, though its proof was used or has ended.

        An answer gets lost on the way to a phone; what comes then is no attack and changes nothing (linking.md, law 4).
        """
        try:
            return await self._host.find_link(asked, account)
        except BackendError:
            return None

    async def _judge(self, policy: Policy, account: str, asked: LinkAsked) -> wire.Attested | None:
        """What the device proved; None where the policy is off.

        Raises:
            AttestationRefused: not enough, and the policy enforces it.
        """
        now_ms = self._options.clock.now_ms()
        challenge, given = self._evidence(account, asked, now_ms)
        binding = Binding(self._app_id, asked.install_id, b"", challenge)
        judgement = await self._host.judge(policy, given, binding, now_ms)
        if not judgement.is_allowed:
            raise _refused(judgement.reason, hint="Ask for a new challenge, and send a proof of it as `attestation`.")
        return _attested(judgement, given, challenge)

    def _evidence(self, account: str, asked: LinkAsked, now_ms: int) -> tuple[bytes, Evidence | Refused | None]:
        """The challenge that was answered, and with what; or why that needs no look."""
        if asked.attestation is None:
            return _NO_CHALLENGE, None
        try:
            challenge = linking.challenge_in(asked.attestation)
            check_challenge(self._challenge_key, Asker(self._app_id, asked.install_id, account), challenge, now_ms)
            return challenge, read_evidence(asked.attestation)
        except Refused as refused:
            return _NO_CHALLENGE, refused


def _refuse_unknown(settings: Settings) -> None:
    """A setting that is not taken must be heard of: a policy under a name with a slip in it would enforce nothing."""
    unknown = settings.keys() - Settings.__annotations__.keys()
    if unknown:
        raise InvalidConfig(f"there is no setting {', '.join(sorted(unknown))}")


def _account_of(signed_in: object) -> str:
    """The external id of whoever is signed in.

    Raises:
        Unauthenticated: nobody is.
        TypeError: `authenticate` gave something that is no external id, so nothing is guessed from it.
    """
    if signed_in is None:
        raise refusals.Unauthenticated("Nobody is signed in.")
    if not isinstance(signed_in, str):
        raise TypeError(f"authenticate returned a {type(signed_in).__name__}; an external id is a string")
    return signed_in


def _limit_of(limit: Pace | Limit | None) -> Limit | None:
    return InProcessLimit(limit) if isinstance(limit, Pace) else limit


def _checked_app_id(app_id: str | None, *, is_needed: bool) -> str:
    if app_id is None and is_needed:
        raise InvalidConfig("proofs are bound to the app: attestation needs app_id")
    if app_id is not None and parse_id(app_id) is None:
        raise InvalidConfig("an app id is 24 hex characters")
    return app_id or ""


def _refused(reason: Reason | None, *, hint: str) -> refusals.AttestationRefused:
    return refusals.AttestationRefused(hint=hint, details=(("attestation", str(reason)),))


def _attested(judgement: Judgement, given: Evidence | Refused | None, challenge: bytes) -> wire.Attested | None:
    kind = None if given is None or isinstance(given, Refused) else given.kind.value
    proof, reason = judgement.proof, judgement.reason
    if proof is None:
        return None if reason is None else wire.Attested(Level.NONE.value, kind, reason.value)
    return wire.Attested(
        judgement.level.value,
        kind,
        challenge_digest=hashlib.sha256(challenge).hexdigest(),
        proof_digest=proof.digest.hex(),
    )
