"""How a refusal looks over HTTP: the one table from leaf to status, and the body of every error.

Rules raise refusals and know no status; the table is walked by a test, so that a new leaf cannot be forgotten.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain import errors
from unbroken.server.redactor import without_credentials

if TYPE_CHECKING:
    from unbroken.domain.errors import Refusal

STATUS: Final[dict[type[Refusal], int]] = {
    errors.InvalidRequest: 400,
    errors.InvalidExternalId: 400,
    errors.TokenInUrl: 400,
    errors.TooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.MethodNotAllowed: 405,
    errors.Unauthenticated: 401,
    errors.InstallKeyUnproven: 401,
    errors.AuthCodeUnknown: 401,
    errors.AuthCodeUsed: 401,
    errors.AuthCodeExpired: 401,
    errors.ForbiddenScope: 403,
    errors.ForbiddenCredential: 403,
    errors.AppDisabled: 403,
    errors.NotFound: 404,
    errors.InstallNotFound: 404,
    errors.InstallGone: 410,
    errors.InstallDoesNotBelongToApp: 403,
    errors.UserlinkingNotConfigured: 403,
    errors.InstallDeleted: 403,
    errors.InstallDisabled: 403,
    errors.InstallLinkedToOtherUser: 403,
    errors.InstallDeactivated: 403,
    errors.UserDisabled: 403,
    errors.InvalidLinkTicket: 403,
    errors.AttestationRefused: 403,
    errors.AttestationReplayed: 403,
    errors.LinkBurst: 429,
    errors.CannotLinkExistingPersonToOtherPerson: 403,
    errors.Conflict: 409,
    errors.IdempotencyKeyReused: 409,
    errors.InstallCloned: 409,
    errors.LaterFactsDepend: 409,
    errors.HistoryExpired: 409,
    errors.RateLimited: 429,
    errors.Unavailable: 503,
    errors.Internal: 500,
}
"""Leaf to HTTP status (http-api.md, conventions)."""

RETRY_AFTER_DEFAULT_S: Final = 1
_WITH_RETRY_AFTER: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def status_of(refusal: Refusal) -> int:
    """The HTTP status of a refusal."""
    return STATUS[type(refusal)]


def body_of(refusal: Refusal, request_id: str) -> bytes:
    """The JSON of an error. It may quote what the caller wrote, and is kept where no credential must be."""
    return wire.encode(
        wire.Problem(
            message=without_credentials(refusal.message),
            error_code=refusal.code,
            ref=request_id,
            hint=refusal.hint,
            errors=[
                wire.ErrorDetail(path=without_credentials(path), message=without_credentials(message))
                for path, message in refusal.details
            ],
        )
    )


def headers_of(refusal: Refusal, challenge: bytes) -> list[tuple[bytes, bytes]]:
    """What an error says in headers: how to authenticate after 401, when to come back after 429 and 503.

    `challenge` is what `WWW-Authenticate` names.
    """
    status = status_of(refusal)
    if status == HTTPStatus.UNAUTHORIZED:
        return [(b"www-authenticate", challenge)]
    if status in _WITH_RETRY_AFTER:
        seconds = RETRY_AFTER_DEFAULT_S if refusal.retry_after_s is None else refusal.retry_after_s
        return [(b"retry-after", b"%d" % max(seconds, 1))]
    return []
