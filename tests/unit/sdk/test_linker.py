"""Every form of a linker, on both shells' ways of asking, and every way one can fail."""

from __future__ import annotations

import asyncio
import threading

import pytest

from unbroken.backend.attestation import Binding
from unbroken.sdk.linker import LinkerAnswer, LinkRequest, ask, ask_async, with_ticket

REQUEST = LinkRequest("i" * 24, "ticket", 1)


def blocking(linker, timeout_s=30.0):
    return ask(linker, REQUEST, timeout_s)


def on_asyncio(linker, timeout_s=30.0):
    return asyncio.run(ask_async(linker, REQUEST, timeout_s))


both = pytest.mark.parametrize("asked", [blocking, on_asyncio])


async def coroutine_true(install_id):
    await asyncio.sleep(0)
    return install_id == REQUEST.install_id


async def ticket_coroutine(request):
    await asyncio.sleep(0)
    return request is REQUEST


class CoroutineObject:
    async def __call__(self, install_id):
        return True


@both
@pytest.mark.parametrize(
    "linker",
    [
        lambda install_id: install_id == REQUEST.install_id,
        coroutine_true,
        CoroutineObject(),
        lambda install_id: coroutine_true(install_id),  # noqa: PLW0108 - a plain function that gives an awaitable
        lambda _install_id, success, _failed: success(),
        with_ticket(lambda request: request.ticket == "ticket"),
        with_ticket(ticket_coroutine),
    ],
    ids=["plain", "coroutine", "object", "returns awaitable", "callback", "ticket", "ticket coroutine"],
)
def test_a_linker_of_every_form_succeeds(asked, linker):
    assert asked(linker) == LinkerAnswer()


@both
def test_a_callback_may_come_later_from_another_thread(asked):
    def link(_install_id, success, _failed):
        threading.Thread(target=success).start()

    assert asked(link).is_success


@both
def test_a_coroutine_function_with_three_parameters_is_the_callback_form(asked):
    async def link(_install_id, _success, failed):
        failed()

    assert asked(link).reason == "the linker called link_failed"


@both
@pytest.mark.parametrize("value", [False, None, 1, "yes", object()])
def test_anything_but_true_is_a_failure(asked, value):
    async def coroutine(_):
        return value

    assert not asked(lambda _: value).is_success
    assert not asked(coroutine).is_success


@both
@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_a_linker_that_raises_has_failed_and_the_error_is_kept(asked, error):
    def link(_):
        raise error

    answer = asked(link)
    assert answer.reason == f"the linker raised {type(error).__name__}"
    assert answer.error is error


@both
def test_a_linker_whose_own_request_was_cancelled_has_failed_and_cancels_nobody(asked):
    async def link(_):
        request = asyncio.ensure_future(asyncio.sleep(10))
        request.cancel()
        return await request

    assert asked(link).reason == "the linker raised CancelledError"


@both
def test_calling_both_callbacks_is_a_failure(asked):
    def link(_install_id, success, failed):
        success()
        failed()

    assert asked(link).reason == "the linker called both callbacks"


@both
def test_calling_success_twice_is_a_success(asked):
    def link(_install_id, success, _failed):
        success()
        success()

    assert asked(link).is_success


@both
def test_a_linker_that_never_answers_fails_after_its_time(asked):
    released = threading.Event()
    try:
        assert asked(lambda _: released.wait(), 0.05).reason == "the linker did not answer within 0.05 s"
        assert asked(lambda _i, _s, _f: None, 0.05).reason == "the linker did not answer within 0.05 s"
    finally:
        released.set()


def test_a_linker_ends_with_whoever_asked_it_and_was_cancelled():
    async def scenario():
        begun, ended = asyncio.Event(), asyncio.Event()

        async def link(_):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        asking = asyncio.create_task(ask_async(link, REQUEST, 60.0))
        await begun.wait()
        asking.cancel()
        await asyncio.wait_for(ended.wait(), 30)

    asyncio.run(scenario())


def test_a_coroutine_that_ignores_its_cancellation_holds_nobody_up():
    async def scenario():
        released = asyncio.Event()

        async def stubborn(_):
            while not released.is_set():
                try:
                    await released.wait()
                except asyncio.CancelledError:
                    continue
            return True

        answer = await ask_async(stubborn, REQUEST, 0.05)
        released.set()
        return answer

    assert asyncio.run(scenario()).reason == "the linker did not answer within 0.05 s"


def test_what_a_device_signs_is_what_the_backend_kit_looks_for():
    app_id, install_id, challenge = "ab" * 12, "a1" * 12, bytes(range(32))
    request = LinkRequest(install_id, None, 1, app_id)
    assert request.to_be_signed(challenge) == Binding(app_id, install_id, b"", challenge).digest
