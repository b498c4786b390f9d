"""The public calls, once on each shell: `Sdk` and `AsyncSdk` answer the same."""

from __future__ import annotations

import asyncio
import inspect
import threading

import httpx
import pytest

from unbroken.sdk import (
    AsyncSdk,
    CaptureOutcome,
    CreateUserError,
    CreateUserReason,
    DetectionStatus,
    EnableDetectionsError,
    EnableDetectionsReason,
    InitError,
    InitIssue,
    InitState,
    InvalidConfig,
    LinkUserError,
    LinkUserReason,
    Location,
    MetadataError,
    ResetError,
    ResetReason,
    Sdk,
    SdkError,
    Secret,
    Storage,
    UserCallReason,
)

HERE = Location(t=1, lat=52.5, lon=13.4)


def test_both_shells_have_the_same_public_calls():
    def public(shell):
        return {name for name in dir(shell) if not name.startswith("_")}

    assert public(Sdk) == public(AsyncSdk)
    for name in public(Sdk):
        if callable(getattr(Sdk, name)):
            assert inspect.signature(getattr(Sdk, name)) == inspect.signature(getattr(AsyncSdk, name)), name


def test_init_captures_uploads_and_closes(sdk, platform):
    assert sdk.init_state is InitState.INITIALIZED
    assert sdk.capture(HERE) is CaptureOutcome.CAPTURED
    assert sdk.submit_detections().items == 1
    assert len(platform.payloads) == 1


def test_a_failed_init_raises_its_issue(open_sdk, platform):
    with open_sdk(link=lambda _: False) as sdk:
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.LINK_FAILED
        assert sdk.init_state is InitState.NOT_INITIALIZED


def test_what_needs_init_says_so_and_what_does_not_works(open_sdk):
    with open_sdk() as sdk:
        assert not sdk.user_exists
        assert not sdk.is_user_linked
        assert sdk.user_id is None
        for call in (
            lambda: sdk.capture(HERE),
            sdk.submit_detections,
            sdk.request_user_access_token,
            lambda: sdk.link_user("code"),
            lambda: sdk.add_user_metadata_fields({"a": "b"}),
            sdk.enable_detections,
            sdk.disable_detections,
        ):
            with pytest.raises(SdkError, match="needs init"):
                call()


def test_a_user_is_created_and_linked_by_an_authentication_code(open_sdk, platform):
    platform.codes.add("unb_code_1")
    with open_sdk(secret=None, link=None) as sdk:
        sdk.create_user("unb_code_1")
        assert sdk.init_state is InitState.INITIALIZED
        assert sdk.is_user_linked
        with pytest.raises(CreateUserError) as caught:
            sdk.create_user("unb_code_1")
        assert caught.value.reason is CreateUserReason.USER_ALREADY_EXISTS


def test_a_refused_code_creates_nothing_and_leaves_the_sdk_usable(open_sdk, platform):
    with open_sdk(secret=None, link=None) as sdk:
        with pytest.raises(CreateUserError) as caught:
            sdk.create_user("unb_code_unknown")
        assert caught.value.reason is CreateUserReason.SERVER_ERROR
        assert "AUTH_CODE_UNKNOWN" in caught.value.details
        assert sdk.init_state is InitState.NOT_INITIALIZED
        assert not sdk.user_exists


def test_the_code_of_another_account_never_gets_the_first_ones_answer(open_sdk, platform, phone):
    platform.codes |= {"unb_code_anna", "unb_code_berta"}
    keys = []
    platform._register, register = (
        lambda h, b: (keys.append(h["idempotency-key"]), register(h, b))[1],
        platform._register,
    )
    with open_sdk(secret=None, link=None) as sdk:
        for code, answered in (("unb_code_anna", False), ("unb_code_anna", False), ("unb_code_berta", True)):
            if not answered:
                handle, platform.handle = platform.handle, _handled_then(platform, 500)
            if answered:
                sdk.create_user(code)
            else:
                with pytest.raises(CreateUserError):
                    sdk.create_user(code)
                platform.handle = handle
    assert keys[0] == keys[1] != keys[2]


def _handled_then(platform, status):
    handle = platform.handle

    def lost(*request):
        handle(*request)
        return status, b"{}", {}

    return lost


