"""Leaks over HTTP: anybody may tell of secrets that lie around, and learns nothing from the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from unbroken import wire
from unbroken.flow import leaks
from unbroken.server.metrics import LEAKED
from unbroken.server.route import Answer, Call, Credential, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context

log = structlog.get_logger()


async def _report(context: Context, call: Call) -> Answer:
    found = await leaks.report(context, call.body.tokens)
    for leaked in found:
        log.warning("secret leaked", code=LEAKED, kind=leaked.kind.value, subject=leaked.subject, void=leaked.is_void)
    return Answer(None, alarms=(LEAKED, len(found)))


ROUTES = (
    Route(
        method="POST",
        path="/security/leaked-tokens",
        handler=_report,
        credential=Credential.NONE,
        scope=None,
        summary="Tell of secrets that lie around: API keys are revoked, others voided. The answer is always the same.",
        request=wire.LeakedTokens,
        reply=None,
        status=202,
        has_small_body=True,
        does="tell of a leak",
        example_request={"tokens": ["unb_key_..."]},
    ),
)
