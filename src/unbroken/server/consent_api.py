"""Whether this platform agreed to be attacked: it proves to have the keys of the stamp (decision 0027)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from unbroken import consent
from unbroken.domain import errors
from unbroken.flow import consent as step
from unbroken.server.route import Call, Credential, Query, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context


class Consented(Struct, frozen=True):
    """The proof for one challenge, 32 bytes in hex."""

    proof: str


async def _answer(context: Context, call: Call) -> Consented:
    return Consented(await step.answer(context, call.query["stamp"], call.query["challenge"]))


ROUTES = (
    Route(
        method="GET",
        path=consent.PATH,
        handler=_answer,
        credential=Credential.NONE,
        scope=None,
        summary="Prove that the operator of this platform agreed to be attacked; 404 unless that is so now.",
        reply=Consented,
        query=(
            Query("stamp", "text", required=True, summary="As `unbroken attack prepare` wrote it."),
            Query("challenge", "text", required=True, summary="32 bytes of chance in hex."),
        ),
        errors=(errors.NotFound,),
        example_reply={"proof": "0e" * 32},
    ),
)
