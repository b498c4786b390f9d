"""Resetting: what is uploaded before it, how long it may take, and that the SDK is as new after it."""

from __future__ import annotations

import threading
import time

import httpx
import pytest

from unbroken.sdk import AsyncSdk, InitError, InitIssue, Location, Sdk, Secret
from unbroken.sdk.any_sdk import FAREWELL_MAX_S

HERE = Location(t=1, lat=52.5, lon=13.4)


def test_after_a_reset_a_short_retry_after_is_waited_out_as_before(sdk, platform):
    sdk.reset()
    times = []
    handle = platform.handle

    def timed(*request):
        times.append(time.monotonic())
        return handle(*request)

    platform.handle = timed
    platform.answer_next(503, "UNAVAILABLE", Retry_After="1")
    sdk.init()
    assert times[1] - times[0] >= 0.9


def test_no_request_of_a_reset_may_take_longer_than_what_is_left(open_sdk, phone):
    allowed = []

    def note(request):
        allowed.append((request.url.path, request.extensions["timeout"]["read"]))
        return phone.answer(request)

    with open_sdk(transport=httpx.MockTransport(note), request_timeout_s=30, reset_upload_max_s=2) as sdk:
        sdk.init()
        sdk.capture(HERE)
        assert {seconds for _, seconds in allowed} == {30}
        allowed.clear()
        sdk.reset()
    assert [path for path, _ in allowed] == ["/sdk/payloads", "/sdk/install"]
    assert allowed[0][1] <= 2
    assert allowed[1][1] <= FAREWELL_MAX_S


def test_with_no_time_for_uploading_everything_is_reported_as_lost_and_nothing_is_sent(open_sdk, platform):
    with open_sdk(reset_upload_max_s=0) as sdk:
        sdk.init()
        sdk.capture(HERE)
        result = sdk.reset()
    assert (result.lost_items, result.platform_told) == (1, True)
    assert platform.uploads == []


def test_a_reset_does_not_wait_for_an_upload_that_hangs(phone, platform):
    hangs, go_on, was_hanging = threading.Event(), threading.Event(), []

    def answer(request):
        if request.url.path == "/sdk/payloads":
            hangs.set()
            was_hanging.append(go_on.wait(30))
        return phone.answer(request)

    config = phone.config(transport=httpx.MockTransport(answer), upload_every_s=0.01, reset_upload_max_s=0.2)
    with Sdk(config) as sdk:
        sdk.init()
        first = platform.only_install()
        sdk.capture(HERE)
        assert hangs.wait(30)
        result = sdk.reset()
        assert was_hanging == []
        assert (result.lost_items, result.platform_told, first.state) == (1, True, "deleted")
        sdk.init()
        go_on.set()
        assert sdk.install_id != first.install_id
    with Sdk(config) as sdk:  # the upload that came back late has written nothing
        sdk.init()
        assert sdk.install_id in platform.installs
        assert sdk.install_id != first.install_id
    assert was_hanging == [True]


def test_an_asyncio_reset_does_not_wait_for_a_call_that_hangs(phone):
    import asyncio

    async def scenario():
        hangs, go_on = asyncio.Event(), asyncio.Event()

        async def answer(request):
            if request.url.path == "/sdk/payloads":
                hangs.set()
                await go_on.wait()
            return phone.answer(request)

        config = phone.config(transport=httpx.MockTransport(answer), reset_upload_max_s=0.2)
        async with AsyncSdk(config) as sdk:
            await sdk.init()
            sdk.capture(HERE)
            submitting = asyncio.create_task(sdk.submit_detections())
            await hangs.wait()
            result = await asyncio.wait_for(sdk.reset(), 30)
            go_on.set()
            await asyncio.wait({submitting})
            return result.lost_items, type(submitting.exception()).__name__

    assert asyncio.run(scenario()) == (1, "SubmitError")


def test_a_secret_serves_one_registration_and_a_function_every(open_sdk):
    with open_sdk(secret=Secret("the app's secret")) as sdk:
        sdk.init()
        sdk.reset()
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.INITIALIZATION_ERROR
        assert "wiped" in caught.value.details
    with open_sdk() as sdk:
        sdk.init()
        sdk.reset()
        sdk.init()
        assert sdk.user_exists
