"""User tokens: cached, renewed after two and a half days of the device's own clock, whatever that clock says."""

from __future__ import annotations

import threading

import pytest

from unbroken.sdk import Sdk, TokenError, UserCallReason
from unbroken.wire import iso

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


def later(phone, by_ms):
    phone.clock.advance_to(phone.clock.now_ms() + by_ms)


def renewals(platform):
    return platform.paths().count("POST /sdk/tokens")


def test_a_token_is_cached_and_renewed_half_a_day_before_its_end(sdk, phone, platform):
    first = sdk.request_user_access_token()
    later(phone, 59 * _HOUR_MS)
    assert sdk.request_user_access_token().token == first.token
    assert renewals(platform) == 0
    later(phone, _HOUR_MS)
    assert sdk.request_user_access_token().token != first.token
    assert renewals(platform) == 1


def test_its_end_is_told_by_the_platforms_clock(sdk, phone, platform):
    platform.token_expires_at = iso(1_790_000_000_000)
    later(phone, 3 * _DAY_MS)
    token = sdk.request_user_access_token()
    assert token.expires_at_ms == 1_790_000_000_000
    assert not token.is_expired(1_789_999_999_999)
    assert token.is_expired(1_790_000_000_000)


@pytest.mark.parametrize("error_days", [-4, 4])
def test_a_clock_that_is_days_wrong_renews_as_often_as_a_right_one(open_sdk, phone, platform, error_days):
    platform.token_expires_at = iso(phone.clock.now_ms() + 3 * _DAY_MS - error_days * _DAY_MS)
    with open_sdk() as sdk:
        sdk.init()
        for _ in range(3):
            sdk.request_user_access_token()
        assert renewals(platform) == 0
        later(phone, 60 * _HOUR_MS)
        for _ in range(3):
            sdk.request_user_access_token()
        assert renewals(platform) == 1


class TurnedBack:
    """A clock that can be set to any time."""

    def __init__(self, now_ms):
        self.now = now_ms

    def now_ms(self):
        return self.now


def test_after_a_clock_was_turned_back_the_age_is_unknown_and_the_token_renewed(open_sdk, platform):
    clock = TurnedBack(1_790_000_000_000)
    with open_sdk(clock=clock) as sdk:
        sdk.init()
        clock.now -= 10 * _DAY_MS
        sdk.request_user_access_token()
        sdk.request_user_access_token()
    assert renewals(platform) == 1


def test_offline_the_cached_token_serves_as_long_as_it_is_valid(open_sdk, phone, platform):
    with open_sdk() as sdk:
        sdk.init()
        phone.offline = True
        later(phone, 61 * _HOUR_MS)
        assert sdk.request_user_access_token().token
        later(phone, 11 * _HOUR_MS)
        with pytest.raises(TokenError) as caught:
            sdk.request_user_access_token()
        assert caught.value.reason is UserCallReason.NETWORK_ERROR


def test_many_askers_make_one_renewal(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        later(phone, 60 * _HOUR_MS)
        threads = [threading.Thread(target=sdk.request_user_access_token) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert renewals(platform) == 1
