"""The two shells: `Sdk` blocks, `AsyncSdk` awaits. They drive the same flows and differ in nothing else.

A flow holds the turn from its first step to its last, so that one install has one conversation and a token is renewed
once; while a linker is asked the turn is free, because a linker may call the SDK.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, assert_never

from unbroken.sdk import linker as linkers
from unbroken.sdk.errors import InitError, MetadataError, SdkError, SubmitError, TokenError
from unbroken.sdk.exchange import AppSecret, NoReply, Reply, Request
from unbroken.sdk.secret import Secret
from unbroken.sdk.session import Answer, AskLinker, Done, Flow, Send, Wait, advance
from unbroken.sdk.shell import ResetResult, Shell, Uploaded, UserAccessToken
from unbroken.sdk.transport import AsyncTransport, BlockingTransport

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from unbroken.sdk.config import Config
    from unbroken.sdk.linker import Linker

T = TypeVar("T")

Success = Callable[[], object]
Failure = Callable[[InitError], object]


class Sdk(Shell):
    """The device SDK for code that blocks. Uploads run on a thread that starts when `init` has succeeded.

    Raises:
        StorageInUse: another SDK holds the storage.
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._transport = BlockingTransport(config)
        self._turn = threading.Lock()
        self._stop = threading.Event()
        self._uploader: threading.Thread | None = None

    def init(self, *, success: Success | None = None, failure: Failure | None = None) -> None:
        """Initialise (the table in sdk.md); with callbacks it returns at once and calls exactly one of them, once.

        Raises:
            InitError: with the issue.
            SdkError: initialisation is in progress or done.
        """
        self._begin_init()
        if success is None and failure is None:
            self._init()
        else:
            threading.Thread(target=self._init_and_tell, args=(success, failure), name="unbroken-init").start()

    def _init(self) -> None:
        with self._initialising():
            self._drive(self._initialise())
        self._start_uploads()

    def _init_and_tell(self, success: Success | None, failure: Failure | None) -> None:
        try:
            self._init()
        except InitError as error:
            _call(failure, error)
        else:
            _call(success)

    def create_user(self, authentication_code: str) -> None:
        """Register with a code of the customer's server, which links in the same step, and initialise.

        Raises:
            CreateUserError: with the reason.
        """
        self._begin_create_user()
        with self._initialising():
            self._drive(self._create_user(Secret(authentication_code)))
        self._start_uploads()

    def link_user(self, by: str | Linker) -> None:
        """Link the existing user by an authentication code or a linker.

        Raises:
            LinkUserError: with the reason.
        """
        self._require_unlinked_user()
        self._drive(self._link_user(_code_or_linker(by)))
        self._announce()

    def request_user_access_token(self) -> UserAccessToken:
        """The user token: cached, renewed early, renewed once even when asked by many.

        Raises:
            TokenError: with the reason.
        """
        self._require_user(TokenError)
        return self._drive(self._request_token())

    def add_user_metadata_fields(self, fields: Mapping[str, str]) -> None:
        """Merge fields into the user's metadata (http-api.md: at most 50 keys, 500 characters each).

        Raises:
            MetadataError: with the reason; nothing was stored.
        """
        self._require_user(MetadataError)
        self._drive(self._add_metadata(fields))

    def submit_detections(self) -> Uploaded:
        """Upload everything that waits now, whatever the network quota.

        Raises:
            SubmitError: with the reason; what was not uploaded is kept.
        """
        self._require_user(SubmitError)
        uploaded = self._drive(self._submit())
        self._announce()
        return uploaded

    def reset(self) -> ResetResult:
        """Upload what can be, forget the user, tell the platform. Works before `init`.

        Raises:
            ResetError: with the reason; it can be called again.
        """
        self._begin_reset()
        with self._resetting():
            self._stop_uploads()
            return self._drive(self._reset())

    def close(self) -> None:
        """Stop uploading and give the storage back; what waits stays on disk. Can be repeated."""
        self._stop_uploads()
        with self._turn:
            self._transport.close()
            self._close_storage()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, flow: Flow[T]) -> T:
        answer: Answer = None
        with self._turn:
            while True:
                try:
                    step = advance(flow, answer)
                finally:
                    self._keep_state()
                match step:
                    case Done(result):
                        return result
                    case Send(request):
                        answer = self._send(request)
                    case AskLinker(linker, request_to_link):
                        answer = self._ask(linker, request_to_link)
                    case Wait(until_ms):
                        self._stop.wait(_pause_s(until_ms, self._now_ms()))
                        answer = None
                    case _:
                        assert_never(step)

    def _send(self, request: Request) -> Reply | NoReply:
        if not isinstance(request.authorization, AppSecret):
            return self._transport.send(request, None)
        app_secret = self._fetch_secret()
        reply = self._transport.send(request, app_secret)
        if isinstance(reply, Reply) and reply.status < 400:
            app_secret.wipe()
        return reply

    def _fetch_secret(self) -> Secret:
        source = self.config.secret
        value = source() if callable(source) else source
        if inspect.isawaitable(value):
            import asyncio  # noqa: PLC0415 - only for a coroutine function

            value = asyncio.run(_await(value))
        return _as_secret(value)

    def _ask(self, linker: Linker, request: linkers.LinkRequest) -> linkers.LinkerAnswer:
        self._turn.release()
        try:
            return linkers.ask(linker, request, self.config.link_timeout_s)
        finally:
            self._turn.acquire()

    def _start_uploads(self) -> None:
        if self.config.upload_every_s is None:
            return
        self._stop.clear()
        self._uploader = threading.Thread(target=self._upload_for_ever, name="unbroken-upload", daemon=True)
        self._uploader.start()

    def _stop_uploads(self) -> None:
        self._stop.set()
        if self._uploader is not None and self._uploader is not threading.current_thread():
            self._uploader.join()
        self._uploader = None

    def _upload_for_ever(self) -> None:
        pause_s = self.config.upload_every_s or 0.0
        while not self._stop.wait(pause_s):
            uploaded = self._drive(self._upload_within_quota())
            self._announce()
            pause_s = _next_pause_s(uploaded, self._now_ms(), self.config)


