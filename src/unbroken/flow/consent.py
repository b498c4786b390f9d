"""Consent: what the operator makes so that the platform may be attacked, and takes back (decision 0027).

Two apps that nobody else uses, keys of every kind for each, and credentials whose time is over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from unbroken import consent, wire
from unbroken.clock import ManualClock
from unbroken.consent import Pass, Stamp, Warrant
from unbroken.credentials import AUTH_CODE_LIFE_MS, Kind, Signed
from unbroken.domain.app import Scope
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.domain.ids import AppId, InstallId
from unbroken.domain.payload import DAY_MS
from unbroken.flow import administer, codes, keys, register
from unbroken.flow.authenticate import NO_KEY, AppCaller, KeyCaller

if TYPE_CHECKING:
    from unbroken.flow.context import Context

HOURS_MAX: Final = 7 * 24
_LONG_AGO_MS: Final = 10 * DAY_MS
_KEY_DAYS: Final = HOURS_MAX // 24
_REGISTER: Final = wire.Register(wire.Device("android"), wire.SdkVersion("attack", "1"))


async def give(context: Context, hours: int) -> Warrant:
    """Make two throw-away apps and agree that they are attacked, with all that is reached through them.

    Raises:
        InvalidRequest: for longer than a week.
    """
    if not 1 <= hours <= HOURS_MAX:
        raise InvalidRequest(f"A warrant holds 1 to {HOURS_MAX} hours.")
    until_ms = context.wall.now_ms() + hours * 3_600_000
    a, b = await _pass(context, "attack A"), await _pass(context, "attack B")
    stamp = Stamp(bytes.fromhex(a.app_id), bytes.fromhex(b.app_id), until_ms)
    text, key = consent.write_stamp(context.vault, stamp), consent.key_of(context.vault, stamp)
    return Warrant(text, key, wire.iso(until_ms), a, b)


async def answer(context: Context, stamp_text: str, challenge: str) -> str:
    """The proof for a challenge.

    Raises:
        InvalidRequest: the challenge is none.
        NotFound: the stamp is not ours, is over, or was taken back. All three say the same.
    """
    if not consent.is_challenge(challenge):
        raise InvalidRequest("The challenge must be 32 bytes in hex.", details=(("challenge", "must be 64 hex"),))
    found = consent.read_stamp(stamp_text)
    if found is None or not consent.is_ours(context.vault, *found):
        raise NotFound
    stamp = found[0]
    if stamp.until_ms <= context.wall.now_ms():
        raise NotFound
    for app_id in (stamp.app_a, stamp.app_b):
        if (await administer.app_by_id(context, AppId(app_id))).is_disabled:
            raise NotFound
    return consent.proof(consent.key_of(context.vault, stamp), challenge)


async def take_back(context: Context, warrant: Warrant) -> None:
    """End a warrant: both apps are stopped, so that every credential of them is refused.

    Raises:
        NotFound: it is none of this platform.
    """
    found = consent.read_stamp(warrant.stamp)
    if found is None or not consent.is_ours(context.vault, *found):
        raise NotFound("This warrant is none of this platform.")
    for app_id in (found[0].app_a, found[0].app_b):
        await administer.set_app_disabled(context, AppId(app_id), disabled=True)


async def _pass(context: Context, name: str) -> Pass:
    made = await administer.create_app(context, name)
    texts = {name: await _key(context, made.app_id, name, tuple(Scope)) for name in ("all", "exposed")}
    texts |= {str(scope): await _key(context, made.app_id, f"{scope} alone", (scope,)) for scope in Scope}
    texts["expired"] = await _key(_long_ago(context), made.app_id, "expired", tuple(Scope), days=1)
    revoked = await keys.create_key(context, made.app_id, "revoked", tuple(Scope), _KEY_DAYS)
    await keys.revoke_key(context, revoked.key_id)
    texts["revoked"] = revoked.api_key
    install_id, expired = await _expired(context, made.app_id)
    return Pass(made.app_id.hex(), made.app_secret, texts, expired, install_id.hex())


async def _key(context: Context, app_id: AppId, name: str, scopes: tuple[Scope, ...], *, days: int = _KEY_DAYS) -> str:
    return (await keys.create_key(context, app_id, name, scopes, days)).api_key


async def _expired(context: Context, app_id: AppId) -> tuple[InstallId, dict[str, str]]:
    """An install of the app, and credentials of it that would be good, had their time not passed."""
    app = await administer.app_by_id(context, app_id)
    registered = await register.register(context, AppCaller(app), _REGISTER, None)
    install_id = InstallId(bytes.fromhex(registered.install_id))
    signed = Signed(app_id, install_id, max(context.clock.now_ms() - 1, 0))
    caller = KeyCaller(app, NO_KEY, frozenset(Scope), "operator")
    code = await codes.mint(_long_ago(context), caller, "attack-expired-code", None)
    return install_id, {
        "user token": context.vault.sign(Kind.USER_TOKEN, signed),
        "link ticket": context.vault.sign(Kind.LINK_TICKET, signed),
        "authentication code": code.authentication_code,
    }


def _long_ago(context: Context) -> Context:
    """The same platform before its keys and codes of then were over."""
    clock = ManualClock(max(context.clock.now_ms() - AUTH_CODE_LIFE_MS - 1, 0))
    return replace(context, wall=ManualClock(max(context.wall.now_ms() - _LONG_AGO_MS, 0)), clock=clock)
