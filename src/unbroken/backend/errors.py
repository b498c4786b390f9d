"""What can go wrong for a customer's server, as closed sets.

    BackendError
    ├── PlatformError          the platform refused: one class per `errorCode`, below
    │   ├── LinkRefused        the rows of linking.md
    │   └── NotNow             what may pass, after the kit has waited for it
    ├── PlatformUnreachable    no usable reply after every try
    ├── ReplyNotUnderstood     a reply that is not of the contract
    └── InvalidConfig          the kit was set up wrongly

A class has the name of the platform's own leaf (`unbroken.domain.errors`), which is a tree of its own and closed. Where
a docstring says what to do, it speaks to the customer's developer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain import errors as refusals

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken import wire


class BackendError(Exception):
    """A call of the backend kit that did not succeed."""


class InvalidConfig(BackendError):
    """The kit cannot work with what it was given."""


class PlatformUnreachable(BackendError):
    """The platform gave no usable reply within the tries of this call; whether the call had its effect is not known.

    Calling again is harmless: what the same call means twice is decided by the platform (linking.md, law 4).
    """


class ReplyNotUnderstood(BackendError):
    """Whatever answered does not speak the contract: the base URL may be wrong, or the platform newer than this kit.

    Args:
        details: what was wrong with the reply.
        ref: the request id it carried, if any.
    """

    def __init__(self, details: str, *, ref: str | None = None) -> None:
        super().__init__(f"{details} (ref {ref})" if ref else details)
        self.ref = ref


class PlatformError(BackendError):
    """The platform refused.

    Args:
        status: the HTTP status.
        problem: the body of the reply: message, code, hint and details are the platform's own words.
        retry_after_s: when the platform said the call may be tried again.
    """

    def __init__(self, status: int, problem: wire.Problem, *, retry_after_s: int | None = None) -> None:
        self.status = status
        self.code = problem.error_code
        """As the platform wrote it; tells more than the class only where this kit does not know the code."""
        self.message = problem.message
        self.hint = problem.hint
        self.details = tuple((detail.path, detail.message) for detail in problem.errors)
        self.retry_after_s = retry_after_s
        self.ref = problem.ref or None
        """The platform's request id: whoever runs it finds the log line by it. None if the platform was not asked."""
        super().__init__(self._told())

    def _told(self) -> str:
        told = [f"{self.code}: {self.message}", *(f"{path}: {message}" for path, message in self.details)]
        told += [self.hint] if self.hint else []
        told += [f"(ref {self.ref})"] if self.ref else []
        return " ".join(told)


class InvalidRequest(PlatformError):
    """An argument is not of the contract's form; `details` says which."""


class InvalidExternalId(PlatformError):
    """The external id is empty, too long or a placeholder: look for a bug in how the account is found."""


class TokenInUrl(PlatformError):
    """An argument of this call is a credential, and would have been part of the URL. An API key is void now."""


class TooLarge(PlatformError):
    """An argument is larger than the platform allows."""


class UnsupportedMediaType(PlatformError):
    """Something between this server and the platform changed the request."""


class MethodNotAllowed(PlatformError):
    """The base URL is probably not that of the platform."""


class Unauthenticated(PlatformError):
    """The API key is not known, has expired or was revoked."""


class AuthCodeUnknown(PlatformError):
    """Told to devices only."""


class AuthCodeUsed(PlatformError):
    """Told to devices only."""


class AuthCodeExpired(PlatformError):
    """Told to devices only."""


class ForbiddenScope(PlatformError):
    """The API key lacks a scope; make one that has it."""


class ForbiddenCredential(PlatformError):
    """What was given as an API key is another kind of credential."""


class AppDisabled(PlatformError):
    """The operator disabled the app."""


class NotFound(PlatformError):
    """The user, event or fact does not exist in this app."""


class InstallNotFound(PlatformError):
    """No such install; an app of another environment may have sent its id."""


class InstallGone(PlatformError):
    """Told to devices only."""


class LinkRefused(PlatformError):
    """A row of the decision table said no (linking.md)."""


class InstallDoesNotBelongToApp(LinkRefused):
    """The install and the API key are of two apps: probably of two environments."""


class UserlinkingNotConfigured(LinkRefused):
    """The app's policy has linking off."""


class InstallDeleted(LinkRefused):
    """The install was reset or erased; the SDK will come with a new one."""


class InstallDisabled(LinkRefused):
    """The install or its user is disabled; enabling is a deliberate act."""


class InstallLinkedToOtherUser(LinkRefused):
    """Another account is linked on this install: at logout the app resets the SDK, then the next login links anew."""


class InstallDeactivated(LinkRefused):
    """The same person's newer install has taken over."""


class UserDisabled(LinkRefused):
    """The person of this account is disabled."""


class InvalidLinkTicket(LinkRefused):
    """The ticket is not of this install or too old: the app asks the SDK again and sends what it gets."""


class AttestationRefused(LinkRefused):
    """Told by the kit itself to apps, where its attestation policy is `enforce`."""


class AttestationReplayed(LinkRefused):
    """The device answered a challenge that was answered before, or by the same proof: the app asks for another one."""


class LinkBurst(LinkRefused):
    """One account gathers installs too fast; trying again at once does not help."""


class CannotLinkExistingPersonToOtherPerson(LinkRefused):
    """The install was used before it was linked, and the account has a person already: the app resets the SDK."""


class Conflict(PlatformError):
    """The call contradicts what is already there."""


class IdempotencyKeyReused(PlatformError):
    """A key met another body; the kit never does this by itself."""


class InstallCloned(PlatformError):
    """Told to devices only."""


class InstallKeyUnproven(PlatformError):
    """Told to devices only."""


class LaterFactsDepend(PlatformError):
    """Later facts depend on the link that was to be undone; `details` names them: undo them first, where possible."""


class HistoryExpired(PlatformError):
    """Payloads that an exact undo needs are no longer kept."""


class NotNow(PlatformError):
    """The platform cannot do this at the moment; the same call may succeed later."""


class RateLimited(NotNow):
    """Too many calls, even after the kit has waited."""


class Unavailable(NotNow):
    """The platform can store nothing right now."""


class Internal(NotNow):
    """The platform failed; `ref` finds out why."""


def refusal(status: int, problem: wire.Problem, *, retry_after_s: int | None = None) -> PlatformError:
    """The refusal that a reply stands for; a `PlatformError` itself where this kit does not know the code."""
    leaf = refusals.by_code(problem.error_code, status)
    kind = PlatformError if leaf is None else _BY_NAME[leaf.__name__]
    return kind(status, problem, retry_after_s=retry_after_s)


def _all(root: type[PlatformError]) -> Iterator[type[PlatformError]]:
    for kind in root.__subclasses__():
        yield kind
        yield from _all(kind)


_BY_NAME: Final = {kind.__name__: kind for kind in _all(PlatformError)}
