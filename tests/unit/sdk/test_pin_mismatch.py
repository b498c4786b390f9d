"""The SDK over TLS with pins: it says nothing to whoever has none of the keys, keeps what waits, and tells the app."""

from __future__ import annotations

import errno
import ssl
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from tests.unit.sdk.tls_peers import HOST, Authorities, peer

from unbroken.sdk import (
    CaptureOutcome,
    InitError,
    InitIssue,
    InvalidConfig,
    KeySeal,
    Location,
    Pins,
    PinUpdateRefused,
    Sdk,
    SealLevel,
    SubmitError,
    TokenError,
    UserCallReason,
)
from unbroken.sdk.pin_updates import PinUpdate, sign_update, update_key_of
from unbroken.sdk.pin_watch import TRIED_EVERY_MS, TRIES_MAX
from unbroken.sdk.state import StateFile

HERE = Location(t=1_790_000_000_000, lat=50.85, lon=4.35)


@pytest.fixture(scope="module")
def authorities():
    return Authorities()


class Front:
    """One address of the platform, at which one server after the other stands."""

    def __init__(self, platform, authorities, directory, open_sdk):
        self.platform = platform
        self.authorities = authorities
        self.directory = directory
        self._open_sdk = open_sdk

    def peer(self, name, port=0):
        def answer(method, path, headers, body):
            return self.platform.handle(method, path, headers, body)

        return peer(self.directory, getattr(self.authorities, name), answer=answer, port=port)

    def sdk(self, server, **settings):
        defaults = {"pins": self.authorities.pins, "base_url": server.url, "ssl_context": self.authorities.context()}
        return self._open_sdk(transport=None, **{**defaults, **settings})


@pytest.fixture
def front(platform, authorities, tmp_path, open_sdk):
    return Front(platform, authorities, tmp_path / "tls", open_sdk)


@pytest.mark.parametrize("name", ["genuine", "backup"])
def test_with_a_pinned_key_everything_goes_as_ever(front, platform, name):
    with front.peer(name) as server, front.sdk(server) as sdk:
        sdk.init()
        assert sdk.capture(HERE) is CaptureOutcome.CAPTURED
        assert sdk.submit_detections().items == 1
        assert (sdk.status.pin_mismatch, sdk.status.pin_misses) == (False, 0)
    assert platform.only_install().linked


def test_a_first_init_at_the_wrong_peer_fails_by_name_and_tells_it_nothing(front, platform, phone):
    with front.peer("misissued") as server, front.sdk(server) as sdk:
        with pytest.raises(InitError, match="pin_mismatch") as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.SERVICE_UNREACHABLE
        assert (sdk.status.pin_mismatch, sdk.status.pin_misses) == (True, 1)
    assert (server.connections, server.application_bytes) == (1, 0)
    assert platform.requests == []


def test_pins_do_not_replace_the_check_of_the_chain(front):
    with front.peer("genuine") as server, front.sdk(server, ssl_context=None) as sdk:
        with pytest.raises(InitError, match="CERTIFICATE_VERIFY_FAILED"):
            sdk.init()
        assert not sdk.status.pin_mismatch
    assert server.application_bytes == 0


def test_pins_need_nothing_but_the_standard_library(front, authorities, monkeypatch):
    with front.peer("genuine") as server:  # which needs them
        for extra in ("cryptography", "keyring"):
            monkeypatch.setitem(sys.modules, extra, None)
        with front.sdk(server) as sdk:
            sdk.init()
            assert sdk.status.seal is SealLevel.SOFTWARE
    with pytest.raises(InvalidConfig, match="sdk-sealed"):
        Pins(authorities.pins, update_key="ed25519/" + authorities.pins[0].removeprefix("sha256/"))
    with pytest.raises(InvalidConfig, match="sdk-sealed"):
        KeySeal(bytes(32))


