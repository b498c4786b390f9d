"""Leaks: whoever found secrets of ours somewhere says so, and they are of no use from then on, where that is possible.

An API key is revoked. A code that nobody has spent is taken back. An install credential is spent, so that whoever holds
it is told to register anew. App secrets and signed tokens cannot be taken back one by one: the operator is told, once
an hour of each, as anybody who has one may come again and again.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.credentials import Kind, Opaque, is_one_of, kind_of, read_opaque
from unbroken.domain.ids import AppId, InstallId, KeyId
from unbroken.flow import audit, codes
from unbroken.flow.audit import Event, What
from unbroken.flow.keys import end_key
from unbroken.flow.tokens import new_credential
from unbroken.store import api_keys, apps, auth_codes, install_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction

_LOOKED_UP_MAX: Final = 4
_CREDENTIAL: Final = re.compile(rf"unb_(?:{'|'.join(Kind)})_[A-Za-z0-9_-]{{20,}}")
_FINDER: Final = "finder"
_SIGNED: Final = (Kind.USER_TOKEN, Kind.LINK_TICKET)
_TOLD_EVERY_MS: Final = 3_600_000
_TOLD_MAX: Final = 10_000


class Leaked(NamedTuple):
    """A secret of this platform that was in force when it was told of; `subject` is whose, as hex."""

    kind: Kind
    subject: str
    is_void: bool


def found_in(text: str) -> list[str]:
    """What looks like a credential of ours; of many the first, as each is looked up and anybody may send them."""
    return [found[0] for found in islice(_CREDENTIAL.finditer(text), _LOOKED_UP_MAX)]


async def report(context: Context, texts: Iterable[str]) -> list[Leaked]:
    """Void what is ours, and say which that was; what is not ours, or has ended, is passed over.

    Costs a look-up where a text could be ours by its form alone, and a change only where one is.
    """
    texts = dict.fromkeys(texts)
    lasting = [(text, leaked) for text in texts if (leaked := _signed(context, text)) is not None]
    opaque = [found for text in texts if (found := read_opaque(text)) is not None]
    ours = await context.store.read(lambda tx: _ours(context, tx, opaque)) if opaque else []
    secrets = [one for one in ours if one.kind is Kind.APP_SECRET]
    lasting += [(one.text, Leaked(one.kind, one.subject.hex(), is_void=False)) for one in secrets]
    to_void = [one for one in ours if one.kind is not Kind.APP_SECRET]

    async def void(tx: Transaction) -> list[Leaked]:
        found = [await _void(context, tx, one) for one in to_void]
        return [leaked for leaked in found if leaked is not None]

    voided = await context.store.write(void) if to_void else []
    return [leaked for text, leaked in lasting if _is_news(context, text)] + voided


def _is_news(context: Context, text: str) -> bool:
    """Whether the operator was not told of it within the hour, by this process; told from now on."""
    told, digest, now_ms = context.standings.leaks_told, context.vault.digest(text), context.wall.now_ms()
    if now_ms < told.get(digest, 0):
        return False
    if len(told) >= _TOLD_MAX:
        told.clear()
    told[digest] = now_ms + _TOLD_EVERY_MS
    return True


def _signed(context: Context, text: str) -> Leaked | None:
    kind = kind_of(text)
    said = context.vault.open(kind, text) if kind in _SIGNED else None
    if kind is None or said is None or said.expires_at <= context.clock.now_ms():
        return None
    return Leaked(kind, said.install_id.hex(), is_void=False)


async def _ours(context: Context, tx: Transaction, opaque: Iterable[Opaque]) -> list[Opaque]:
    return [one for one in opaque if await _is_ours(context, tx, one)]


async def _is_ours(context: Context, tx: Transaction, found: Opaque) -> bool:
    """Whether somebody could use it now; an app secret always, as it does not end."""
    digest = context.vault.digest(found.text)
    match found.kind:
        case Kind.API_KEY:
            key = await api_keys.key_by_id(tx, KeyId(found.subject))
            return key is not None and is_one_of(key[1], digest) and key[0].revoked_at is None
        case Kind.AUTH_CODE:
            code = await codes.look_up(context, tx, found.text)
            return code is not None and code.code.redeemed_by is None
        case Kind.INSTALL:
            current = await install_credentials.current_credential(tx, InstallId(found.subject))
            return current is not None and is_one_of(current.digest, digest)
        case _:
            kept = await apps.app_secret_digest(tx, AppId(found.subject))
            return kept is not None and is_one_of(kept, digest)


async def _void(context: Context, tx: Transaction, found: Opaque) -> Leaked | None:
    if not await _is_ours(context, tx, found):
        return None
    subject = found.subject.hex()
    match found.kind:
        case Kind.API_KEY:
            key = await api_keys.key_by_id(tx, KeyId(found.subject))
            assert key is not None
            await end_key(context, tx, key[0], _FINDER)
        case Kind.AUTH_CODE:
            await _void_code(context, tx, found.text)
            subject = ""  # says nothing to anybody
        case _:
            await _void_credential(context, tx, InstallId(found.subject))
    return Leaked(found.kind, subject, is_void=True)


async def _void_code(context: Context, tx: Transaction, text: str) -> None:
    found = await codes.look_up(context, tx, text)
    assert found is not None
    await auth_codes.void_code(tx, found.digest)
    of, external_id = found.code.app_id, found.code.external_id
    event = Event(What.CREDENTIAL_LEAKED, _FINDER, of, external_id=external_id, more={"kind": "code"})
    audit.note(context, tx, event)


async def _void_credential(context: Context, tx: Transaction, install_id: InstallId) -> None:
    """Another one takes its place, which nobody is given."""
    current = await install_credentials.current_credential(tx, install_id)
    assert current is not None
    nobodys = context.vault.digest(new_credential(context, install_id))
    await install_credentials.replace_credential(tx, install_id, current.digest, nobodys, None)
    event = Event(What.CREDENTIAL_LEAKED, _FINDER, current.app_id, install_id, more={"kind": "install credential"})
    audit.note(context, tx, event)
