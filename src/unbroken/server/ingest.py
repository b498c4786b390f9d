"""The hot path: POST /sdk/payloads, in front of everything else.

Most of the platform's requests are uploads, so this one goes by no table, makes no objects it can do without and looks
at each header once. What it answers is the same as if it went by the table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from unbroken.flow.ingest import ingest
from unbroken.server import body as bodies
from unbroken.server import document
from unbroken.server.authenticate import authenticate
from unbroken.server.device_api import ROUTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.flow.context import Context
    from unbroken.server.reply import Receive
    from unbroken.server.route import Route

PATH: Final = "/sdk/payloads"
ROUTE: Final[Route] = next(row for row in ROUTES if (row.method, row.path) == ("POST", PATH))
"""The row of the table that this goes in front of."""

_ENCODER: Final = msgspec.json.Encoder()


async def upload(context: Context, headers: Mapping[bytes, bytes], receive: Receive) -> tuple[bytes, int]:
    """Take one upload; what it answers is durable.

    Returns:
        The reply's JSON, and the size of the body as it came, in bytes.

    Raises:
        Refusal: as any other call.
        Disconnected: the caller went away.
    """
    caller: Any = await authenticate(context, ROUTE, headers.get(b"authorization"))
    encoding = headers.get(b"content-encoding", b"")
    bodies.check_media_type(headers.get(b"content-type", b""))
    sent = await bodies.read_body(receive, headers.get(b"content-length", b""))
    if not encoding:
        document.check_depth(sent)
        return _ENCODER.encode(await ingest(context, caller, sent, zstd_body=None)), len(sent)
    bodies.check_encoding(encoding)
    plain = bodies.unpack(sent, encoding)
    document.check_depth(plain)
    kept = sent if bodies.can_be_kept(sent, encoding) else None
    return _ENCODER.encode(await ingest(context, caller, plain, zstd_body=kept)), len(sent)