class AsyncSdk(Shell):
    """The device SDK on asyncio. Uploads run in a task that starts when `init` has succeeded.

    Raises:
        StorageInUse: another SDK holds the storage.
    """

    def __init__(self, config: Config) -> None:
        import asyncio  # noqa: PLC0415 - costs a blocking app 40 ms at import and is of no use to it

        super().__init__(config)
        self._transport = AsyncTransport(config)
        self._turn = asyncio.Lock()
        self._uploader: asyncio.Task[None] | None = None
        self._initialiser: asyncio.Task[None] | None = None

    async def init(self, *, success: Success | None = None, failure: Failure | None = None) -> None:
        """See `Sdk.init`."""
        self._begin_init()
        if success is None and failure is None:
            await self._init()
        else:
            self._initialiser = _task(self._init_and_tell(success, failure))

    async def _init(self) -> None:
        with self._initialising():
            await self._drive(self._initialise())
        self._start_uploads()

    async def _init_and_tell(self, success: Success | None, failure: Failure | None) -> None:
        try:
            await self._init()
        except InitError as error:
            _call(failure, error)
        else:
            _call(success)

    async def create_user(self, authentication_code: str) -> None:
        """See `Sdk.create_user`."""
        self._begin_create_user()
        with self._initialising():
            await self._drive(self._create_user(Secret(authentication_code)))
        self._start_uploads()

    async def link_user(self, by: str | Linker) -> None:
        """See `Sdk.link_user`."""
        self._require_unlinked_user()
        await self._drive(self._link_user(_code_or_linker(by)))
        self._announce()

    async def request_user_access_token(self) -> UserAccessToken:
        """See `Sdk.request_user_access_token`."""
        self._require_user(TokenError)
        return await self._drive(self._request_token())

    async def add_user_metadata_fields(self, fields: Mapping[str, str]) -> None:
        """See `Sdk.add_user_metadata_fields`."""
        self._require_user(MetadataError)
        await self._drive(self._add_metadata(fields))

    async def submit_detections(self) -> Uploaded:
        """See `Sdk.submit_detections`."""
        self._require_user(SubmitError)
        uploaded = await self._drive(self._submit())
        self._announce()
        return uploaded

    async def reset(self) -> ResetResult:
        """See `Sdk.reset`."""
        self._begin_reset()
        with self._resetting():
            await self._stop_uploads()
            return await self._drive(self._reset())

    async def close(self) -> None:
        """See `Sdk.close`."""
        await self._stop_uploads()
        async with self._turn:
            await self._transport.close()
            self._close_storage()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, flow: Flow[T]) -> T:
        answer: Answer = None
        async with self._turn:
            while True:
                try:
                    step = advance(flow, answer)
                finally:
                    self._keep_state()
                match step:
                    case Done(result):
                        return result
                    case Send(request):
                        answer = await self._send(request)
                    case AskLinker(linker, request_to_link):
                        answer = await self._ask(linker, request_to_link)
                    case Wait(until_ms):
                        await _sleep(_pause_s(until_ms, self._now_ms()))
                        answer = None
                    case _:
                        assert_never(step)

    async def _send(self, request: Request) -> Reply | NoReply:
        if not isinstance(request.authorization, AppSecret):
            return await self._transport.send(request, None)
        app_secret = await self._fetch_secret()
        reply = await self._transport.send(request, app_secret)
        if isinstance(reply, Reply) and reply.status < 400:
            app_secret.wipe()
        return reply

    async def _fetch_secret(self) -> Secret:
        source = self.config.secret
        value = source() if callable(source) else source
        return _as_secret(await value if inspect.isawaitable(value) else value)

    async def _ask(self, linker: Linker, request: linkers.LinkRequest) -> linkers.LinkerAnswer:
        self._turn.release()
        try:
            return await linkers.ask_async(linker, request, self.config.link_timeout_s)
        finally:
            await self._turn.acquire()

    def _start_uploads(self) -> None:
        if self.config.upload_every_s is not None:
            self._uploader = _task(self._upload_for_ever())

    async def _stop_uploads(self) -> None:
        import asyncio  # noqa: PLC0415 - see __init__

        if self._uploader is not None:
            self._uploader.cancel()
            await asyncio.wait({self._uploader})
            self._uploader = None

    async def _upload_for_ever(self) -> None:
        pause_s = self.config.upload_every_s or 0.0
        while True:
            await _sleep(pause_s)
            uploaded = await self._drive(self._upload_within_quota())
            self._announce()
            pause_s = _next_pause_s(uploaded, self._now_ms(), self.config)


