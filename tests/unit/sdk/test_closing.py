"""Closing: the storage is given back, and nothing of the closed SDK touches it afterwards."""

from __future__ import annotations

import asyncio
import threading

import httpx
import pytest

from unbroken.sdk import AsyncSdk, InitError, InitIssue, LinkUserError, LinkUserReason, Location, Sdk, SdkError, Storage
from unbroken.sdk.state import State, StateFile


class SlowLinker:
    """Says when it is asked, and answers when it is told to."""

    def __init__(self, platform):
        self.platform = platform
        self.asked = threading.Event()
        self.may_answer = threading.Event()

    def __call__(self, install_id):
        self.asked.set()
        assert self.may_answer.wait(10)
        return self.platform.link(install_id)


def test_closing_while_the_linker_is_asked_ends_the_init_and_leaves_the_storage_alone(phone, platform):
    linker, called, ended = SlowLinker(platform), [], threading.Event()
    first = Sdk(phone.config(link=linker))
    first.init(success=lambda: called.append("success"), failure=lambda e: (called.append(e), ended.set()))
    assert linker.asked.wait(30)
    first.close()
    with Sdk(phone.config(link=None)) as second:
        linker.may_answer.set()
        assert ended.wait(30)
        second.init()
        assert second.user_id == platform.only_install().user_id
    assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]
    assert "closed" in called[0].details


def test_closing_on_asyncio_while_the_linker_is_asked_ends_the_init(phone, platform):
    async def scenario():
        called, ended, asked, may_answer = [], asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def link(install_id):
            asked.set()
            await may_answer.wait()
            return platform.link(install_id)

        first = AsyncSdk(phone.config(link=link))
        await first.init(success=lambda: called.append("success"), failure=lambda e: (called.append(e), ended.set()))
        await asyncio.wait_for(asked.wait(), 30)
        await first.close()
        async with AsyncSdk(phone.config(link=None)) as second:
            may_answer.set()
            await asyncio.wait_for(ended.wait(), 30)
            await second.init()
        return called

    assert [error.issue for error in asyncio.run(scenario())] == [InitIssue.INITIALIZATION_ERROR]


def test_a_reset_while_the_linker_is_asked_ends_the_linking(phone, platform):
    linker, caught = SlowLinker(platform), []
    with Sdk(phone.config(link=None)) as sdk:
        sdk.init()

        def link():
            with pytest.raises(LinkUserError) as raised:
                sdk.link_user(linker)
            caught.append(raised.value)

        thread = threading.Thread(target=link)
        thread.start()
        assert linker.asked.wait(30)
        sdk.reset()
        sdk.init()
        linker.may_answer.set()
        thread.join(5)
        assert not sdk.is_user_linked
    assert [error.reason for error in caught] == [LinkUserReason.NO_USER]


def test_a_linking_that_is_cancelled_while_another_call_goes_on_ends_only_itself(phone, platform):
    async def scenario():
        asked, linked, hangs, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def link(install_id):
            asked.set()
            await hangs.wait()
            linked.set()
            return platform.link(install_id)

        async def answer(request):
            if request.url.path == "/sdk/payloads":
                hangs.set()
                await go_on.wait()
            return phone.answer(request)

        async with AsyncSdk(phone.config(link=None, transport=httpx.MockTransport(answer))) as sdk:
            await sdk.init()
            sdk.capture(Location(t=1, lat=1, lon=2))
            linking = asyncio.create_task(sdk.link_user(link))
            await asyncio.wait_for(asked.wait(), 30)
            submitting = asyncio.create_task(sdk.submit_detections())
            await asyncio.wait_for(linked.wait(), 30)
            await asyncio.sleep(0)  # the linker has answered, and waits for its turn
            linking.cancel()
            await asyncio.wait({linking}, timeout=30)
            go_on.set()
            return linking.cancelled(), await submitting

    was_cancelled, uploaded = asyncio.run(scenario())
    assert was_cancelled
    assert uploaded.items == 1


def test_a_closed_sdk_refuses_every_call_and_touches_nothing(open_sdk, phone, platform):
    with open_sdk() as sdk:
        sdk.init()
        sdk.capture(Location(t=1, lat=1, lon=2))
    requests = len(platform.requests)
    calls = (
        lambda: sdk.capture(Location(t=1, lat=1, lon=2)),
        sdk.disable_detections,
        sdk.dropped,
        lambda: sdk.status.waiting_items,
    )
    for call in calls:
        with pytest.raises(SdkError, match="closed"):
            call()
    assert len(platform.requests) == requests


def test_closing_at_the_moment_an_init_succeeds_gives_the_storage_back(phone, monkeypatch):
    starts, may_start, start = threading.Event(), threading.Event(), threading.Thread.start

    def held_up(thread):
        if thread.name == "unbroken-upload":
            starts.set()
            assert may_start.wait(30)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", held_up)
    sdk = Sdk(phone.config(upload_every_s=60))
    initialising = threading.Thread(target=sdk.init)
    initialising.start()
    assert starts.wait(30)
    try:
        sdk.close()
    finally:
        may_start.set()
        initialising.join(5)
    Sdk(phone.config()).close()


def test_init_after_close_is_refused(phone, platform):
    sdk = Sdk(phone.config())
    sdk.close()
    sdk.close()
    with pytest.raises(SdkError, match="closed") as caught:
        sdk.init()
    assert not isinstance(caught.value, InitError)
    assert platform.requests == []


def test_closing_ends_a_wait_for_a_busy_platform(phone, platform):
    waiting = threading.Event()
    handle = platform.handle

    def busy(*request):
        waiting.set()
        return handle(*request)

    platform.handle = busy
    platform.answer_next(503, "UNAVAILABLE", Retry_After="3600")
    called, ended = [], threading.Event()
    sdk = Sdk(phone.config(retry_wait_max_s=7200))
    sdk.init(failure=lambda e: (called.append(e), ended.set()))
    assert waiting.wait(30)
    sdk.close()
    assert ended.wait(30)
    assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]
    assert len(platform.requests) == 1


def test_a_state_file_that_was_closed_is_not_written(tmp_path):
    file = StateFile(Storage(tmp_path))
    file.load()
    file.save(State(app_id="a"))
    file.close()
    with pytest.raises(SdkError, match="closed"):
        file.save(State(app_id="b"))
    with pytest.raises(SdkError, match="closed"):
        file.remove()
    again = StateFile(Storage(tmp_path))
    assert again.load() == State(app_id="a")
    again.close()
