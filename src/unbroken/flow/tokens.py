"""Tokens: what an install holds. Its credential rotates at each refresh; its user token says who it is for three days.

Also what an install asks about itself, and its reset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import install_key, wire
from unbroken.credentials import (
    LINK_TICKET_LIFE_MS,
    SECRET_BYTES,
    USER_TOKEN_LIFE_MS,
    Kind,
    Signed,
    is_one_of,
    read_opaque,
    write_opaque,
)
from unbroken.domain.app import App, Linking, Takeover
from unbroken.domain.errors import InstallCloned, InstallGone, InstallKeyUnproven, Unauthenticated
from unbroken.domain.ids import FactId, InstallId
from unbroken.domain.ledger.facts import Reset
from unbroken.domain.standing import REASONS, STATES, Standing
from unbroken.flow import audit, install_keys
from unbroken.flow.audit import Event, What
from unbroken.flow.recording import Recording
from unbroken.store import install_credentials, tombstones

if TYPE_CHECKING:
    from unbroken.domain.install import Install
    from unbroken.flow.authenticate import CredentialCaller, InstallCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


def new_credential(context: Context, install_id: InstallId) -> str:
    """A fresh install credential."""
    return write_opaque(Kind.INSTALL, install_id, context.randomness.secret(SECRET_BYTES))


def user_token(context: Context, app: App, install_id: InstallId, standing: Standing) -> wire.UserToken:
    """A signed user token for the next three days."""
    expires_at = context.clock.now_ms() + USER_TOKEN_LIFE_MS
    token = context.vault.sign(Kind.USER_TOKEN, Signed(app.app_id, install_id, expires_at, standing))
    return wire.UserToken(token, wire.iso(expires_at))


def own_state_of(recording: Recording, install_id: InstallId) -> wire.OwnState:
    """How the platform sees an install, with a link ticket as long as that can serve (linking.md, link ticket)."""
    context, app = recording.context, recording.app
    install, standing = recording.people.install(install_id), recording.standing(install_id)
    ticket = None
    if not install.is_linked and app.policy.linking is not Linking.OFF:
        expires_at = context.clock.now_ms() + LINK_TICKET_LIFE_MS
        ticket = context.vault.sign(Kind.LINK_TICKET, Signed(app.app_id, install_id, expires_at))
    return wire.OwnState(
        install_id=install_id.hex(),
        user_id=install.user.hex(),
        state=STATES[standing].value,
        state_reason=REASONS[standing],
        linked=install.is_linked,
        config=wire.SdkConfig(app.policy.linking.value),
        link_ticket=ticket,
    )


async def load_living(recording: Recording, install_id: InstallId) -> Install:
    """The install, for a call of the Device API.

    Raises:
        InstallGone: it was reset or erased.
    """
    install = await recording.load_install(install_id)
    if install is None or recording.standing(install_id) is Standing.DELETED:
        raise InstallGone
    return install


async def own_state(context: Context, caller: InstallCaller) -> wire.OwnState:
    """GET /sdk/install.

    Raises:
        InstallGone, AppDisabled.
    """

    async def load(tx: Transaction) -> wire.OwnState:
        recording = await Recording.of_app(context, tx, caller.app_id, actor="")
        await load_living(recording, caller.install_id)
        return own_state_of(recording, caller.install_id)

    return await context.store.read(load)


async def renew(context: Context, caller: CredentialCaller, key: str | None) -> wire.Tokens:
    """POST /sdk/tokens: spend a credential for the next one and a user token.

    Raises:
        InstallCloned: it was spent before, under another key or none, or its successor is in use already.
        InstallGone, Unauthenticated, InstallKeyUnproven, AppDisabled.
    """

    async def exchange(tx: Transaction) -> wire.Tokens:
        recording, current = await _open(context, tx, caller, "POST /sdk/tokens")
        install_id = _subject(caller)
        await load_living(recording, install_id)
        if not _is_current(context, caller, current):
            await _refuse_clone(context, tx, caller, current, key)
        fresh = new_credential(context, install_id)
        await install_credentials.replace_credential(tx, install_id, current.digest, context.vault.digest(fresh), key)
        audit.note(context, tx, Event(What.CREDENTIAL_RENEWED, recording.actor, recording.app_id, install_id))
        return wire.Tokens(fresh, user_token(context, recording.app, install_id, recording.standing(install_id)))

    try:
        return await context.store.write(exchange)
    except InstallCloned:
        await _note_clone(context, caller)
        raise


async def reset(context: Context, caller: CredentialCaller) -> None:
    """DELETE /sdk/install: the install is gone for ever; saying it again changes nothing.

    Raises:
        InstallCloned, Unauthenticated, InstallKeyUnproven, AppDisabled.
    """

    async def end(tx: Transaction) -> None:
        try:
            recording, current = await _open(context, tx, caller, "DELETE /sdk/install")
        except InstallGone:
            return
        if not _is_current(context, caller, current):
            raise InstallCloned
        await leave(recording, _subject(caller))

    try:
        await context.store.write(end)
    except InstallCloned:
        await _note_clone(context, caller)
        raise


async def _note_clone(context: Context, caller: CredentialCaller) -> None:
    """Two hold what one was given: the device was copied, or its backup was brought back.

    Written down once for each credential, in a transaction of its own, as the call was refused.
    """
    install_id, digest = _subject(caller), context.vault.digest(caller.token)

    async def note(tx: Transaction) -> None:
        current = await install_credentials.current_credential(tx, install_id)
        if current is not None and await install_credentials.mark_credential_reused(tx, digest, install_id):
            actor = f"install:{install_id.hex()}"
            audit.note(context, tx, Event(What.CREDENTIAL_REUSED, actor, current.app_id, install_id))

    await context.store.write(note)


async def leave(recording: Recording, install_id: InstallId) -> None:
    """The install is gone for ever; of one that is already, nothing changes."""
    install = await recording.load_install(install_id)
    assert install is not None
    if recording.standing(install_id) is Standing.DELETED:
        return
    if recording.app.policy.takeover is Takeover.STANDBY:
        await recording.load_installs_of(install.user)
    user = recording.people.resolve(install.user)
    fact_id = FactId(recording.new_id("fact"))
    await recording.record(Reset(install_id), fact_id, named=[install.named_at], touched=[user.touched_at])
    await install_credentials.forget_registration(recording.tx, install_id)
    await recording.save()


async def _open(
    context: Context, tx: Transaction, caller: CredentialCaller, call: str
) -> tuple[Recording, install_credentials.Current]:
    """The app and the current credential of the install that a credential names."""
    install_id = _subject(caller)
    current = await install_credentials.current_credential(tx, install_id)
    if current is None:
        for digest in context.vault.digest(caller.token).every:
            if await tombstones.is_gone(tx, context.vault.tombstone(digest), "credential"):
                raise InstallGone
        raise Unauthenticated("This install credential is not known.")
    recording = await Recording.of_app(context, tx, current.app_id, actor=f"install:{install_id.hex()}")
    if not _is_current(context, caller, current):
        was_spent, _ = await install_credentials.spent_with(tx, context.vault.digest(caller.token), install_id)
        if not was_spent and current.digest != install_credentials.NO_CREDENTIAL:
            raise Unauthenticated("This install credential is not known.")
    _refuse_unproven(caller, current, call)
    return recording, current


def _refuse_unproven(caller: CredentialCaller, current: install_credentials.Current, call: str) -> None:
    """Of an install that has a key no credential is worth anything without it, be it the current one or spent."""
    if current.install_key is None:
        return
    if not install_keys.is_signed(current.install_key, caller.proof, install_key.message_of(call, caller.token)):
        raise InstallKeyUnproven


def _is_current(context: Context, caller: CredentialCaller, current: install_credentials.Current) -> bool:
    return is_one_of(current.digest, context.vault.digest(caller.token))


async def _refuse_clone(
    context: Context, tx: Transaction, caller: CredentialCaller, current: install_credentials.Current, key: str | None
) -> None:
    """A spent credential is honest only as the repeat of the very exchange that gave out the current one."""
    _, spent_key = await install_credentials.spent_with(tx, context.vault.digest(caller.token), _subject(caller))
    if key is None or key != spent_key or key != current.key:
        raise InstallCloned


def _subject(caller: CredentialCaller) -> InstallId:
    opaque = read_opaque(caller.token)
    assert opaque is not None
    return InstallId(opaque.subject)
