"""Which limits a request counts against: whose it is, and where it comes from.

A caller's address is counted apart for each app, so that no app's phones are refused for what another's do behind the
same address. What is refused there, what comes with a code and what renews a token are each counted by themselves, so
that a stranger who guesses stops none of the others. The customer's server shows a key, and is counted by that alone;
its link calls once more, as somebody who has stolen a key links with it.
Never counted are callers on this machine, and anything in a lab (http-api.md, conventions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from unbroken.domain.app import Scope
from unbroken.domain.errors import Refusal
from unbroken.domain.rate import Limit, Rate
from unbroken.flow.authenticate import AppCaller, CredentialCaller, InstallCaller, KeyCaller
from unbroken.flow.limits import Limits
from unbroken.flow.quotas import Quotas
from unbroken.server.addresses import Addresses, networks
from unbroken.server.route import Credential

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from unbroken.flow.context import Context
    from unbroken.flow.limits import Counter
    from unbroken.server.reply import Scope as Request
    from unbroken.server.route import Caller, Route
    from unbroken.server.settings import Settings

C = TypeVar("C", bound="Caller")

_SETTINGS: Final = {
    Limit.KEY: "limit_key",
    Limit.KEY_LINKS: "limit_key_links",
    Limit.APP: "limit_app",
    Limit.INSTALL: "limit_install",
    Limit.ADDRESS: "limit_address",
    Limit.APP_REGISTRATIONS: "limit_app_registrations",
    Limit.ADDRESS_REGISTRATIONS: "limit_address_registrations",
}


_QUOTAS: Final = {Limit.KEY_QUOTA: "quota_key", Limit.APP_QUOTA: "quota_app"}


def limits_of(settings: Settings, tell: Callable[[Limit, bytes], None]) -> Limits:
    """Those that the settings switch on."""
    found = {limit: getattr(settings, name) for limit, name in _SETTINGS.items()}
    return Limits({limit: Rate(per_minute) for limit, per_minute in found.items() if per_minute}, tell=tell)


def quotas_of(
    settings: Settings, context: Context, tell: Callable[[Limit, bytes], None], *, is_alone: bool
) -> Quotas | None:
    """The same of quotas; None where there is none."""
    found = {limit: getattr(settings, name) for limit, name in _QUOTAS.items()}
    calls = {limit: each_day for limit, each_day in found.items() if each_day}
    return Quotas(calls, context.store, context.wall, is_alone=is_alone, tell=tell) if calls else None


_REFUSED: Final = b"\0"
_WITH_CODE: Final = b"\1"
_RENEWING: Final = b"\2"
"""Before an address: what was called from there by nobody who is known, apart by what it was."""


class Counting:
    """Counts the requests of one server."""

    def __init__(self, limits: Limits, addresses: Addresses, quotas: Quotas | None = None) -> None:
        self._limits = limits
        self._addresses = addresses
        self._quotas = quotas

    @classmethod
    def by(cls, settings: Settings, limits: Limits, quotas: Quotas | None) -> Counting:
        """As the settings say."""
        return cls(limits, Addresses(networks(settings.trusted_proxies)), quotas)

    def address_of(self, scope: Request) -> bytes | None:
        """What `admit` and `refused` take; None: the request is not counted."""
        return self._addresses.of(scope)

    async def counted(self, address: bytes | None, route: Route, admitting: Awaitable[C]) -> C:
        """Who calls, and the request counted: also one that is refused.

        Raises:
            RateLimited: one of its limits is used up.
            Refusal: that of `admitting`.
        """
        try:
            caller = await admitting
        except Refusal as refusal:
            self.refused(address, refusal)
            raise
        self.admit(address, caller, route)
        return caller

    def admit(self, address: bytes | None, caller: Caller, route: Route) -> None:
        """Count a request whose caller is known; one that a limit refuses costs no quota, and the other way round.

        Raises:
            RateLimited: one of its limits, or a quota, is used up.
        """
        if address is None:
            return
        counters = _counters(address, caller, route)
        if self._quotas is None:
            self._limits.take(counters)
            return
        self._quotas.check(counters)
        self._limits.take(counters)
        self._quotas.count(counters)

    def refused(self, address: bytes | None, refusal: Refusal) -> None:
        """Count one that showed no credential, or one that is not good for it.

        Raises:
            RateLimited.
        """
        if address is not None:
            self._limits.take(((Limit.ADDRESS, _REFUSED + refusal.of_app + address),))


def _counters(address: bytes, caller: Caller, route: Route) -> Sequence[Counter]:
    match caller:
        case InstallCaller(app_id, install_id):
            of_app = ((Limit.APP, app_id), (Limit.ADDRESS, app_id + address), (Limit.APP_QUOTA, app_id))
            return ((Limit.INSTALL, install_id), *of_app)
        case KeyCaller(app, key_id):
            links = ((Limit.KEY_LINKS, key_id),) if route.scope is Scope.USER_LINK else ()
            quotas = ((Limit.KEY_QUOTA, key_id), (Limit.APP_QUOTA, app.app_id))
            return (*links, (Limit.KEY, key_id), (Limit.APP, app.app_id), *quotas)
        case AppCaller(app):
            there, app_id = app.app_id + address, app.app_id
            registrations = ((Limit.ADDRESS_REGISTRATIONS, there), (Limit.APP_REGISTRATIONS, app_id))
            return (*registrations, (Limit.APP, app_id), (Limit.ADDRESS, there), (Limit.APP_QUOTA, app_id))
        case _ if route.credential is Credential.APP_SECRET_OR_CODE:
            return ((Limit.ADDRESS, _WITH_CODE + address),)
        case CredentialCaller():  # says whose it is, but anybody can write one: until it is looked up, nobody's
            return ((Limit.ADDRESS, _RENEWING + address),)
        case _:
            return ((Limit.ADDRESS, address),)
