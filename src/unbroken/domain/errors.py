"""The closed tree of refusals. Each leaf has a stable code; one table in `server/problems.py` maps it to HTTP.

    Refusal
    ├── BadRequest           InvalidRequest, InvalidExternalId, TokenInUrl, TooLarge, UnsupportedMediaType,
    │                        MethodNotAllowed
    ├── NotAuthenticated     Unauthenticated, InstallKeyUnproven, AuthCodeUnknown, AuthCodeUsed, AuthCodeExpired
    ├── NotAllowed           ForbiddenScope, ForbiddenCredential, AppDisabled
    ├── NotThere             NotFound, InstallNotFound, InstallGone
    ├── LinkRefused          InstallDoesNotBelongToApp, UserlinkingNotConfigured, InstallDeleted, InstallDisabled,
    │                        InstallLinkedToOtherUser, InstallDeactivated, UserDisabled, InvalidLinkTicket,
    │                        AttestationRefused, AttestationReplayed, LinkBurst,
    │                        CannotLinkExistingPersonToOtherPerson
    ├── InConflict           Conflict, IdempotencyKeyReused, InstallCloned, LaterFactsDepend, HistoryExpired
    └── NotNow               RateLimited, Unavailable, Internal

The docstring of a leaf is its message where none is given. Clients rebuild the same leaf from its code (`by_code`).
`MULTIPLE_INSTALLS_ACTIVE` of the reference system is impossible here (linking.md, law 2) and so has no leaf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Refusal(Exception):
    """A call that was not done, and why.

    Args:
        message: for the caller; the leaf's own sentence if left out.
        hint: what the caller may do next.
        details: where in the request something is wrong, as (path, message) pairs.
        retry_after_s: when the call may be tried again; only for leaves of `NotNow` and `LinkBurst`.

    Attributes:
        of_app: the id of the app whose caller was refused, where that is certain; by this limits count it.
    """

    code: ClassVar[str] = ""
    of_app: bytes = b""

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        details: tuple[tuple[str, str], ...] = (),
        retry_after_s: int | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        self.details = details
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    def of(self, app_id: bytes) -> Self:
        """The same, of a caller of this app."""
        self.of_app = app_id
        return self


class BadRequest(Refusal):
    """The request itself is not of the contract's form."""


class InvalidRequest(BadRequest):
    """The request is not valid."""

    code = "INVALID_REQUEST"

    @classmethod
    def at(cls, path: str, message: str) -> Self:
        """The refusal for what is wrong at one place of the request."""
        return cls(message, details=((path, message),))


class InvalidExternalId(BadRequest):
    """The external id is missing, not valid, or a placeholder."""

    code = "INVALID_EXTERNAL_ID"


class TokenInUrl(BadRequest):
    """A credential stands in the URL, where proxies and logs keep it."""

    code = "TOKEN_IN_URL"


class TooLarge(BadRequest):
    """The request is larger than a limit allows."""

    code = "TOO_LARGE"


