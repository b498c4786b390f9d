"""What the app's own code raises, listeners, headers, a secret's source: it is told, and it stops nothing for good."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading

import pytest

from unbroken.sdk import (
    AsyncSdk,
    CreateUserError,
    CreateUserReason,
    InitError,
    InitIssue,
    InitState,
    Location,
    Sdk,
    SubmitError,
    UserCallReason,
)

HERE = Location(t=1, lat=52.5, lon=13.4)


class Once:
    """Raises at the first call after it was armed, and never again."""

    def __init__(self, error):
        self.error = error
        self.armed = False
        self.raised = threading.Event()

    def __call__(self, *_):
        if self.armed:
            self.armed = False
            self.raised.set()
            raise self.error
        return {}


def listener_raises(sdk, once, platform):
    platform.answer_next(500)  # something waits then, which is news
    sdk.on_status_update(once)


def headers_raise(sdk, once, platform):
    """The SDK was opened with them."""


def disk_is_full(sdk, once, platform):
    close_open = sdk._outbox.close_open
    sdk._outbox.close_open = lambda *arguments: (once(), close_open(*arguments))


BREAKS = pytest.mark.parametrize(
    ("breaks", "error"),
    [
        (listener_raises, RuntimeError("a bug of the app")),
        (headers_raise, KeyError("session")),
        (disk_is_full, sqlite3.OperationalError("database or disk is full")),
    ],
)


def note_uploads(platform, event):
    upload = platform._upload

    def noted(install, body):
        event.set()
        return upload(install, body)

    platform._upload = noted


@BREAKS
def test_the_upload_thread_outlives_whatever_the_app_raises(phone, platform, caplog, breaks, error):
    arrived, once = threading.Event(), Once(error)
    with Sdk(phone.config(upload_every_s=0.01, headers=once if breaks is headers_raise else None)) as sdk:
        sdk.init()
        breaks(sdk, once, platform)
        once.armed = True
        sdk.capture(HERE)
        assert once.raised.wait(30)
        arrived.clear()
        note_uploads(platform, arrived)
        sdk.capture(HERE)
        assert arrived.wait(30)
    assert [record.levelno for record in caplog.records if record.name == "unbroken.sdk"] == [logging.ERROR]
    assert caplog.records[0].exc_info[1] is error


@BREAKS
def test_the_upload_task_outlives_whatever_the_app_raises(phone, platform, breaks, error):
    once = Once(error)

    async def scenario():
        arrived = asyncio.Event()
        async with AsyncSdk(
            phone.config(upload_every_s=0.01, headers=once if breaks is headers_raise else None)
        ) as sdk:
            await sdk.init()
            breaks(sdk, once, platform)
            once.armed = True
            sdk.capture(HERE)
            assert await asyncio.to_thread(once.raised.wait, 5)
            note_uploads(platform, arrived)
            sdk.capture(HERE)
            await asyncio.wait_for(arrived.wait(), 30)
        return True

    assert asyncio.run(scenario())


def test_a_listener_that_raises_keeps_no_other_from_hearing_and_no_init_from_ending(open_sdk, platform):
    heard = []

    def broken(_):
        raise RuntimeError("a bug of the app")

    with open_sdk() as sdk:
        sdk.on_status_update(broken)
        sdk.on_status_update(heard.append)
        sdk.init()
        assert sdk.init_state is InitState.INITIALIZED
        assert heard[-1].init_state is InitState.INITIALIZED
        platform.answer_next(403, "INSTALL_DISABLED")
        sdk.capture(HERE)
        with pytest.raises(SubmitError):
            sdk.submit_detections()


def test_a_listener_that_raises_does_not_hide_why_init_failed(open_sdk, platform):
    def broken(_):
        raise RuntimeError("a bug of the app")

    platform.answer_next(403, "APP_DISABLED")
    with open_sdk() as sdk:
        sdk.on_status_update(broken)
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.REMOTE_DISABLED


def test_a_listener_that_resets_the_sdk_at_its_init_leaves_nothing_that_uploads(phone):
    with Sdk(phone.config(upload_every_s=0.01)) as sdk:

        def reset_once(status):
            if status.init_state is InitState.INITIALIZED:
                sdk.reset()

        sdk.on_status_update(reset_once)
        sdk.init()
        assert not sdk.user_exists
        assert "unbroken-upload" not in {thread.name for thread in threading.enumerate()}


def empty_secret():
    return ""


def broken_secret():
    raise LookupError("no secret today")


@pytest.mark.parametrize("secret", [empty_secret, broken_secret])
def test_init_that_fails_for_a_reason_of_the_apps_own_is_an_init_error(open_sdk, secret):
    with open_sdk(secret=secret) as sdk:
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.INITIALIZATION_ERROR
        assert sdk.init_state is InitState.NOT_INITIALIZED


@pytest.mark.parametrize("secret", [empty_secret, broken_secret])
def test_init_with_callbacks_calls_one_of_them_once_whatever_it_met(phone, secret):
    called, ended = [], threading.Event()
    with Sdk(phone.config(secret=secret)) as sdk:
        sdk.init(success=lambda: called.append("success"), failure=lambda e: (called.append(e), ended.set()))
        assert ended.wait(30)
    assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [SystemExit(1), asyncio.CancelledError()])
def test_init_with_callbacks_calls_one_of_them_where_the_app_ends_the_thread(phone, error):
    def ends_it():
        raise error

    called, ended = [], threading.Event()
    with Sdk(phone.config(secret=ends_it)) as sdk:
        sdk.init(success=lambda: called.append("success"), failure=lambda e: (called.append(e), ended.set()))
        assert ended.wait(30)
        for thread in threading.enumerate():
            if thread.name == "unbroken-init":
                thread.join(5)
        assert sdk.init_state is InitState.NOT_INITIALIZED
    assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]


def test_init_with_callbacks_for_which_there_is_no_thread_calls_failure_and_may_be_tried_again(phone, monkeypatch):
    called = []

    def start(_):
        raise RuntimeError("can't start new thread")

    with Sdk(phone.config(link=None)) as sdk:
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", start)
            sdk.init(success=lambda: called.append("success"), failure=called.append)
        assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]
        sdk.init()
        assert sdk.init_state is InitState.INITIALIZED


@pytest.mark.parametrize("secret", [empty_secret, broken_secret])
def test_init_with_callbacks_on_asyncio_calls_one_of_them_once_whatever_it_met(phone, secret):
    async def scenario():
        called, ended = [], asyncio.Event()
        async with AsyncSdk(phone.config(secret=secret)) as sdk:
            await sdk.init(success=lambda: called.append("success"), failure=lambda e: (called.append(e), ended.set()))
            await asyncio.wait_for(ended.wait(), 30)
        return called

    assert [error.issue for error in asyncio.run(scenario())] == [InitIssue.INITIALIZATION_ERROR]


def test_init_on_a_loop_that_ends_still_calls_a_callback(phone):
    called = []

    async def scenario():
        asked = asyncio.Event()

        async def never(_):
            asked.set()
            await asyncio.Event().wait()

        sdk = AsyncSdk(phone.config(link=never))
        await sdk.init(failure=called.append)
        await asyncio.wait_for(asked.wait(), 30)
        return sdk

    sdk = asyncio.run(scenario())
    asyncio.run(sdk.close())
    assert [error.issue for error in called] == [InitIssue.INITIALIZATION_ERROR]


def test_create_user_fails_as_create_user_whatever_it_met(open_sdk, phone, platform):
    def broken(*_):
        raise RuntimeError("the TLS library says no")

    with open_sdk() as sdk:
        platform.handle = broken
        with pytest.raises(CreateUserError) as caught:
            sdk.create_user("unb_code_1")
        assert caught.value.reason is CreateUserReason.UNEXPECTED_ERROR
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert sdk.init_state is InitState.NOT_INITIALIZED


def test_a_call_fails_as_itself_whatever_it_met(sdk, platform):
    def broken(*_):
        raise RuntimeError("the TLS library says no")

    sdk.capture(HERE)
    platform.handle = broken
    with pytest.raises(SubmitError) as caught:
        sdk.submit_detections()
    assert caught.value.reason is UserCallReason.UNEXPECTED_ERROR
    assert sdk.status.waiting_items == 1
