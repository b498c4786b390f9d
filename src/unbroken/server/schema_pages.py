"""The API as a document for programs and as a page for people; neither needs a network beyond this platform."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING, Any

import msgspec

from unbroken.server import openapi, reply
from unbroken.server.route import Answer, Credential, Route

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.flow.context import Context
    from unbroken.server.route import Call


def routes(described: Sequence[Route], *, lab: bool) -> list[Route]:
    """The two calls that describe all others; both are made once, at start."""
    document = msgspec.json.encode(openapi.document(described, lab=lab))
    page = resources.files("unbroken.server").joinpath("schema.html").read_bytes()

    async def openapi_json(_: Context, __: Call) -> Answer:
        return Answer(document)

    headers = {
        "content-type": reply.HTML.decode(),
        "content-security-policy": _policy_of(page),
        "referrer-policy": "no-referrer",
    }

    async def schema_page(_: Context, __: Call) -> Answer:
        return Answer(page, headers=headers)

    return [
        _open("/schema/openapi.json", openapi_json, "This document.", dict[str, Any]),
        _open("/schema", schema_page, "A page to try the calls.", str),
    ]


def _policy_of(page: bytes) -> str:
    """The page may run its own script and ask this platform, and nothing else; nobody may frame it.

    A credential is typed into it.
    """
    inline = {kind: _digest_of(page, kind) for kind in ("script", "style")}
    return (
        f"default-src 'none'; script-src '{inline['script']}'; style-src '{inline['style']}'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _digest_of(page: bytes, kind: str) -> str:
    (content,) = re.findall(rb"<%b>(.*?)</%b>" % (kind.encode(), kind.encode()), page, re.DOTALL)
    return f"sha256-{b64encode(sha256(content).digest()).decode()}"


def _open(path: str, handler: Any, summary: str, kind: Any) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        credential=Credential.NONE,
        scope=None,
        summary=summary,
        reply=kind,
        hidden=True,
    )
