"""The table of sdk.md, row by row, through the blocking shell and an HTTP transport in memory."""

from __future__ import annotations

import shutil
import threading

import pytest

from unbroken.sdk import NO_OP, CaptureOutcome, InitError, InitIssue, InitState, Location, Sdk, SdkError
from unbroken.sdk.faults import INIT_ISSUES, FaultKind
from unbroken.sdk.init_state import TRANSITIONS, InitEvent


def failed(sdk: Sdk) -> InitError:
    with pytest.raises(InitError) as caught:
        sdk.init()
    assert sdk.init_state is InitState.NOT_INITIALIZED
    return caught.value


def test_a_first_init_registers_links_and_is_confirmed(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        install = platform.only_install()
        assert sdk.init_state is InitState.INITIALIZED
        assert (sdk.install_id, sdk.user_id, sdk.is_user_linked) == (install.install_id, install.user_id, True)
        assert platform.paths() == ["POST /sdk/installs", "GET /sdk/install", "GET /sdk/install"]


def test_row_1_a_state_made_with_another_app_id_is_refused(phone):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    with Sdk(phone.config(app_id="b" * 24)) as sdk:
        assert failed(sdk).issue is InitIssue.CHANGED_CREDENTIALS


def test_row_2_init_during_a_reset_is_refused(phone):
    with Sdk(phone.config()) as sdk:
        sdk._initialisation.begin_reset()
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.SDK_RESET_IN_PROGRESS
        assert sdk.init_state is InitState.RESETTING


def test_row_3_a_wrong_secret_is_invalid_credentials_with_the_ref(phone):
    with Sdk(phone.config(secret=lambda: "wrong")) as sdk:
        error = failed(sdk)
    assert error.issue is InitIssue.INVALID_CREDENTIALS
    assert error.ref == "ref-2"


def test_row_3_without_secret_or_code_there_is_no_user_to_make(phone):
    with Sdk(phone.config(secret=None)) as sdk:
        assert failed(sdk).issue is InitIssue.INVALID_CREDENTIALS


def test_row_3_an_unreachable_platform_at_first_init_fails_and_can_be_repeated(phone, platform):
    with Sdk(phone.config()) as sdk:
        phone.offline = True
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE
        phone.offline = False
        sdk.init()
    assert len(platform.installs) == 1


def test_row_3_a_registration_whose_reply_was_lost_is_the_same_registration(phone, platform):
    def lose_once(method, path, headers, body, handle=platform.handle):
        handle(method, path, headers, body)
        platform.handle = handle
        raise AssertionError

    def answer(request):
        import httpx

        try:
            return phone.answer(request)
        except AssertionError:
            raise httpx.ReadError("lost") from None

    import httpx

    platform.handle = lose_once
    with Sdk(phone.config(transport=httpx.MockTransport(answer))) as sdk:
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE
        sdk.init()
        assert sdk.install_id == platform.only_install().install_id


def test_row_4_a_linked_install_starts_offline(phone):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    phone.offline = True
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert sdk.is_user_linked


def test_row_4_an_unlinked_install_does_not_start_offline(phone):
    with Sdk(phone.config(link=None)) as sdk:
        sdk.init()
    phone.offline = True
    with Sdk(phone.config(link=None)) as sdk:
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE


@pytest.mark.parametrize("status", [500, 503])
def test_row_4_a_failing_platform_counts_as_unreachable(phone, platform, status):
    with Sdk(phone.config(link=None)) as sdk:
        sdk.init()
    platform.answer_next(status)
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE


def test_row_4_a_deleted_install_is_wiped_and_registered_once_more(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        first = sdk.install_id
    platform.only_install().state = "deleted"
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert sdk.install_id != first
        assert platform.installs[sdk.install_id].restored_from is None
        assert sdk.is_user_linked


def test_row_4_a_copied_install_registers_anew_and_names_its_origin(phone, platform, tmp_path):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        original = sdk.install_id
        assert sdk.capture(Location(t=1, lat=0, lon=0)) is CaptureOutcome.CAPTURED
    copy = tmp_path / "copy"
    shutil.copytree(phone.path, copy)
    platform.only_install().token = "expired"
    with Sdk(phone.config()) as sdk:
        sdk.init()  # the original renews, and spends the credential
    platform.only_install().token = "expired again"
    phone.path = copy
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert sdk.install_id != original
        assert platform.installs[sdk.install_id].restored_from == original
        assert [(d.items, d.reason) for d in sdk.dropped()] == [
            (1, "captured by an install that was deleted or copied")
        ]


def test_an_install_that_is_lost_twice_is_an_initialization_error(phone, platform):
    platform.linking = "off"
    register = platform._register

    def register_deleted(headers, body):
        status, reply = register(headers, body)
        for install in platform.installs.values():
            install.state = "deleted"
        return status, {**reply, "state": "active"}

    platform._register = register_deleted
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.INITIALIZATION_ERROR
    assert len(platform.installs) == 2


def test_row_5_a_disabled_install_fails_and_nothing_is_wiped(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        install_id = sdk.install_id
    platform.only_install().state = "disabled"
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.REMOTE_DISABLED
        assert sdk.install_id == install_id
        platform.only_install().state = "active"
        sdk.init()
        assert sdk.install_id == install_id


@pytest.mark.parametrize("code", ["APP_DISABLED", "INSTALL_DISABLED", "USER_DISABLED"])
def test_row_5_holds_at_registration(phone, platform, code):
    platform.answer_next(403, code)
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.REMOTE_DISABLED


def test_row_6_with_linking_off_the_linker_is_not_called(phone, platform):
    platform.linking = "off"
    asked = []
    with Sdk(phone.config(link=asked.append)) as sdk:
        sdk.init()
        assert not sdk.is_user_linked
    assert asked == []


def test_row_7_the_linker_of_a_linked_user_is_not_called(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    asked = []
    with Sdk(phone.config(link=asked.append)) as sdk:
        sdk.init()
        assert sdk.is_user_linked
    assert asked == []


def test_row_7_believes_the_server_and_not_the_state_on_disk(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    platform.only_install().linked = False
    with Sdk(phone.config()) as sdk:
        sdk.init()
    assert platform.only_install().linked


@pytest.mark.parametrize("linker", [None, NO_OP])
def test_row_8_without_a_linker_the_app_decides(phone, platform, linker):
    with Sdk(phone.config(link=linker)) as sdk:
        platform.linking = "required"
        assert failed(sdk).issue is InitIssue.LINK_FAILED
        platform.linking = "on"
        sdk.init()
        assert not sdk.is_user_linked


def test_row_9_a_failed_linker_is_called_again_with_the_same_install_id(phone, platform):
    asked = []

    def link(install_id):
        asked.append(install_id)
        return len(asked) > 1 and platform.link(install_id)

    with Sdk(phone.config(link=link)) as sdk:
        error = failed(sdk)
        assert error.issue is InitIssue.LINK_FAILED
        assert "returned False" in error.details
        sdk.init()
        assert sdk.is_user_linked
    assert asked == [platform.only_install().install_id] * 2


def test_row_10_a_linker_that_lies_is_caught(phone):
    with Sdk(phone.config(link=lambda _: True)) as sdk:
        error = failed(sdk)
    assert error.issue is InitIssue.LINK_FAILED
    assert "the platform says it has not" in error.details


def test_row_10_a_platform_that_vanished_meanwhile_is_unreachable(phone):
    def link(_):
        phone.offline = True
        return True

    with Sdk(phone.config(link=link)) as sdk:
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE


def test_row_10_an_install_disabled_meanwhile_is_remote_disabled(phone, platform):
    def link(install_id):
        platform.link(install_id)
        platform.only_install().state = "disabled"
        return True

    with Sdk(phone.config(link=link)) as sdk:
        assert failed(sdk).issue is InitIssue.REMOTE_DISABLED


@pytest.mark.parametrize("state", ["standby", "superseded"])
def test_row_12_a_linked_install_that_is_not_active_succeeds_with_detections_blocked(phone, platform, state):
    def link(install_id):
        platform.link(install_id)
        platform.only_install().state, platform.only_install().state_reason = state, "a phone is active"
        return True

    with Sdk(phone.config(link=link)) as sdk:
        sdk.init()
        assert (sdk.status.install_state, sdk.status.state_reason) == (state, "a phone is active")
        assert not sdk.status.can_detect
        assert sdk.capture(Location(t=1, lat=0, lon=0)) is CaptureOutcome.DETECTIONS_BLOCKED


def test_any_other_fault_is_an_initialization_error_with_the_exception(phone):
    def broken():
        raise LookupError("no secret today")

    with Sdk(phone.config(secret=broken)) as sdk:
        error = failed(sdk)
    assert error.issue is InitIssue.INITIALIZATION_ERROR
    assert isinstance(error.__cause__, LookupError)


def test_a_reply_that_is_not_of_the_contract_is_an_initialization_error(phone, platform):
    platform.handle = lambda *_: (201, b"<html>", {})
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.INITIALIZATION_ERROR


def test_an_expired_token_is_renewed_under_way(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    platform.only_install().token = "another"
    with Sdk(phone.config()) as sdk:
        sdk.init()
    assert platform.paths()[-3:] == ["GET /sdk/install", "POST /sdk/tokens", "GET /sdk/install"]


def test_a_short_retry_after_is_waited_out(phone, platform):
    phone.clock = None
    platform.answer_next(503, "UNAVAILABLE", Retry_After="1")
    with Sdk(phone.config(clock=_Leaping())) as sdk:
        sdk.init()
        assert sdk.is_user_linked


def test_a_long_retry_after_is_not_waited_for(phone, platform):
    platform.answer_next(503, "UNAVAILABLE", Retry_After="3600")
    with Sdk(phone.config()) as sdk:
        assert failed(sdk).issue is InitIssue.SERVICE_UNREACHABLE


class _Leaping:
    """A clock on which every pause is over at once."""

    now = 1_790_000_000_000

    def now_ms(self):
        self.now += 10_000
        return self.now


def test_init_while_initialised_is_an_error(phone):
    with Sdk(phone.config()) as sdk:
        sdk.init()
        with pytest.raises(SdkError, match="INITIALIZED"):
            sdk.init()


def test_init_with_callbacks_calls_exactly_one_once(phone, platform):
    called, ended = [], threading.Event()

    def note(*arguments):
        called.append(arguments)
        ended.set()

    platform.answer_next(403, "APP_DISABLED")
    with Sdk(phone.config()) as sdk:
        sdk.init(success=lambda: note("success"), failure=note)
        assert ended.wait(10)
        ended.clear()
        assert [arguments[0].issue for arguments in called] == [InitIssue.REMOTE_DISABLED]
        sdk.init(success=lambda: note("success"), failure=note)
        assert ended.wait(10)
        assert called[1:] == [("success",)]


def test_a_failed_init_starts_no_thread(phone, platform):
    before = set(threading.enumerate())
    platform.answer_next(403, "APP_DISABLED")
    with Sdk(phone.config(upload_every_s=1.0)) as sdk:
        failed(sdk)
        assert set(threading.enumerate()) == before
        sdk.init()
        assert {t.name for t in set(threading.enumerate()) - before} >= {"unbroken-upload"}
    assert "unbroken-upload" not in {t.name for t in threading.enumerate()}


def test_the_secret_is_asked_for_at_registration_only_and_never_stored(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    with Sdk(phone.config()) as sdk:
        sdk.init()
    assert phone.secrets_asked == 1
    for file in phone.path.iterdir():
        assert b"the app's secret" not in file.read_bytes()


def test_every_fault_has_an_issue_and_every_issue_can_happen():
    assert set(INIT_ISSUES) == set(FaultKind)
    assert set(INIT_ISSUES.values()) == set(InitIssue) - {InitIssue.SDK_RESET_IN_PROGRESS}


def test_every_move_between_init_states_is_used():
    assert {event for _, event in TRANSITIONS} == set(InitEvent)
    assert {state for state, _ in TRANSITIONS} == set(InitState) == set(TRANSITIONS.values())