class UnsupportedMediaType(BadRequest):
    """The body is not JSON, or its encoding is not known."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class MethodNotAllowed(BadRequest):
    """This path does not know this method."""

    code = "METHOD_NOT_ALLOWED"


class NotAuthenticated(Refusal):
    """The caller did not prove who it is."""


class Unauthenticated(NotAuthenticated):
    """No valid credential was given."""

    code = "UNAUTHENTICATED"


class InstallKeyUnproven(NotAuthenticated):
    """This install credential is spent with a signature by the install's key only, and there is none, or another's."""

    code = "INSTALL_KEY_UNPROVEN"


class AuthCodeUnknown(NotAuthenticated):
    """The authentication code is not known."""

    code = "AUTH_CODE_UNKNOWN"


class AuthCodeUsed(NotAuthenticated):
    """The authentication code was used by another install."""

    code = "AUTH_CODE_USED"


class AuthCodeExpired(NotAuthenticated):
    """The authentication code has expired."""

    code = "AUTH_CODE_EXPIRED"


class NotAllowed(Refusal):
    """The caller is known but may not do this."""


class ForbiddenScope(NotAllowed):
    """The API key lacks the scope that this call needs."""

    code = "FORBIDDEN_SCOPE"


class ForbiddenCredential(NotAllowed):
    """This kind of credential cannot make this call."""

    code = "FORBIDDEN_CREDENTIAL"


class AppDisabled(NotAllowed):
    """The app is disabled."""

    code = "APP_DISABLED"


class NotThere(Refusal):
    """What the call names does not exist, or not for this caller."""


class NotFound(NotThere):
    """Not found."""

    code = "NOT_FOUND"


class InstallNotFound(NotThere):
    """Install was not found by the install ID provided."""

    code = "INSTALL_NOT_FOUND"


class InstallGone(NotThere):
    """This install was reset or erased; it can do nothing any more."""

    code = "INSTALL_DELETED"


class LinkRefused(Refusal):
    """A row of the decision table said no (linking.md)."""


class InstallDoesNotBelongToApp(LinkRefused):
    """Install does not belong to this application."""

    code = "INSTALL_DOES_NOT_BELONG_TO_APP"


class UserlinkingNotConfigured(LinkRefused):
    """User linking is switched off for this app."""

    code = "USERLINKING_NOT_CONFIGURED"


class InstallDeleted(LinkRefused):
    """Install is deleted."""

    code = "INSTALL_DELETED"


class InstallDisabled(LinkRefused):
    """Install is disabled."""

    code = "INSTALL_DISABLED"


class InstallLinkedToOtherUser(LinkRefused):
    """Install linked to another user."""

    code = "INSTALL_LINKED_TO_OTHER_USER"


class InstallDeactivated(LinkRefused):
    """Another install of this person has become the active one."""

    code = "INSTALL_DEACTIVATED"


class UserDisabled(LinkRefused):
    """The user of this external id is disabled."""

    code = "USER_DISABLED"


class InvalidLinkTicket(LinkRefused):
    """The link ticket is missing, expired, or not of this install."""

    code = "INVALID_LINK_TICKET"


class AttestationRefused(LinkRefused):
    """The device did not prove what this app's server asks of it."""

    code = "ATTESTATION_REFUSED"


class AttestationReplayed(LinkRefused):
    """The challenge or the proof of the device was used before."""

    code = "ATTESTATION_REPLAYED"


class LinkBurst(LinkRefused):
    """Too many installs were linked to this external id within a day."""

    code = "LINK_BURST"


class CannotLinkExistingPersonToOtherPerson(LinkRefused):
    """This install is already in use, linking to another install is not possible."""

    code = "CANNOT_LINK_EXISTING_PERSON_TO_OTHER_PERSON"


class InConflict(Refusal):
    """The call contradicts what is already there."""


class Conflict(InConflict):
    """The call conflicts with the present state."""

    code = "CONFLICT"


class IdempotencyKeyReused(InConflict):
    """This idempotency key was used with another body."""

    code = "IDEMPOTENCY_KEY_REUSED"


class InstallCloned(InConflict):
    """This install credential was spent by another holder: the install was copied. Register anew."""

    code = "INSTALL_CLONED"


class LaterFactsDepend(InConflict):
    """Later facts depend on this link. Where they can be undone, undo them first."""

    code = "LATER_FACTS_DEPEND"


class HistoryExpired(InConflict):
    """Payloads that an exact undo, or an exact look back, needs are no longer kept."""

    code = "HISTORY_EXPIRED"


class NotNow(Refusal):
    """The platform cannot do this at the moment; the same call may succeed later."""


class RateLimited(NotNow):
    """Too many calls."""

    code = "RATE_LIMITED"


class Unavailable(NotNow):
    """The platform cannot store anything right now."""

    code = "UNAVAILABLE"


class Internal(NotNow):
    """The platform failed; the operator finds the reason under the request id."""

    code = "INTERNAL"


def leaves(root: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every refusal a caller can meet, in the order of the tree above."""
    if root.code:
        yield root
    for branch in root.__subclasses__():
        yield from leaves(branch)


def by_code(code: str, status: int) -> type[Refusal] | None:
    """The leaf that a reply stands for. `INSTALL_DELETED` is two: 410 for the install itself, 403 in a link call."""
    if code == InstallGone.code:
        return InstallGone if status == 410 else InstallDeleted
    return next((leaf for leaf in leaves() if leaf.code == code), None)
