"""`AsyncSdk`, the shell for asyncio. It differs from `Sdk` in `await` only; what a call does is said there."""

from __future__ import annotations

import inspect
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

from unbroken.sdk import linker as linkers
from unbroken.sdk.any_sdk import FAREWELL_MAX_S, AnySdk, ResetResult, left_s
from unbroken.sdk.errors import InitError, InitIssue
from unbroken.sdk.exchange import AppSecret, Request
from unbroken.sdk.farewell import say_farewells
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.listeners import report
from unbroken.sdk.steps import AskLinker, Done, Flow, Send, Told, Wait
from unbroken.sdk.transport import AsyncTransport

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping
    from types import TracebackType

    from unbroken.outgoing import NoReply, Reply
    from unbroken.sdk.calls import Call, Failure, Success, UserAccessToken
    from unbroken.sdk.config import Config
    from unbroken.sdk.eras import Era
    from unbroken.sdk.linker import Linker
    from unbroken.sdk.uploading import Uploaded

T = TypeVar("T")


class AsyncSdk(AnySdk["asyncio.Lock"]):
    """The device SDK on asyncio. Uploads run in a task that starts when `init` has succeeded.

    Raises:
        InvalidConfig: the transport is one for code that blocks.
        StorageInUse: another SDK holds the storage.
        StateLocked: looking for a keyring did not end in time.
        SdkError: the outbox cannot be opened. One that is damaged is set aside instead, and begun anew.
    """

    def __init__(self, config: Config) -> None:
        import asyncio  # noqa: PLC0415 - costs a blocking app 40 ms at import and is of no use to it

        self._transport = AsyncTransport(config, self._pins)
        super().__init__(config, asyncio.Lock)
        self._closing = asyncio.Event()
        self._uploader: asyncio.Task[None] | None = None
        self._initialiser: asyncio.Task[None] | None = None

    async def init(self, *, success: Success | None = None, failure: Failure | None = None) -> None:
        """See `Sdk.init`."""
        call = self._calls.init()
        if success is None and failure is None:
            await self._do(call)
        else:
            self._initialiser = _task(self._do_and_tell(call, success, failure))

    async def create_user(self, authentication_code: str) -> None:
        """See `Sdk.create_user`."""
        await self._do(self._calls.create_user(authentication_code))

    async def link_user(self, by: str | Linker) -> None:
        """See `Sdk.link_user`."""
        await self._do(self._calls.link_user(by))

    async def request_user_access_token(self) -> UserAccessToken:
        """See `Sdk.request_user_access_token`."""
        return await self._do(self._calls.token())

    async def add_user_metadata_fields(self, fields: Mapping[str, str]) -> None:
        """See `Sdk.add_user_metadata_fields`."""
        await self._do(self._calls.metadata(fields))

    async def submit_detections(self) -> Uploaded:
        """See `Sdk.submit_detections`."""
        return await self._do(self._calls.submit())

    async def reset(self) -> ResetResult:
        """See `Sdk.reset`."""
        with self._resetting():
            until = time.monotonic() + self.config.reset_upload_max_s
            await self._stop_uploads()
            await self._upload_what_can_be(until)
            lost = self._forget()
            told = await self._drive(say_farewells(self._talk), time.monotonic() + FAREWELL_MAX_S)
            return ResetResult(lost, told)

    async def close(self) -> None:
        """See `Sdk.close`."""
        self._initialisation.close()
        self._eras.close()
        self._closing.set()
        await self._stop_uploads()
        async with self._eras.present.turn:
            await self._transport.close()
            self._give_storage_back()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # Driving

    async def _do(self, call: Call[T]) -> T:
        with call.around:
            result = await self._drive(call.flow)
            if call.starts_uploads:
                self._start_uploads()
            return result

    async def _do_and_tell(self, call: Call[None], success: Success | None, failure: Failure | None) -> None:
        try:
            await self._do(call)
        except InitError as error:
            if failure is not None:
                failure(error)
        except BaseException as error:  # the task was cancelled: its loop ends
            if failure is not None:
                failure(InitError(InitIssue.INITIALIZATION_ERROR, f"init was ended by {type(error).__name__}"))
            raise
        else:
            if success is not None:
                success()

    async def _drive(self, flow: Flow[T], until: float | None = None) -> T:
        """See `Sdk._drive`."""
        import asyncio  # noqa: PLC0415 - see __init__

        era = self._eras.present
        turn = _Turn(era.turn)
        try:
            async with asyncio.timeout(left_s(until)):
                await turn.take()
        except TimeoutError as error:
            raise Fault(FaultKind.UNREACHABLE, "another call is still going on") from error
        try:
            return await self._take_steps(era, turn, flow, until)
        finally:
            turn.give_back()

    async def _take_steps(self, era: Era[asyncio.Lock], turn: _Turn, flow: Flow[T], until: float | None) -> T:
        told: Told = None
        while True:
            match self._step(era, flow, told):
                case Done(result):
                    return result
                case Send(request):
                    told = await self._send(request, until)
                case AskLinker(linker, asked):
                    told = await self._ask(turn, linker, asked)
                case Wait(until_ms):
                    await self._wait(self._pause_s(until_ms, until))
                    told = None
                case step:
                    assert_never(step)

    async def _send(self, request: Request, until: float | None) -> Reply | NoReply:
        if not isinstance(request.authorization, AppSecret):
            return await self._transport.send(request, None, left_s(until))
        with self._lending(await self._fetch_secret()) as app_secret:
            return await self._transport.send(request, app_secret, left_s(until))

    async def _fetch_secret(self) -> object:
        source = self.config.secret
        value = source() if callable(source) else source
        return await value if inspect.isawaitable(value) else value

    async def _ask(self, turn: _Turn, linker: Linker, request: linkers.LinkRequest) -> linkers.LinkerAnswer:
        turn.give_back()
        answer = await linkers.ask_async(linker, request, self.config.link_timeout_s)
        await turn.take()
        return answer

    async def _wait(self, pause_s: float) -> None:
        """Wait so long, or until the SDK is closed."""
        import asyncio  # noqa: PLC0415 - see __init__

        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._closing.wait()

    # Uploading in the background

    def _start_uploads(self) -> None:
        if self.config.upload_every_s is not None:
            self._uploader = _task(self._upload_for_ever())

    async def _stop_uploads(self) -> None:
        import asyncio  # noqa: PLC0415 - see __init__

        uploader, self._uploader = self._uploader, None
        if uploader is not None and uploader is not asyncio.current_task():
            uploader.cancel()
            await asyncio.wait({uploader})

    async def _upload_for_ever(self) -> None:
        pause_s = self.config.upload_every_s
        while pause_s is not None:
            await self._wait(pause_s)
            pause_s = await self._upload_once()

    async def _upload_once(self) -> float | None:
        """See `Sdk._upload_once`."""
        try:
            uploaded = await self._drive(self._uploading.round())
            self._announce()
            return self._uploading.pause_after(uploaded)
        except Fault:
            return None
        except Exception as error:  # noqa: BLE001 - a task that dies would upload nothing any more, in silence
            report("a round of uploads failed and will be tried again", error)
            return self._uploading.pause_after_error()

    async def _upload_what_can_be(self, until: float) -> None:
        if self._memory.is_damaged:
            return
        with suppress(Fault):  # another call holds the turn
            await self._drive(self._uploading.everything(), until)


class _Turn:
    """The turn of an era as one flow has it. A flow that is cancelled while it has it not gives back nobody else's."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._is_taken = False

    async def take(self) -> None:
        """Wait for it."""
        await self._lock.acquire()
        self._is_taken = True

    def give_back(self) -> None:
        """Let others have it."""
        if self._is_taken:
            self._is_taken = False
            self._lock.release()


def _task(coroutine: Any) -> asyncio.Task[None]:
    import asyncio  # noqa: PLC0415 - see AsyncSdk

    return asyncio.get_running_loop().create_task(coroutine)