def test_a_user_is_linked_later_by_a_linker_or_a_code(open_sdk, platform):
    for by in (platform.link, "unb_code_2"):
        platform.codes = {"unb_code_2"}
        with open_sdk(link=None) as sdk:
            sdk.init()
            assert not sdk.is_user_linked
            sdk.link_user(by)
            assert sdk.is_user_linked
            with pytest.raises(LinkUserError) as caught:
                sdk.link_user(by)
            assert caught.value.reason is LinkUserReason.USER_ALREADY_LINKED
            sdk.reset()


@pytest.mark.parametrize(
    ("by", "reason"),
    [
        (lambda _: False, LinkUserReason.APP_SIDE_LINKING_FAILED),
        (lambda _: True, LinkUserReason.APP_SIDE_LINKING_FAILED),
        ("unb_code_unknown", LinkUserReason.SERVER_ERROR),
    ],
)
def test_a_link_that_fails_later_says_why(open_sdk, by, reason):
    with open_sdk(link=None) as sdk:
        sdk.init()
        with pytest.raises(LinkUserError) as caught:
            sdk.link_user(by)
        assert caught.value.reason is reason


def test_a_linker_may_call_the_sdk_while_it_is_asked(phone, platform):
    with Sdk(phone.config(link=None, link_timeout_s=30)) as sdk:
        sdk.init()

        def link(install_id):
            assert sdk.request_user_access_token().token
            return platform.link(install_id)

        sdk.link_user(link)
        assert sdk.is_user_linked


def test_metadata_is_merged(sdk, platform):
    sdk.add_user_metadata_fields({"plan": "pro"})
    assert platform.only_install().metadata == {"plan": "pro"}


def test_metadata_that_cannot_be_sent_says_so(sdk, phone):
    phone.offline = True
    with pytest.raises(MetadataError) as caught:
        sdk.add_user_metadata_fields({"plan": "pro"})
    assert caught.value.reason is UserCallReason.NETWORK_ERROR


def test_detections_are_a_persistent_switch_with_an_end(open_sdk, phone):
    with open_sdk() as sdk:
        sdk.init()
        sdk.disable_detections()
        assert sdk.capture(HERE) is CaptureOutcome.DETECTIONS_DISABLED
    with open_sdk() as sdk:
        sdk.init()
        assert sdk.detection_status is DetectionStatus.DISABLED
        now_ms = phone.clock.now_ms()
        assert sdk.enable_detections(now_ms + 10) is DetectionStatus.ENABLED_AND_DETECTING
        phone.clock.advance_to(now_ms + 10)
        assert sdk.detection_status is DetectionStatus.EXPIRED
        assert sdk.capture(HERE) is CaptureOutcome.DETECTIONS_EXPIRED
        with pytest.raises(EnableDetectionsError) as caught:
            sdk.enable_detections(now_ms)
        assert caught.value.reason is EnableDetectionsReason.PAST_EXPIRY_DATE


def test_a_reset_uploads_forgets_and_tells_the_platform(sdk, phone, platform):
    sdk.capture(HERE)
    first = sdk.install_id
    result = sdk.reset()
    assert (result.lost_items, result.platform_told) == (0, True)
    assert len(platform.payloads) == 1
    assert platform.installs[first].state == "deleted"
    assert (sdk.user_exists, sdk.init_state) == (False, InitState.NOT_INITIALIZED)
    sdk.init()
    assert sdk.install_id != first


def test_an_offline_reset_reports_what_is_lost_and_tells_the_platform_later(sdk, phone, platform):
    sdk.capture(HERE)
    first = sdk.install_id
    phone.offline = True
    result = sdk.reset()
    assert (result.lost_items, result.platform_told) == (1, False)
    assert [d.reason for d in sdk.dropped()] == ["the SDK was reset"]
    assert not sdk.user_exists
    phone.offline = False
    sdk.init()
    assert platform.installs[first].state == "deleted"


def test_a_reset_after_a_lost_renewal_still_reaches_the_platform(sdk, platform):
    install = platform.only_install()
    install.token = "expired"
    handle, platform.handle = platform.handle, _lose_renewals(platform)
    with pytest.raises(MetadataError):
        sdk.add_user_metadata_fields({"a": "b"})
    platform.handle = handle
    assert sdk.reset().platform_told
    assert install.state == "deleted"