def test_what_waits_stays_and_goes_up_when_the_platform_is_back(front, platform):
    with front.peer("genuine") as server, front.sdk(server) as sdk:
        sdk.init()
    platform.requests.clear()
    with front.peer("misissued") as wrong, front.sdk(wrong) as sdk:
        sdk.init()  # it was linked before: offline, as where nobody answers
        assert sdk.capture(HERE) is CaptureOutcome.CAPTURED
        with pytest.raises(SubmitError, match="pin_mismatch") as caught:
            sdk.submit_detections()
        assert caught.value.reason is UserCallReason.NETWORK_ERROR
        assert (sdk.status.pin_mismatch, sdk.status.pin_misses, sdk.status.waiting_items) == (True, 2, 1)
    assert wrong.application_bytes == 0
    assert platform.requests == []
    with front.peer("genuine") as server, front.sdk(server) as sdk:
        sdk.init()
        assert sdk.submit_detections().items == 1
        assert (sdk.status.pin_mismatch, sdk.status.pin_misses) == (False, 2)
        assert sdk.dropped() == []


def test_an_sdk_that_met_the_wrong_peer_goes_on_when_the_platform_answers_again(front):
    with front.peer("genuine") as server, front.sdk(server) as sdk:
        sdk.init()
    with front.peer("misissued") as wrong:
        sdk = front.sdk(wrong)
        sdk.init()
    with front.peer("genuine", wrong.port), sdk:
        assert sdk.status.pin_mismatch
        sdk.request_user_access_token()  # the one at hand; the platform is not asked
        sdk.capture(HERE)
        assert sdk.submit_detections().items == 1
        assert (sdk.status.pin_mismatch, sdk.status.pin_misses) == (False, 1)


@pytest.mark.parametrize("ends", ["deleted", "reset"])
def test_another_install_on_the_device_knows_the_same_pins(front, authorities, phone, platform, ends):
    signer = ed25519.Ed25519PrivateKey.generate()
    pins = Pins(authorities.pins, update_key=update_key_of(signer))
    now_ms = phone.clock.now_ms()
    further = PinUpdate(1, HOST, (authorities.misissued.pin, authorities.genuine.pin), now_ms, now_ms + 1000)
    with front.peer("backup") as server, front.sdk(server, pins=pins) as sdk:
        sdk.apply_pin_update(sign_update(further, signer))
        with pytest.raises(InitError, match="pin_mismatch"):
            sdk.init()
    with front.peer("misissued") as server, front.sdk(server, pins=pins) as sdk:
        sdk.init()
        if ends == "reset":
            sdk.reset()
        else:
            platform.only_install().state = "deleted"
    for _ in range(2):  # of the first, one connection outlives the change of installs
        with front.peer("misissued") as server, front.sdk(server, pins=pins) as sdk:
            sdk.init()
            assert (sdk.status.pin_mismatch, sdk.status.pin_misses) == (False, 1)
    assert len(platform.installs) == 2


def test_no_call_of_the_app_reaches_the_wrong_peer(front, phone):
    with front.peer("genuine") as server, front.sdk(server) as sdk:
        sdk.init()
    with front.peer("of_other_root") as wrong, front.sdk(wrong) as sdk:
        sdk.init()
        phone.clock.advance_to(phone.clock.now_ms() + 4 * 86_400_000)
        with pytest.raises(TokenError):
            sdk.request_user_access_token()
        assert not sdk.reset().platform_told
    assert wrong.connections > 2
    assert wrong.application_bytes == 0


