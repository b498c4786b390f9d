"""Register: an install and its own user come to be, unlinked, or linked at once by an authentication code.

A registration is never mistaken for an earlier one but by its idempotency key, which is a secret of the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.domain.errors import AuthCodeUsed
from unbroken.domain.ids import FactId, InstallId, UserId, parse_id
from unbroken.domain.install import form_of
from unbroken.domain.ledger.facts import Registered
from unbroken.domain.standing import REASONS, STATES
from unbroken.flow import audit, codes, install_keys, registration_key
from unbroken.flow.audit import Event, What
from unbroken.flow.recording import Recording
from unbroken.flow.tokens import new_credential, user_token
from unbroken.store import install_credentials, saving

if TYPE_CHECKING:
    from unbroken.credentials import Digest, Vault
    from unbroken.domain.ids import AppId
    from unbroken.flow.authenticate import AppCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class _Asked:
    """A registration as it was asked for."""

    body: wire.Register
    key: str | None
    key_digest: bytes | None
    install_key: bytes | None


async def register(context: Context, caller: AppCaller | None, body: wire.Register, key: str | None) -> wire.Registered:
    """POST /sdk/installs (linking.md, registering).

    Args:
        caller: the app that showed its secret, or None where a code stands in the body.
        key: the `Idempotency-Key`.

    Raises:
        InvalidRequest: the key is not a random UUID, or the install key is none.
        AuthCodeUnknown, AuthCodeUsed, AuthCodeExpired: the code registers nothing.
        LinkRefused: rows 4 and 11; nothing is created and the code is unused.
        AppDisabled.
    """
    digest = None if key is None else registration_key.digest_of(context.vault, key)
    install_key = None if body.install_key is None else install_keys.read_public_key(body.install_key)

    async def create(tx: Transaction) -> wire.Registered:
        await tx.hold(*() if digest is None else (digest,), beside=True)
        if digest is not None and (earlier := await _earlier(tx, caller, digest)) is not None:
            return await _again(context, tx, *earlier, key)
        found = await codes.find(context, tx, body.authentication_code)
        app_id = caller.app.app_id if caller is not None else _app_of(found)
        recording = await Recording.of_app(context, tx, app_id, "app" if found is None else found.code.actor)
        return await _create(recording, _Asked(body, key, digest, install_key), found)

    try:
        return await context.store.write(create)
    except AuthCodeUsed:
        assert body.authentication_code is not None
        await codes.note_reuse(context, body.authentication_code)
        raise


async def _earlier(tx: Transaction, caller: AppCaller | None, digest: Digest) -> tuple[AppId, InstallId] | None:
    """What the key registered before, and in which app: it holds as long as that install lives, a code does not."""
    app_id = await install_credentials.registered_in(tx, digest) if caller is None else caller.app.app_id
    install_id = None if app_id is None else await install_credentials.registration(tx, app_id, digest)
    return None if app_id is None or install_id is None else (app_id, install_id)


def _app_of(found: codes.Found | None) -> AppId:
    assert found is not None, "without a secret, a code let the call in"
    return found.code.app_id


async def _again(
    context: Context, tx: Transaction, app_id: AppId, install_id: InstallId, key: str | None
) -> wire.Registered:
    """The same install with a fresh credential; the one it had is spent."""
    recording = await Recording.of_app(context, tx, app_id, actor="app")
    await recording.load_install(install_id)
    current = await install_credentials.current_credential(tx, install_id)
    assert current is not None
    credential = new_credential(context, install_id)
    await install_credentials.replace_credential(tx, install_id, current.digest, context.vault.digest(credential), key)
    renewed = Event(What.CREDENTIAL_RENEWED, f"install:{install_id.hex()}", app_id, install_id)
    audit.note(context, tx, renewed)
    return _reply(recording, install_id, credential)


async def _create(recording: Recording, asked: _Asked, found: codes.Found | None) -> wire.Registered:
    if found is not None:
        await codes.refuse_unless_redeemable(recording, found)
    install_id = await _record_registration(recording, asked.body)
    if found is not None:
        await codes.link_with(recording, found, install_id, is_pristine=True)
    credential = new_credential(recording.context, install_id)
    await saving.insert_install(
        recording.tx,
        recording.app_id,
        recording.people.install(install_id),
        device=_device(recording.context.vault, asked.body),
        credential_digest=recording.context.vault.digest(credential),
        credential_key=asked.key,
        install_key=asked.install_key,
    )
    if asked.key_digest is not None:
        await install_credentials.add_registration(recording.tx, recording.app_id, asked.key_digest, install_id)
    await recording.save()
    return _reply(recording, install_id, credential)


async def _record_registration(recording: Recording, body: wire.Register) -> InstallId:
    device = body.device
    form = form_of(device.platform, device.screen_inches, device.idiom, device.model)
    install_id, user_id = InstallId(recording.new_id("install")), UserId(recording.new_id("user"))
    await recording.record(Registered(install_id, user_id, form), FactId(recording.new_id("fact")), named=[])
    return install_id


def _device(vault: Vault, body: wire.Register) -> str:
    """What the SDK reported, kept raw so that a changed rule can classify again; never the code.

    The earlier install may be of somebody who is erased, before or after this one comes: so its keyed hash is kept.
    """
    earlier = None if body.restored_from is None else parse_id(body.restored_from)
    hashed = None if earlier is None else vault.tombstone(earlier).hex()
    reported = {"device": body.device, "sdk": body.sdk, "app_version": body.app_version}
    return wire.encode({**reported, "restored_from": hashed}).decode()


def _reply(recording: Recording, install_id: InstallId, credential: str) -> wire.Registered:
    install = recording.people.install(install_id)
    standing = recording.standing(install_id)
    return wire.Registered(
        install_id=install_id.hex(),
        user_id=install.user.hex(),
        install_credential=credential,
        user_token=user_token(recording.context, recording.app, install_id, standing),
        state=STATES[standing].value,
        state_reason=REASONS[standing],
        linked=install.is_linked,
        config=wire.SdkConfig(recording.app.policy.linking.value),
    )
