"""Authentication codes: minted by the customer's server for one account, spent once, by one install, in five minutes.

Who redeems a code needs no link ticket: the code is the proof. A spent code gives its install the same answer again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.credentials import AUTH_CODE_LIFE_MS, SECRET_BYTES, Kind, read_opaque, write_opaque
from unbroken.domain.app import Linking
from unbroken.domain.errors import (
    AuthCodeExpired,
    AuthCodeUnknown,
    AuthCodeUsed,
    InvalidExternalId,
    NotAuthenticated,
    Refusal,
    UserDisabled,
    UserlinkingNotConfigured,
)
from unbroken.domain.install import State
from unbroken.domain.ledger.facts import Linked
from unbroken.domain.link import Situation, Ticket, Whose, decide_link
from unbroken.flow import audit
from unbroken.flow.audit import Event, What
from unbroken.flow.authenticate import still_admitted
from unbroken.flow.link_facts import record_link, refuse, situation
from unbroken.flow.recording import Recording
from unbroken.flow.refusals import Refused
from unbroken.flow.repeat import anew, refuse_another_body
from unbroken.flow.tokens import load_living, own_state_of
from unbroken.store import auth_codes, identity
from unbroken.store.auth_codes import Code

if TYPE_CHECKING:
    from unbroken.domain.app import App
    from unbroken.domain.ids import ExternalId, InstallId
    from unbroken.flow.authenticate import InstallCaller, KeyCaller
    from unbroken.flow.context import Context
    from unbroken.flow.repeat import Repeatable
    from unbroken.store.contract import Transaction

CODES_KNOWN_MS = 7 * 24 * 3_600_000
"""How long a spent or expired code is known as such."""


@dataclass(frozen=True, slots=True)
class Found:
    """A code that exists, and the digest it is found by."""

    digest: bytes
    code: Code


# Minting


async def mint(context: Context, caller: KeyCaller, external_id: object, same: Repeatable | None) -> wire.AuthCode:
    """POST /users/auth-code. A secret is never kept: repeated, a fresh code takes the place of the first.

    Raises:
        InvalidExternalId, UserlinkingNotConfigured, UserDisabled: rows 1, 4 and 11 of linking.md.
        IdempotencyKeyReused.
    """

    async def write(tx: Transaction) -> wire.AuthCode:
        known = await _mintable(tx, (await still_admitted(tx, caller)).app, external_id)
        return await _write_code(context, tx, caller, known, same.key if same is not None else None)

    return await anew(context, same, write)


async def _mintable(tx: Transaction, app: App, said: object) -> ExternalId:
    """The external id that a code may be made for."""
    app_id = app.app_id
    external_id = app.policy.external_id_of(said)
    if external_id is None:
        raise InvalidExternalId
    if app.policy.linking is Linking.OFF:
        raise UserlinkingNotConfigured
    carrier = await identity.carrier_of(tx, app_id, external_id)
    user = await identity.resolve_user(tx, app_id, carrier) if carrier is not None else None
    if user is not None and user.is_disabled:
        raise UserDisabled
    return external_id


async def _write_code(
    context: Context, tx: Transaction, caller: KeyCaller, external_id: ExternalId, key: str | None
) -> wire.AuthCode:
    now_ms = context.clock.now_ms()
    subject, chance = context.randomness.secret(12), context.randomness.secret(SECRET_BYTES)
    text = write_opaque(Kind.AUTH_CODE, subject, chance)
    minted = Code(caller.app.app_id, external_id, now_ms + AUTH_CODE_LIFE_MS, None, caller.actor)
    calls = [f"{caller.key_id.hex()}:{one.hex()}" for one in context.vault.digest(key).every] if key is not None else []
    for minted_for in calls:
        await auth_codes.void_minted(tx, caller.app.app_id, minted_for)
    await auth_codes.add_code(tx, context.vault.digest(text), minted, calls[0] if calls else None)
    audit.note(context, tx, Event(What.CODE_MINTED, caller.actor, minted.app_id, external_id=external_id))
    return wire.AuthCode(text, wire.iso(minted.expires_at))


# Redeeming


async def find(context: Context, tx: Transaction, text: str | None) -> Found | None:
    """The code that `text` is; None where there is no text.

    Raises:
        AuthCodeUnknown.
    """
    if text is None:
        return None
    opaque = read_opaque(text)
    if opaque is None or opaque.kind is not Kind.AUTH_CODE:
        raise AuthCodeUnknown
    found = await look_up(context, tx, text)
    if found is None:
        raise AuthCodeUnknown
    return found


async def look_up(context: Context, tx: Transaction, text: str) -> Found | None:
    """The code that `text` is, if there is such a one."""
    for digest in context.vault.digest(text).every:
        code = await auth_codes.code(tx, digest)
        if code is not None:
            return Found(digest, code)
    return None


async def refuse_unless_redeemable(recording: Recording, found: Found) -> None:
    """Whether a new install may be registered with this code: rows 4 and 10 to 12, before anything is created.

    Raises:
        AuthCodeUsed, AuthCodeExpired, LinkRefused.
    """
    _refuse_ended(recording, found)
    person = await recording.load_carrier(found.code.external_id)
    situation = Situation(
        external_id_is_valid=True,
        install_exists=True,
        same_app=True,
        linking=recording.app.policy.linking,
        state=State.ACTIVE,
        whose=Whose.NOBODY,
        person_exists=person is not None,
        person_is_disabled=person is not None and recording.people.resolve(person.user_id).is_disabled,
        is_pristine=True,
        used_install=recording.app.policy.used_install,
        links_within_a_day=recording.links_within_a_day.get(found.code.external_id, 0),
        link_burst=recording.app.policy.link_burst,
    )
    refuse(decide_link(situation))


def _refuse_ended(recording: Recording, found: Found) -> None:
    if found.code.redeemed_by is not None:
        raise AuthCodeUsed
    if found.code.expires_at <= recording.context.clock.now_ms():
        raise AuthCodeExpired


async def link_with(recording: Recording, found: Found, install_id: InstallId, *, is_pristine: bool) -> None:
    """Spend the code and record the link; the caller has seen that nothing refuses it."""
    await _spend(recording, found, install_id)
    await record_link(recording, install_id, found.code.external_id, is_pristine=is_pristine)


async def _spend(recording: Recording, found: Found, install_id: InstallId) -> None:
    await auth_codes.redeem(recording.tx, found.digest, install_id)
    code, actor = found.code, f"install:{install_id.hex()}"
    spent = Event(What.CODE_REDEEMED, actor, code.app_id, install_id, external_id=code.external_id)
    audit.note(recording.context, recording.tx, spent)


async def note_reuse(context: Context, text: str, install_id: InstallId | None = None) -> None:
    """A code that an install has spent was shown by another one: whoever sent it along, or read it, is not alone.

    Written down once for each code, in a transaction of its own, as the call was refused.
    """

    async def note(tx: Transaction) -> None:
        found = await look_up(context, tx, text)
        redeemed_by = None if found is None else found.code.redeemed_by
        if found is None or redeemed_by is None or not await auth_codes.mark_code_reused(tx, found.digest):
            return
        code, actor = found.code, "app" if install_id is None else f"install:{install_id.hex()}"
        first = {"redeemed_by": audit.name_of(context, redeemed_by)}
        reused = Event(What.CODE_REUSED, actor, code.app_id, install_id, external_id=code.external_id, more=first)
        audit.note(context, tx, reused)

    await context.store.write(note)


async def redeem(context: Context, caller: InstallCaller, text: str, same: Repeatable | None) -> wire.OwnState:
    """POST /sdk/link: an install that registered without a code links with one (linking.md, rows 4 to 15).

    Raises:
        AuthCodeUnknown, AuthCodeUsed, AuthCodeExpired, InstallGone, LinkRefused, IdempotencyKeyReused, AppDisabled.
    """
    refused = Refused(caller.app_id, caller.install_id)

    async def link(tx: Transaction) -> wire.OwnState:
        refused.begin()
        if same is not None:
            await refuse_another_body(context, tx, same)
        recording = await Recording.of_app(context, tx, caller.app_id, f"install:{caller.install_id.hex()}")
        await load_living(recording, caller.install_id)
        await _redeem(recording, text, refused)
        return own_state_of(recording, caller.install_id)

    try:
        return await context.store.write(link)
    except Refusal as refusal:
        await refused.keep(context)
        if isinstance(refusal, AuthCodeUsed):
            await note_reuse(context, text, caller.install_id)
        raise


async def _redeem(recording: Recording, text: str, refused: Refused) -> None:
    try:
        found = await _found(recording, text)
        if found.code.redeemed_by != refused.install_id:
            _refuse_ended(recording, found)
    except NotAuthenticated as refusal:
        await refused.note_code(recording, refusal)
        raise
    if found.code.redeemed_by != refused.install_id:
        await _link(recording, found, refused)


async def _found(recording: Recording, text: str) -> Found:
    found = await find(recording.context, recording.tx, text)
    assert found is not None
    if found.code.app_id != recording.app_id:
        raise AuthCodeUnknown
    return found


async def _link(recording: Recording, found: Found, refused: Refused) -> None:
    install_id = refused.install_id
    await recording.load_carrier(found.code.external_id)
    is_pristine = not await identity.is_used(recording.tx, install_id)
    said = Linked(install_id, found.code.external_id, recording.app.policy.used_install, is_pristine)
    looked_at = situation(recording, said, Ticket.VALID)
    row = decide_link(looked_at)
    await refused.note(recording, row, looked_at)
    refuse(row)
    recording.actor = found.code.actor
    if recording.people.install(install_id).is_linked:  # row 9: the code is spent all the same
        await _spend(recording, found, install_id)
        return
    await link_with(recording, found, install_id, is_pristine=is_pristine)
    await recording.save()
