"""An install that was told to stop asks again, so that it goes on without the app being restarted."""

from __future__ import annotations

import threading

import pytest

from unbroken.sdk import CaptureOutcome, Location, Sdk

HERE = Location(t=1, lat=52.5, lon=13.4)
_MINUTE_MS = 60_000


def blocked(sdk, platform, state):
    platform.only_install().state = state
    sdk.capture(HERE)
    sdk.submit_detections()
    assert sdk.capture(HERE) is CaptureOutcome.DETECTIONS_BLOCKED


@pytest.mark.parametrize("state", ["standby", "superseded", "disabled"])
def test_submitting_asks_for_the_state_where_nothing_waits(sdk, platform, state):
    blocked(sdk, platform, state)
    platform.only_install().state = "active"
    assert sdk.submit_detections().items == 0
    assert sdk.status.can_detect
    assert sdk.capture(HERE) is CaptureOutcome.CAPTURED


def test_an_active_install_does_not_ask(sdk, platform):
    before = len(platform.requests)
    sdk.submit_detections()
    assert len(platform.requests) == before


def test_a_deleted_install_does_not_ask_for_what_cannot_change(sdk, platform):
    sdk.capture(HERE)
    platform.answer_next(410, "INSTALL_DELETED")
    sdk.submit_detections()
    before = len(platform.requests)
    sdk.submit_detections()
    assert len(platform.requests) == before


def test_asking_in_vain_is_no_failed_upload(sdk, phone, platform):
    blocked(sdk, platform, "standby")
    phone.offline = True
    assert sdk.submit_detections().items == 0


def test_in_the_background_it_asks_every_few_minutes(phone, platform):
    goes_on, asked = threading.Event(), threading.Event()
    with Sdk(phone.config(upload_every_s=0.01)) as sdk:
        sdk.init()
        sdk.on_status_update(lambda status: goes_on.set() if status.can_detect else goes_on.clear())
        handle = platform.handle

        def note(method, path, *rest):
            answer = handle(method, path, *rest)
            if path == "/sdk/install":
                asked.set()
            return answer

        platform.handle = note
        blocked(sdk, platform, "standby")
        assert asked.wait(30)
        platform.only_install().state = "active"
        before = len(platform.requests)
        goes_on.clear()
        phone.clock.advance_to(phone.clock.now_ms() + 5 * _MINUTE_MS)
        assert goes_on.wait(30)
        assert len(platform.requests) == before + 1
        assert sdk.capture(HERE) is CaptureOutcome.CAPTURED
