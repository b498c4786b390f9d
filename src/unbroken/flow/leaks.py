"""Leaks: of a credential that stands where others read it, such as a URL, nobody can say who has it.

An API key that is found there is revoked: its holder creates another, and whoever read it has nothing. Of the others
none can do more than act as one install, and they end by themselves.
"""

from __future__ import annotations

import hmac
import re
from itertools import islice
from typing import TYPE_CHECKING, Final

from unbroken import credentials
from unbroken.credentials import Kind
from unbroken.domain.ids import KeyId
from unbroken.flow import administer
from unbroken.store import access

if TYPE_CHECKING:
    from unbroken.flow.context import Context

_LOOKED_UP_MAX: Final = 4
_CREDENTIAL: Final = re.compile(rf"unb_(?:{'|'.join(Kind)})_[A-Za-z0-9_-]{{20,}}")


def found_in(text: str) -> list[str]:
    """What looks like a credential of ours; of many the first, as each is looked up and anybody may send them."""
    return [found[0] for found in islice(_CREDENTIAL.finditer(text), _LOOKED_UP_MAX)]


async def revoke(context: Context, found: list[str]) -> list[KeyId]:
    """Revoke the API keys among `found` that are ones; they are told."""
    revoked = []
    for text in found:
        opaque = credentials.read_opaque(text)
        if opaque is not None and opaque.kind is Kind.API_KEY and await _is_in_force(context, opaque):
            await administer.revoke_key(context, KeyId(opaque.subject))
            revoked.append(KeyId(opaque.subject))
    return revoked


async def _is_in_force(context: Context, opaque: credentials.Opaque) -> bool:
    known = await context.store.read(lambda tx: access.key_by_id(tx, KeyId(opaque.subject)))
    if known is None or not hmac.compare_digest(known[1], context.vault.digest(opaque.text)):
        return False
    return administer.is_in_force(known[0], context.wall.now_ms())
