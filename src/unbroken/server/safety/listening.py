"""Who can reach the platform, who it believes, and how much it lets them do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.server.addresses import networks
from unbroken.server.safety.finding import Finding, problem, warning, well
from unbroken.server.settings import variable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.server.settings import Settings

_DOUBTFUL_BITS: Final = 7
"""A network this wide is more than anybody's own: 10.0.0.0/8 and fd00::/8 pass."""

_LONGEST_S: Final = {"head_timeout_s": 60.0, "body_timeout_s": 600.0, "reply_timeout_s": 600.0}


def examine(settings: Settings, *, is_lab: bool) -> Iterator[Finding]:
    """Every check of them."""
    yield _host(settings, is_lab=is_lab)
    yield from _proxies(settings)
    yield _limits(settings, is_lab=is_lab)
    yield from _deadlines(settings)


def _host(settings: Settings, *, is_lab: bool) -> Finding:
    if not settings.is_public:
        return well("listening", f"On {settings.host}: this machine only.")
    if is_lab:
        return problem(
            "listening", f"A lab cannot listen on {settings.host}: whoever reaches it moves its clock. Use 127.0.0.1."
        )
    if settings.role == "worker":
        return well("listening", f"On {settings.host}: a worker answers for its health only.")
    if settings.trusted_proxies or settings.plain_http == "allow":
        return well(
            "listening",
            f"On {settings.host}: plain HTTP, for a proxy that speaks TLS; let nothing but that reach the port.",
        )
    return problem(
        "listening",
        f"On {settings.host} others send credentials in plain HTTP. Name the proxy that speaks TLS in"
        f" {variable('trusted_proxies')}; or, where nothing but one can connect, set {variable('plain_http')}=allow.",
    )


def _proxies(settings: Settings) -> Iterator[Finding]:
    for network in networks(settings.trusted_proxies):
        if network.prefixlen == 0:
            yield problem(
                "proxies",
                f"{variable('trusted_proxies')} trusts {network}: anybody could say to be anybody. Name yours.",
            )
        elif network.prefixlen <= _DOUBTFUL_BITS:
            yield warning("proxies", f"{variable('trusted_proxies')} trusts all of {network}. Name your proxies only.")


def _limits(settings: Settings, *, is_lab: bool) -> Finding:
    names = ("limit_app_registrations", "limit_address_registrations", "limit_install", "limit_address")
    off = [variable(name) for name in names if not getattr(settings, name)]
    if is_lab:
        return well("limits", "A lab has none.")
    if off:
        return warning("limits", f"Without {', '.join(off)} one caller can take what is there for all.")
    if not settings.is_public and not settings.trusted_proxies:
        return well(
            "limits",
            "They are on, and callers on this machine are not counted: behind a proxy here, set"
            f" {variable('trusted_proxies')}=127.0.0.1,::1.",
        )
    return well("limits", "They are on.")


def _deadlines(settings: Settings) -> Iterator[Finding]:
    for name, longest_s in _LONGEST_S.items():
        if getattr(settings, name) > longest_s:
            yield warning(
                "deadlines", f"{variable(name)} lets a caller hold a connection for {getattr(settings, name):.0f} s."
            )
