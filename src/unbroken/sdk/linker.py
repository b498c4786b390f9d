"""Asking the app's linker, in whichever form it was given, so that it answers once or counts as failed.

A linker that raises, returns something else than `True`, calls both callbacks or does not answer in time has failed
(sdk.md, part A). Nothing here waits longer than the time it was given: a linker that hangs keeps its own daemon thread.
"""

from __future__ import annotations

import hashlib
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, cast

_PURPOSE: Final = b"unb-link/1"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """What a linker may pass to the customer's server.

    Args:
        install_id: the install that wants to be linked.
        ticket: the platform's proof that this install asks (linking.md, link ticket), where it gave one.
        deadline_ms: when the SDK stops waiting, epoch milliseconds of the device's clock.
        app_id: the app of this SDK.
    """

    install_id: str
    ticket: str | None = field(repr=False)
    deadline_ms: int
    app_id: str = ""

    def to_be_signed(self, challenge: bytes) -> bytes:
        """What the device lets its platform sign, where the customer's server asks for a proof: 32 bytes.

        Args:
            challenge: what that server's `GET /challenge` gave, decoded.
        """
        parts = (self.app_id.encode(), self.install_id.encode(), b"")
        framed = b"".join(bytes([len(part)]) + part for part in parts)
        return hashlib.sha256(_PURPOSE + framed + challenge).digest()


@dataclass(frozen=True, slots=True)
class LinkerAnswer:
    """What a linker said; `reason` is set where it counts as failed."""

    reason: str | None = None
    error: BaseException | None = field(default=None, compare=False)

    @property
    def is_success(self) -> bool:
        """Whether the linker claims to have linked. Only the platform's word counts after it."""
        return self.reason is None


@dataclass(frozen=True, slots=True)
class WithTicket:
    """A linker that wants the whole `LinkRequest`; made by `with_ticket`."""

    link: Callable[[LinkRequest], object]


class NoLinker(Enum):
    """The linker that links nothing, said on purpose."""

    NO_OP = "NO_OP"


NO_OP: Final = NoLinker.NO_OP

Linker = (
    Callable[[str], bool]
    | Callable[[str], Awaitable[bool]]
    | Callable[[str, Callable[[], None], Callable[[], None]], object]
    | WithTicket
    | NoLinker
)


def with_ticket(link: Callable[[LinkRequest], object]) -> WithTicket:
    """A linker whose function, plain or coroutine, takes a `LinkRequest` and returns `True` when it has linked."""
    return WithTicket(link)


def ask(linker: Linker, request: LinkRequest, timeout_s: float) -> LinkerAnswer:
    """Call the linker on a thread of its own and wait at most `timeout_s` for its answer."""
    answers: queue.SimpleQueue[LinkerAnswer] = queue.SimpleQueue()
    _on_a_thread(lambda: answers.put(_answer(linker, request)))
    try:
        return answers.get(timeout=timeout_s)
    except queue.Empty:
        return _too_late(timeout_s)


async def ask_async(linker: Linker, request: LinkRequest, timeout_s: float) -> LinkerAnswer:
    """Like `ask`: a coroutine function runs on the caller's loop, every other form on a thread of its own."""
    import asyncio  # noqa: PLC0415 - costs a blocking app 40 ms at import and is of no use to it

    asked: asyncio.Future[LinkerAnswer]
    if _is_coroutine_form(linker):
        asked = asyncio.ensure_future(_answer_on_loop(linker, request))
    else:
        loop = asyncio.get_running_loop()
        asked = loop.create_future()

        def settle(answer: LinkerAnswer) -> None:
            if not asked.done():
                asked.set_result(answer)

        def tell() -> None:
            answer = _answer(linker, request)
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, answer)

        _on_a_thread(tell)
    # wait(), not wait_for(): the latter waits for a linker that ignores its cancellation.
    try:
        done, _ = await asyncio.wait({asked}, timeout=timeout_s)
    finally:
        asked.cancel()  # too late, or whoever asked was cancelled himself; nothing to one that has answered
    return asked.result() if done else _too_late(timeout_s)


def _on_a_thread(run: Callable[[], None]) -> None:
    threading.Thread(target=run, name="unbroken-linker", daemon=True).start()


def _answer(linker: Linker, request: LinkRequest) -> LinkerAnswer:
    """Run a linker of any form to its end on this thread."""
    try:
        if _is_callback_form(linker):
            return _ask_with_callbacks(linker, request)
        value = _call(linker, request)
        return _judge(_run_to_end(value) if inspect.isawaitable(value) else value)
    except BaseException as error:  # noqa: BLE001 - whatever the app's code throws, SystemExit included, is a failed link
        return _raised(error)


async def _answer_on_loop(linker: Linker, request: LinkRequest) -> LinkerAnswer:
    import asyncio  # noqa: PLC0415 - see ask_async

    try:
        return _judge(await cast("Awaitable[object]", _call(linker, request)))
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever the app's code throws is a failed link
        return _raised(error)  # what it waits for may be cancelled too; who cancels this very task looks no more


def _call(linker: Linker, request: LinkRequest) -> object:
    if isinstance(linker, WithTicket):
        return linker.link(request)
    return cast("Callable[[str], object]", linker)(request.install_id)


def _run_to_end(awaitable: Awaitable[object]) -> object:
    import asyncio  # noqa: PLC0415 - see ask_async

    async def await_it() -> object:
        return await awaitable

    return asyncio.run(await_it())


def _ask_with_callbacks(linker: Linker, request: LinkRequest) -> LinkerAnswer:
    """Judged when the function has returned and a callback was called, so that calling both is seen."""
    called: queue.SimpleQueue[bool] = queue.SimpleQueue()
    link = cast("Callable[[str, Callable[[], None], Callable[[], None]], object]", linker)
    returned = link(request.install_id, lambda: called.put(True), lambda: called.put(False))
    if inspect.isawaitable(returned):
        _run_to_end(returned)
    answers = {called.get()}  # a linker that never calls back is left behind by the timeout of `ask`
    while not called.empty():
        answers.add(called.get())
    if len(answers) > 1:
        return LinkerAnswer("the linker called both callbacks")
    return LinkerAnswer() if True in answers else LinkerAnswer("the linker called link_failed")


def _judge(value: object) -> LinkerAnswer:
    return LinkerAnswer() if value is True else LinkerAnswer(f"the linker returned {_short(value)}, not True")


def _short(value: object) -> str:
    return repr(value) if value is None or isinstance(value, bool) else f"an object of type {type(value).__name__}"


def _raised(error: BaseException) -> LinkerAnswer:
    return LinkerAnswer(f"the linker raised {type(error).__name__}", error)


def _too_late(timeout_s: float) -> LinkerAnswer:
    return LinkerAnswer(f"the linker did not answer within {timeout_s:g} s")


def _is_coroutine_form(linker: Linker) -> bool:
    function = linker.link if isinstance(linker, WithTicket) else linker
    by_call = inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - asks what it is, not whether
    return (inspect.iscoroutinefunction(function) or by_call) and not _is_callback_form(linker)


def _is_callback_form(linker: Linker) -> bool:
    """Whether the linker takes three positional parameters: install id, link_success, link_failed."""
    if isinstance(linker, WithTicket | NoLinker):
        return False
    try:
        parameters = inspect.signature(linker).parameters.values()
    except (TypeError, ValueError):  # some callables written in C tell nothing
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in positional and p.default is p.empty for p in parameters) == 3
