"""The public calls that talk to the platform: what each needs, what it does, how it fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from unbroken.sdk.errors import (
    InitError,
    LinkUserError,
    LinkUserReason,
    MetadataError,
    SubmitError,
    TokenError,
    UserCallError,
    UserCallReason,
)
from unbroken.sdk.faults import as_create_user_error, as_init_error, as_link_user_error, as_user_call_error
from unbroken.sdk.init_state import InitEvent, Initialisation
from unbroken.sdk.initialise import initialise, link_through, link_with_code
from unbroken.sdk.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from unbroken.sdk.conversation import Conversation
    from unbroken.sdk.linker import Linker
    from unbroken.sdk.outbox import Outbox
    from unbroken.sdk.steps import Flow
    from unbroken.sdk.uploading import Uploaded, Uploading

T = TypeVar("T")

Success = Callable[[], object]
Failure = Callable[[InitError], object]


@dataclass(frozen=True, slots=True)
class UserAccessToken:
    """A user token for the app's own calls; `expires_at_ms` in epoch milliseconds of the platform's clock."""

    token: Secret
    expires_at_ms: int

    def is_expired(self, now_ms: int) -> bool:
        """Whether it has ended at `now_ms`."""
        return now_ms >= self.expires_at_ms


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call that may be made now.

    Args:
        flow: what it does.
        around: entered around the flow; names what goes wrong in the words of the call, and ends what the call began.
        starts_uploads: whether uploads run in the background once the flow has succeeded.
    """

    flow: Flow[T]
    around: AbstractContextManager[None]
    starts_uploads: bool = False


class Calls:
    """Makes the calls, or refuses them.

    Args:
        linker: the app's, for `init`.
        announce: tells the listeners.
    """

    def __init__(
        self,
        talk: Conversation,
        outbox: Outbox,
        uploading: Uploading,
        initialisation: Initialisation,
        linker: Linker | None,
        announce: Callable[[], None],
    ) -> None:
        self._talk = talk
        self._outbox = outbox
        self._uploading = uploading
        self._initialisation = initialisation
        self._linker = linker
        self._announce = announce

    def init(self) -> Call[None]:
        """Raises InitError, SdkError."""
        self._initialisation.begin_init()
        return Call(self._become(None), self._initialising(as_init_error()), starts_uploads=True)

    def create_user(self, code: str) -> Call[None]:
        """Raises CreateUserError, SdkError."""
        self._initialisation.begin_create_user(user_exists=self._user_exists)
        return Call(self._become(Secret(code)), self._initialising(as_create_user_error()), starts_uploads=True)

    def link_user(self, by: str | Linker) -> Call[None]:
        """Raises LinkUserError, SdkError."""
        self._initialisation.require_initialized()
        if not self._user_exists:
            raise LinkUserError(LinkUserReason.NO_USER, "there is no user on this device")
        if self._talk.state.linked:
            raise LinkUserError(LinkUserReason.USER_ALREADY_LINKED, "the user is linked already")
        flow = link_with_code(self._talk, Secret(by)) if isinstance(by, str) else link_through(self._talk, by)
        return Call(flow, self._announcing(as_link_user_error()))

    def token(self) -> Call[UserAccessToken]:
        """Raises TokenError, SdkError."""
        return Call(self._token(), self._as_user(TokenError))

    def metadata(self, fields: Mapping[str, str]) -> Call[None]:
        """Raises MetadataError, SdkError."""
        return Call(self._talk.add_metadata(fields), self._as_user(MetadataError))

    def submit(self) -> Call[Uploaded]:
        """Raises SubmitError, SdkError."""
        return Call(self._uploading.submit(), self._as_user(SubmitError))

    # Flows

    def _become(self, code: Secret | None) -> Flow[None]:
        self._talk.memory.refuse_damage()
        self._drop_others("captured by an install that was reset")
        before = self._talk.state.install_id
        yield from initialise(self._talk, self._linker, code)
        self._drop_others("captured by an install that was deleted or copied")
        if before not in {None, self._talk.state.install_id}:
            self._outbox.remove_set_aside()

    def _drop_others(self, reason: str) -> None:
        self._outbox.drop_others(self._talk.state.install_id, reason, self._talk.now_ms())

    def _token(self) -> Flow[UserAccessToken]:
        token = yield from self._talk.fresh_token()
        return UserAccessToken(token, self._talk.state.token_expires_at_ms)

    # Around them

    @contextmanager
    def _initialising(self, naming: AbstractContextManager[None]) -> Iterator[None]:
        try:
            with naming:
                yield
        except BaseException:
            self._end(InitEvent.INIT_FAILS)
            raise
        self._end(InitEvent.INIT_SUCCEEDS)

    def _end(self, event: InitEvent) -> None:
        self._initialisation.end(event)
        self._announce()

    def _as_user(self, error: type[UserCallError]) -> AbstractContextManager[None]:
        self._initialisation.require_initialized()
        if not self._user_exists:
            raise error(UserCallReason.NO_USER, "there is no user on this device")
        return self._announcing(as_user_call_error(error))

    @contextmanager
    def _announcing(self, naming: AbstractContextManager[None]) -> Iterator[None]:
        try:
            with naming:
                yield
        finally:
            self._announce()

    @property
    def _user_exists(self) -> bool:
        return self._talk.state.install_id is not None