def _code_or_linker(by: str | Linker) -> Secret | Linker:
    return Secret(by) if isinstance(by, str) else by


def _call(callback: Callable[..., object] | None, *arguments: object) -> None:
    if callback is not None:
        callback(*arguments)


def _as_secret(value: object) -> Secret:
    """What the app's secret source gave.

    Raises:
        SdkError: it gave nothing usable; what it gave is not shown.
    """
    secret = Secret(value) if isinstance(value, str) else value
    if isinstance(secret, Secret) and secret:
        return secret
    raise SdkError("the app secret is empty: its source gave none, or it was wiped after an earlier registration")


def _pause_s(until_ms: int, now_ms: int) -> float:
    return max(0, until_ms - now_ms) / 1000


def _next_pause_s(uploaded: Uploaded, now_ms: int, config: Config) -> float:
    if uploaded.kept is None:
        return config.upload_every_s or 0.0
    return _pause_s(uploaded.kept.until_ms, now_ms)


async def _await(awaitable: Any) -> Any:
    return await awaitable


async def _sleep(pause_s: float) -> None:
    import asyncio  # noqa: PLC0415 - see AsyncSdk

    await asyncio.sleep(pause_s)


def _task(coroutine: Any) -> asyncio.Task[None]:
    import asyncio  # noqa: PLC0415 - see AsyncSdk

    return asyncio.get_running_loop().create_task(coroutine)