def _lose_renewals(platform):
    handle = platform.handle

    def lost(method, path, headers, body):
        answer = handle(method, path, headers, body)
        return (500, b"{}", {}) if path == "/sdk/tokens" else answer

    return lost


def test_a_reset_works_before_init_and_not_during_it(open_sdk):
    with open_sdk() as sdk:
        assert sdk.reset().platform_told
        sdk._initialisation.begin_init()
        with pytest.raises(ResetError) as caught:
            sdk.reset()
        assert caught.value.reason is ResetReason.SDK_INIT_IN_PROGRESS


def test_listeners_hear_each_change_once_and_survive_a_reset(sdk):
    heard = []
    sdk.on_status_update(heard.append)
    sdk.disable_detections()
    sdk.disable_detections()
    assert [status.detection_status for status in heard] == [DetectionStatus.DISABLED]
    sdk.reset()
    sdk.init()
    assert heard[-1].init_state is InitState.INITIALIZED


def test_further_headers_are_asked_anew_for_every_request(open_sdk, platform):
    times = iter(range(100))
    with open_sdk(headers=lambda: {"Lab-Time": str(next(times))}) as sdk:
        sdk.init()
    assert [headers["lab-time"] for _, _, headers in platform.requests] == ["0", "1", "2"]


def test_a_fixed_secret_is_wiped_after_the_registration(open_sdk):
    secret = Secret("the app's secret")
    with open_sdk(secret=secret) as sdk:
        sdk.init()
    assert not secret


def test_a_secret_may_come_from_a_coroutine_function(open_sdk):
    async def fetch():
        return "the app's secret"

    with open_sdk(secret=fetch) as sdk:
        sdk.init()
        assert sdk.user_exists


def test_what_waits_is_uploaded_in_the_background(phone, platform):
    arrived = threading.Event()
    upload = platform._upload

    def note(install, body):
        arrived.set()
        return upload(install, body)

    platform._upload = note
    with Sdk(phone.config(upload_every_s=0.01)) as sdk:
        sdk.init()
        sdk.capture(HERE)
        assert arrived.wait(10)


def test_what_waits_is_uploaded_in_the_background_on_asyncio(phone, platform):
    async def scenario():
        arrived = asyncio.Event()
        upload = platform._upload

        def note(install, body):
            arrived.set()
            return upload(install, body)

        platform._upload = note
        async with AsyncSdk(phone.config(upload_every_s=0.01)) as sdk:
            await sdk.init()
            sdk.capture(HERE)
            await asyncio.wait_for(arrived.wait(), 10)
        return True

    assert asyncio.run(scenario())


def test_asyncio_callbacks_are_called_once(phone):
    async def scenario():
        called, ended = [], asyncio.Event()
        async with AsyncSdk(phone.config()) as sdk:
            await sdk.init(success=lambda: (called.append("success"), ended.set()), failure=called.append)
            await asyncio.wait_for(ended.wait(), 10)
        return called

    assert asyncio.run(scenario()) == ["success"]


def test_a_transport_of_the_wrong_kind_is_named(phone):
    class Blocking(httpx.BaseTransport):
        def handle_request(self, request):
            raise AssertionError

    async def scenario():
        async with AsyncSdk(phone.config(transport=Blocking())) as sdk:
            await sdk.init()

    with pytest.raises(InvalidConfig, match="async httpx transport"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://platform.example"},
        {"base_url": "ftp://platform.example"},
        {"base_url": "https://user@platform.example"},
        {"base_url": "https://:password@platform.example"},
        {"base_url": "https://platform.example?app=1"},
        {"secret": "in the source"},
        {"base_url": "https://platform.example\n"},
        {"base_url": "https://platform.example:99999"},
        {"link_timeout_s": 0},
        {"upload_every_s": 0},
        {"upload_every_s": -1},
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(phone, settings):
    with pytest.raises(InvalidConfig):
        phone.config(**settings)


def test_the_config_shows_no_secret(phone):
    assert "secret" not in repr(phone.config(secret=lambda: "the app's secret"))


def test_storage_takes_a_plain_path(tmp_path):
    assert Storage(str(tmp_path)).directory == tmp_path