def test_the_background_tries_once_an_hour_and_not_for_ever(front, phone):
    with front.peer("genuine") as server, front.sdk(server) as sdk:
        sdk.init()
    with front.peer("misissued") as wrong, front.sdk(wrong) as sdk:
        sdk.init()
        sdk.capture(HERE)
        inner = getattr(sdk, "sdk", sdk)

        def a_round():
            before = wrong.connections
            upload(sdk, inner)
            return wrong.connections - before

        assert a_round() == 0  # the init has just met it
        tried = 0
        for _ in range(3 * TRIES_MAX):
            phone.clock.advance_to(phone.clock.now_ms() + TRIED_EVERY_MS // 2)
            tried += a_round()
        assert tried == TRIES_MAX - 1
        with pytest.raises(SubmitError):
            sdk.submit_detections()  # the app itself may ask at any time
        assert sdk.status.waiting_items == 1
    assert wrong.application_bytes == 0


def upload(sdk, inner):
    """One round of the background's, on either shell."""
    runner = getattr(sdk, "runner", None)
    if runner is None:
        inner._upload_once()
    else:
        runner.run(inner._upload_once())


# Updates


def test_a_signed_update_takes_effect_survives_restart_and_reset_and_is_not_taken_back(front, authorities, phone):
    signer = ed25519.Ed25519PrivateKey.generate()
    pins = Pins(authorities.pins, update_key=update_key_of(signer))
    now_ms = phone.clock.now_ms()
    further = (authorities.misissued.pin, authorities.of_other_root.pin)
    update = PinUpdate(1, HOST, further, now_ms, now_ms + 1000)
    older = PinUpdate(1, HOST, tuple(authorities.pins), now_ms, now_ms + 1000)
    with front.peer("genuine") as server, front.sdk(server, pins=pins) as sdk:
        sdk.init()
        sdk.apply_pin_update(sign_update(update, signer))
    with front.peer("genuine") as given_up, front.sdk(given_up, pins=pins) as sdk:
        with pytest.raises(PinUpdateRefused, match="NOT_NEWER"):
            sdk.apply_pin_update(sign_update(older, signer))
        sdk.init()
        assert sdk.status.pin_mismatch
        sdk.reset()
    assert given_up.application_bytes == 0
    with front.peer("of_other_root") as server, front.sdk(server, pins=pins) as sdk:
        sdk.init()
        assert not sdk.status.pin_mismatch


def test_an_update_can_be_applied_before_the_first_init(front, authorities, phone):
    signer = ed25519.Ed25519PrivateKey.generate()
    now_ms = phone.clock.now_ms()
    update = PinUpdate(1, HOST, (authorities.misissued.pin, authorities.genuine.pin), now_ms, now_ms + 1000)
    pins = Pins(authorities.pins, update_key=update_key_of(signer))
    with front.peer("misissued") as server, front.sdk(server, pins=pins) as sdk:
        sdk.apply_pin_update(sign_update(update, signer))
        sdk.init()


def test_an_update_that_the_disk_refuses_can_be_applied_again(authorities, phone, monkeypatch):
    signer, now_ms = ed25519.Ed25519PrivateKey.generate(), phone.clock.now_ms()
    update = PinUpdate(1, HOST, (authorities.misissued.pin, authorities.genuine.pin), now_ms, now_ms + 1000)
    pins = Pins(authorities.pins, update_key=update_key_of(signer))
    with Sdk(phone.config(pins=pins, base_url=f"https://{HOST}", transport=None)) as sdk:
        with monkeypatch.context() as patched:
            patched.setattr(StateFile, "_replace", full)
            with pytest.raises(OSError, match="No space"):
                sdk.apply_pin_update(sign_update(update, signer))
        assert sdk._pins() == pins
        sdk.apply_pin_update(sign_update(update, signer))
        assert sdk._pins().number == 1


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


# The config


@pytest.mark.parametrize(
    "settings",
    [
        {"pins": []},
        {"pins": ["sha256/" + "A" * 43 + "="]},
        {"pins": None, "transport": "kept", "base_url": "http://elsewhere.example"},
        {"base_url": "http://127.0.0.1:1"},
        {"transport": "kept"},
    ],
    ids=["none", "one", "http elsewhere", "http", "a transport of the app's"],
)
def test_pins_that_would_not_be_asked_are_refused(phone, authorities, settings):
    kept = phone.config().transport
    given = {"pins": authorities.pins, "base_url": "https://localhost", "transport": None, **settings}
    if given["transport"] == "kept":
        given["transport"] = kept
    with pytest.raises(InvalidConfig):
        phone.config(**given)


def test_an_apps_own_context_is_pinned_in_place(front, authorities):
    context = authorities.context()
    with front.peer("misissued") as server, front.sdk(server, ssl_context=context) as sdk, pytest.raises(InitError):
        sdk.init()
    assert context.sslsocket_class is not ssl.SSLSocket
