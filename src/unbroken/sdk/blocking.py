"""`Sdk`, the shell for code that blocks. It differs from `AsyncSdk` in `await` only.

A flow holds the turn from its first step to its last, so that one install has one conversation and a token is renewed
once; while a linker is asked the turn is free, because a linker may call the SDK.
"""

from __future__ import annotations

import inspect
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

from unbroken.sdk import linker as linkers
from unbroken.sdk.any_sdk import FAREWELL_MAX_S, AnySdk, ResetResult, left_s
from unbroken.sdk.calls import Call
from unbroken.sdk.errors import InitError, InitIssue
from unbroken.sdk.exchange import AppSecret, Request
from unbroken.sdk.farewell import say_farewells
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.listeners import report
from unbroken.sdk.steps import AskLinker, Done, Flow, Send, Told, Wait
from unbroken.sdk.transport import BlockingTransport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from unbroken.outgoing import NoReply, Reply
    from unbroken.sdk.calls import Failure, Success, UserAccessToken
    from unbroken.sdk.config import Config
    from unbroken.sdk.eras import Era
    from unbroken.sdk.linker import Linker
    from unbroken.sdk.uploading import Uploaded

T = TypeVar("T")


class Sdk(AnySdk[threading.Lock]):
    """The device SDK for code that blocks. Uploads run on a thread that starts when `init` has succeeded.

    Raises:
        InvalidConfig: the transport is one for asyncio.
        StorageInUse: another SDK holds the storage.
        StateLocked: looking for a keyring did not end in time.
        SdkError: the outbox cannot be opened. One that is damaged is set aside instead, and begun anew.
    """

    def __init__(self, config: Config) -> None:
        self._transport = BlockingTransport(config, self._pins)
        super().__init__(config, threading.Lock)
        self._closing = threading.Event()
        self._uploader: threading.Thread | None = None
        self._stop = threading.Event()

    def init(self, *, success: Success | None = None, failure: Failure | None = None) -> None:
        """Initialise (the table in sdk.md); with callbacks it returns at once and calls exactly one of them, once.

        Raises:
            InitError: with the issue.
            SdkError: initialisation is in progress or done.
        """
        call = self._calls.init()
        if success is None and failure is None:
            self._do(call)
        else:
            self._begin(call, success, failure)

    def create_user(self, authentication_code: str) -> None:
        """Register with a code of the customer's server, which links in the same step, and initialise.

        Raises:
            CreateUserError: with the reason.
        """
        self._do(self._calls.create_user(authentication_code))

    def link_user(self, by: str | Linker) -> None:
        """Link the existing user by an authentication code or a linker.

        Raises:
            LinkUserError: with the reason.
        """
        self._do(self._calls.link_user(by))

    def request_user_access_token(self) -> UserAccessToken:
        """The user token: cached, renewed early, renewed once even when asked by many.

        Raises:
            TokenError: with the reason.
        """
        return self._do(self._calls.token())

    def add_user_metadata_fields(self, fields: Mapping[str, str]) -> None:
        """Merge fields into the user's metadata (http-api.md: at most 50 keys, 500 characters each).

        Raises:
            MetadataError: with the reason; nothing was stored.
        """
        self._do(self._calls.metadata(fields))

    def submit_detections(self) -> Uploaded:
        """Upload everything that waits now, whatever the network quota.

        Raises:
            SubmitError: with the reason; what was not uploaded is kept.
        """
        return self._do(self._calls.submit())

    def reset(self) -> ResetResult:
        """Upload what can be within `reset_upload_max_s`, forget the user, tell the platform. Works before `init`.

        Raises:
            ResetError: with the reason; it can be called again.
        """
        with self._resetting():
            until = time.monotonic() + self.config.reset_upload_max_s
            self._stop_uploads(until)
            self._upload_what_can_be(until)
            lost = self._forget()
            told = self._drive(say_farewells(self._talk), time.monotonic() + FAREWELL_MAX_S)
            return ResetResult(lost, told)

    def close(self) -> None:
        """Stop uploading and give the storage back; what waits stays on disk. Can be repeated.

        An `init` that is under way fails; no call is possible any more.
        """
        self._initialisation.close()
        self._eras.close()
        self._closing.set()
        self._stop_uploads(None)
        with self._eras.present.turn:
            self._transport.close()
            self._give_storage_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Driving

    def _do(self, call: Call[T]) -> T:
        with call.around:
            result = self._drive(call.flow)
            if call.starts_uploads:
                self._start_uploads()
            return result

    def _begin(self, call: Call[None], success: Success | None, failure: Failure | None) -> None:
        try:
            threading.Thread(target=self._do_and_tell, args=(call, success, failure), name="unbroken-init").start()
        except RuntimeError as error:  # the system has no thread left
            self._do_and_tell(Call(_failing(error), call.around), success, failure)

    def _do_and_tell(self, call: Call[None], success: Success | None, failure: Failure | None) -> None:
        try:
            self._do(call)
        except InitError as error:
            if failure is not None:
                failure(error)
        except BaseException as error:  # the app's code ends the thread
            if failure is not None:
                failure(InitError(InitIssue.INITIALIZATION_ERROR, f"init was ended by {type(error).__name__}"))
            raise
        else:
            if success is not None:
                success()

    def _drive(self, flow: Flow[T], until: float | None = None) -> T:
        """Do a flow's steps to its end; after `until` (`time.monotonic`) nothing is sent any more."""
        era, timeout_s = self._eras.present, left_s(until)
        if not era.turn.acquire(timeout=-1 if timeout_s is None else timeout_s):
            raise Fault(FaultKind.UNREACHABLE, "another call is still going on")
        try:
            return self._take_steps(era, flow, until)
        finally:
            era.turn.release()

    def _take_steps(self, era: Era[threading.Lock], flow: Flow[T], until: float | None) -> T:
        told: Told = None
        while True:
            match self._step(era, flow, told):
                case Done(result):
                    return result
                case Send(request):
                    told = self._send(request, until)
                case AskLinker(linker, asked):
                    told = self._ask(era, linker, asked)
                case Wait(until_ms):
                    self._closing.wait(self._pause_s(until_ms, until))
                    told = None
                case step:
                    assert_never(step)

    def _send(self, request: Request, until: float | None) -> Reply | NoReply:
        if not isinstance(request.authorization, AppSecret):
            return self._transport.send(request, None, left_s(until))
        with self._lending(self._fetch_secret()) as app_secret:
            return self._transport.send(request, app_secret, left_s(until))

    def _fetch_secret(self) -> object:
        source = self.config.secret
        value = source() if callable(source) else source
        if inspect.isawaitable(value):
            import asyncio  # noqa: PLC0415 - only for a coroutine function

            value = asyncio.run(_await(value))
        return value

    def _ask(self, era: Era[threading.Lock], linker: Linker, request: linkers.LinkRequest) -> linkers.LinkerAnswer:
        era.turn.release()
        try:
            return linkers.ask(linker, request, self.config.link_timeout_s)
        finally:
            era.turn.acquire()

    # Uploading in the background

    def _start_uploads(self) -> None:
        if self.config.upload_every_s is None:
            return
        self._stop = threading.Event()
        uploader = threading.Thread(
            target=self._upload_for_ever, args=(self._stop,), name="unbroken-upload", daemon=True
        )
        uploader.start()
        self._uploader = uploader  # started: `close` may come at any moment, and joins it

    def _stop_uploads(self, until: float | None) -> None:
        """An upload that hangs is left behind at `until`: its era is over soon, and it ends with its request."""
        self._stop.set()
        uploader, self._uploader = self._uploader, None
        if uploader is not None and uploader is not threading.current_thread():
            uploader.join(left_s(until))

    def _upload_for_ever(self, stop: threading.Event) -> None:
        pause_s = self.config.upload_every_s
        while pause_s is not None and not stop.wait(pause_s):
            pause_s = self._upload_once()

    def _upload_once(self) -> float | None:
        """One round, whatever comes; seconds until the next, None where there is none: the era is over."""
        try:
            uploaded = self._drive(self._uploading.round())
            self._announce()
            return self._uploading.pause_after(uploaded)
        except Fault:
            return None
        except Exception as error:  # noqa: BLE001 - a thread that dies would upload nothing any more, in silence
            report("a round of uploads failed and will be tried again", error)
            return self._uploading.pause_after_error()

    def _upload_what_can_be(self, until: float) -> None:
        if self._memory.is_damaged:
            return
        with suppress(Fault):  # another call holds the turn
            self._drive(self._uploading.everything(), until)


def _failing(error: Exception) -> Flow[None]:
    yield from ()
    raise error


async def _await(awaitable: Any) -> Any:
    return await awaitable
