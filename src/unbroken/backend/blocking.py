"""The flow of `endpoint` in a framework that blocks: its host never suspends, so it runs to its end without a loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from unbroken.backend import linking
from unbroken.backend.endpoint import Endpoint, Settings
from unbroken.backend.errors import InvalidConfig
from unbroken.backend.request import Request
from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from unbroken import wire
    from unbroken.backend.attestation import Binding, Evidence, Judgement, Policy, Refused
    from unbroken.backend.client import Platform
    from unbroken.backend.linking import AppAnswer, LinkAsked
    from unbroken.backend.pace import Limit
    from unbroken.backend.results import AuthCode, Link

T = TypeVar("T")

Authenticate = Callable[[Request], str | None]
"""Who is signed in on this request: the account's external id, or None."""


class Blocking:
    """The host of a framework that blocks."""

    def __init__(self, platform: Platform, authenticate: Authenticate) -> None:
        self._platform = platform
        self._authenticate = authenticate

    async def authenticate(self, request: Request) -> object:
        """See `Host`."""
        return self._authenticate(request)

    async def wait_ms(self, limit: Limit, account: str, now_ms: int) -> int:
        """See `Host`."""
        wait_ms = limit.wait_ms(account, now_ms)
        assert isinstance(wait_ms, int), "looked at when it was set up"
        return wait_ms

    async def judge(self, policy: Policy, given: Evidence | Refused | None, binding: Binding, now_ms: int) -> Judgement:
        """See `Host`."""
        return policy.judge(given, binding, now_ms)

    async def link(self, asked: LinkAsked, account: str, attested: wire.Attested | None) -> Link:
        """See `Host`."""
        return self._platform.link(
            asked.install_id, external_id=account, link_ticket=asked.link_ticket, attestation=attested
        )

    async def find_link(self, asked: LinkAsked, account: str) -> Link | None:
        """See `Host`."""
        return self._platform.find_link(asked.install_id, external_id=account)

    async def create_auth_code(self, account: str) -> AuthCode:
        """See `Host`."""
        return self._platform.create_auth_code(account)


def blocking_endpoint(platform: Platform, authenticate: Authenticate, settings: Settings) -> Endpoint:
    """The endpoint of a framework that blocks.

    Raises:
        InvalidConfig: a setting is not usable, or is for asyncio.
    """
    limits = (settings.get("limit"), settings.get("challenge_limit"))
    for asked in (authenticate, platform.link, *(getattr(limit, "wait_ms", None) for limit in limits)):
        if inspect.iscoroutinefunction(asked):
            raise InvalidConfig(f"this framework blocks: {asked.__qualname__} must be a plain function")
    return Endpoint(Blocking(platform, authenticate), platform, settings)


def at_once(flow: Coroutine[Any, Any, T]) -> T:
    """What a flow comes to whose host never suspends."""
    try:
        flow.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    flow.close()
    raise RuntimeError("a host that blocks has suspended")


def answer_at_once(endpoint: Endpoint, request: Request, read: Callable[[int], bytes]) -> AppAnswer:
    """Answer one request in a framework that blocks.

    Args:
        read: reads so many bytes of the body, fewer at its end.
    """

    async def body() -> bytes:
        whole = b""
        while chunk := read(linking.BODY_MAX_BYTES + 1 - len(whole)):
            whole += chunk
        if len(whole) > linking.BODY_MAX_BYTES:
            raise refusals.TooLarge
        return whole

    return at_once(endpoint.answer(request, body))
