"""The install key on the device: made for each install, kept or kept elsewhere, and used for each spending."""

from __future__ import annotations

import json
from contextlib import suppress

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from unbroken import install_key
from unbroken.sdk import InitError
from unbroken.sdk import install_key as device_keys

LATER_MS = 60 * 3_600_000


class Heard:
    """Every request that reached the platform, with its body."""

    def __init__(self, phone):
        self._phone = phone
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        return self._phone.answer(request)

    def of(self, call):
        return [one for one in self.requests if f"{one.method} {one.url.path}" == call]

    def keys(self):
        """The public keys that registrations told; None of one without."""
        return [json.loads(one.content).get("install_key") for one in self.of("POST /sdk/installs")]


@pytest.fixture
def heard(phone):
    return Heard(phone)


def assert_signed(request, public):
    call = f"{request.method} {request.url.path}"
    message = install_key.message_of(call, request.headers["Authorization"].removeprefix("Bearer "))
    signature = install_key.read(request.headers[install_key.PROOF_HEADER])
    load_der_public_key(install_key.read(public)).verify(signature, message)


def test_renewals_and_the_farewell_are_signed_with_the_key_that_the_registration_told(open_sdk, phone, heard):
    with open_sdk(transport=httpx.MockTransport(heard)) as sdk:
        sdk.init()
        phone.clock.advance_to(phone.clock.now_ms() + LATER_MS)
        sdk.request_user_access_token()
        sdk.reset()
    (public,) = heard.keys()
    signed = [*heard.of("POST /sdk/tokens"), *heard.of("DELETE /sdk/install")]
    assert len(signed) == 2
    for request in signed:
        assert_signed(request, public)
    others = [one for one in heard.requests if one not in signed]
    assert not [one for one in others if install_key.PROOF_HEADER in one.headers]


def test_an_install_that_comes_after_a_reset_has_a_key_of_its_own_and_the_farewell_the_old_one(open_sdk, phone, heard):
    with open_sdk(transport=httpx.MockTransport(heard)) as sdk:
        sdk.init()
        phone.offline = True
        assert not sdk.reset().platform_told
        phone.offline = False
        sdk.init()
    first, second = heard.keys()
    assert first != second
    assert_signed(heard.of("DELETE /sdk/install")[-1], first)


def test_a_registration_that_is_repeated_tells_the_same_key(open_sdk, phone, heard):
    def lost_once(request):
        reply = heard(request)
        if len(heard.requests) == 1:
            raise httpx.ReadError("lost")
        return reply

    for _ in range(2):
        with open_sdk(transport=httpx.MockTransport(lost_once)) as sdk, suppress(InitError):
            sdk.init()
    assert len(heard.keys()) == 2
    assert len(set(heard.keys())) == 1


def test_without_cryptography_an_install_has_no_key_and_works_as_before(open_sdk, phone, heard, monkeypatch):
    monkeypatch.setattr(device_keys, "find_spec", lambda _: None)
    with open_sdk(transport=httpx.MockTransport(heard)) as sdk:
        sdk.init()
        phone.clock.advance_to(phone.clock.now_ms() + LATER_MS)
        sdk.request_user_access_token()
    assert heard.keys() == [None]
    assert install_key.PROOF_HEADER not in heard.of("POST /sdk/tokens")[0].headers


class Hardware:
    """A key that the app's hardware keeps; one for each install."""

    def public_key(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, message):
        return self.private.sign(message, ec.ECDSA(SHA256()))


def test_a_key_that_the_app_keeps_signs_and_nothing_of_it_is_in_the_state(open_sdk, phone, heard):
    key = Hardware()
    with open_sdk(transport=httpx.MockTransport(heard), install_key=key) as sdk:
        sdk.init()
        phone.clock.advance_to(phone.clock.now_ms() + LATER_MS)
        sdk.request_user_access_token()
    (renewal,) = heard.of("POST /sdk/tokens")
    message = install_key.message_of("POST /sdk/tokens", renewal.headers["Authorization"].removeprefix("Bearer "))
    signature = install_key.read(renewal.headers[install_key.PROOF_HEADER])
    key.private.public_key().verify(signature, message, ec.ECDSA(SHA256()))
    assert b'"install_key":null' in (phone.path / "state").read_bytes()


def test_a_device_that_cannot_prove_itself_becomes_a_new_install(open_sdk, phone, platform):
    with open_sdk() as sdk:
        sdk.init()
        first = sdk.install_id
        phone.clock.advance_to(phone.clock.now_ms() + LATER_MS)
        platform.installs[first].token = "ended"
    with open_sdk() as sdk:
        platform.answers = [(401, {"message": "", "errorCode": "UNAUTHENTICATED", "ref": "r"}, {}),
                            (401, {"message": "", "errorCode": "INSTALL_KEY_UNPROVEN", "ref": "r"}, {})]  # fmt: skip
        sdk.init()
        assert sdk.install_id != first
        assert platform.installs[sdk.install_id].restored_from == first


def test_the_seed_of_a_key_is_shown_by_nothing(open_sdk, phone):
    with open_sdk() as sdk:
        sdk.init()
        seed = getattr(sdk, "sdk", sdk)._state.install_key
        assert seed.reveal() not in repr(getattr(sdk, "sdk", sdk)._state)
