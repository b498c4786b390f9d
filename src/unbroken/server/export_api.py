"""The export over HTTP: everything held on one person, streamed (http-api.md, backend API)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain import errors
from unbroken.domain.app import Scope
from unbroken.flow.export import Export, export
from unbroken.server.callers import key_of
from unbroken.server.route import Answer, Call, Credential, Route

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from unbroken.flow.context import Context

_PART_BYTES: Final = 64 << 10


async def _export(context: Context, call: Call) -> Answer:
    return Answer(_parts(await export(context, key_of(call), call.path["user_id"])))


async def _parts(of: Export) -> AsyncGenerator[bytes, None]:
    """The lines, several at a time: most are shorter than what a send costs."""
    part = bytearray()
    try:
        async for line in of.lines():
            part += line
            if len(part) >= _PART_BYTES:
                yield bytes(part)
                part.clear()
        yield bytes(part)
    finally:
        of.close()


ROUTES = (
    Route(
        method="GET",
        path="/v3/users/{user_id}/export",
        handler=_export,
        credential=Credential.API_KEY,
        scope=Scope.USER_READ,
        summary="Everything held on one person, one JSON object a line. Without its last line, `end`, it is not whole.",
        reply=str,
        reply_type="application/x-ndjson",
        errors=(errors.NotFound,),
        does="export a user",
        example_reply='{"kind":"header","format":1,"app_id":"6924c19900000000000000aa",...}\n',
    ),
)
