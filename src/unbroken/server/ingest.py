"""The hot path: POST /sdk/payloads, in front of everything else.

Most of the platform's requests are uploads, so this one is not dispatched by the table, makes no objects it can do
without and looks at each header once. Its row is in the table all the same: it describes the call, and refuses other
methods. What it answers is the same as if it went by the table.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from unbroken import wire
from unbroken.credentials import PREFIXES, Kind
from unbroken.domain import errors
from unbroken.flow.authenticate import InstallCaller, by_user_token
from unbroken.flow.ingest import ingest
from unbroken.flow.uploads import take_plain
from unbroken.server import body as bodies
from unbroken.server import document, parameters
from unbroken.server.authenticate import authenticate
from unbroken.server.dispatch import BODY_LATE_S
from unbroken.server.route import Credential, Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.flow.context import Context
    from unbroken.server.counting import Counting
    from unbroken.server.reply import Receive

PATH: Final = "/sdk/payloads"
ROUTE: Final = Route(
    method="POST",
    path=PATH,
    handler=None,
    credential=Credential.USER_TOKEN,
    scope=None,
    summary="Upload payloads; they are durable when this is answered. Which items count is judged after it.",
    request=wire.Upload,
    reply=wire.UploadResults,
    status=202,
    errors=(errors.InstallGone,),
    does="upload payloads",
    example_request={
        "sent_at": 1_764_000_000_000,
        "payloads": [
            {
                "payload_id": "019ab3f0-6f00-7000-8000-0123456789ab",
                "items": [{"kind": "location", "t": 1_763_999_990_000, "lat": 51.05, "lon": 3.72, "acc": 12}],
            }
        ],
    },
    example_reply={
        "results": [{"payload_id": "019ab3f0-6f00-7000-8000-0123456789ab", "outcome": "stored", "invalid": []}],
        "state": "active",
        "state_reason": None,
    },
)

_BEARER: Final = b"Bearer "
_USER_TOKEN: Final = _BEARER + PREFIXES[Kind.USER_TOKEN].encode()
_ENCODER: Final = msgspec.json.Encoder()


async def upload(
    context: Context,
    query_string: bytes,
    headers: Mapping[bytes, bytes],
    receive: Receive,
    *,
    address: bytes | None = None,
    counting: Counting | None = None,
) -> tuple[bytes, int]:
    """Take one upload; what it answers is durable.

    Args:
        address: what it is counted by, where it is (`counting.py`).

    Returns:
        The reply's JSON, and the size of the body as it came, in bytes.

    Raises:
        Refusal: as any other call.
        Disconnected: the caller went away.
    """
    loop = asyncio.get_running_loop()
    caller = await _counted_caller(context, headers.get(b"authorization", b""), address, counting)
    until_s = loop.time() + BODY_LATE_S
    if query_string:
        parameters.parse_query(ROUTE, query_string)
    encoding = headers.get(b"content-encoding", b"")
    bodies.check_media_type(headers.get(b"content-type", b""))
    sent = await bodies.read_body(receive, headers.get(b"content-length", b""))
    if loop.time() > until_s:
        caller = await _caller(context, headers.get(b"authorization", b""))
    body, kept = _unpack(sent, encoding) if encoding else (sent, None)
    taken = take_plain(body)
    if taken is None:
        document.check_depth(body)
    return _ENCODER.encode(await ingest(context, caller, body, zstd_body=kept, taken=taken)), len(sent)


async def _caller(context: Context, authorization: bytes) -> InstallCaller:
    """As for any other row. What begins like a user token is read as one at once: whatever is odd in it fails it."""
    if authorization.startswith(_USER_TOKEN):
        return await by_user_token(context, authorization[len(_BEARER) :].decode("latin-1"))
    caller = await authenticate(context, ROUTE, authorization or None)
    assert isinstance(caller, InstallCaller), "the row admits no other"
    return caller


async def _counted_caller(
    context: Context, authorization: bytes, address: bytes | None, counting: Counting | None
) -> InstallCaller:
    admitting = _caller(context, authorization)
    return await (admitting if counting is None or address is None else counting.counted(address, ROUTE, admitting))


def _unpack(sent: bytes, encoding: bytes) -> tuple[bytes, bytes | None]:
    """The body decompressed, and as it came where it can be kept so."""
    bodies.check_encoding(encoding)
    body = bodies.unpack(sent, encoding)
    return body, sent if bodies.can_be_kept(sent, encoding) else None
