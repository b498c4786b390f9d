"""What an install that has a key must sign, and which keys are taken."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unbroken import install_key
from unbroken.domain.errors import InstallCloned, InstallGone, InstallKeyUnproven, InvalidRequest
from unbroken.flow import tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.flow.install_keys import is_signed, read_public_key
from unbroken.testing.in_process import InProcess

RENEW, RESET = "POST /sdk/tokens", "DELETE /sdk/install"


def public_of(private):
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


class Software:
    """Ed25519, as the SDK makes it."""

    def __init__(self):
        self._private = Ed25519PrivateKey.generate()
        self.public = public_of(self._private)

    def sign(self, message):
        return self._private.sign(message)


class Hardware(Software):
    """ECDSA on P-256, as phones keep it."""

    def __init__(self):
        self._private = ec.generate_private_key(ec.SECP256R1())
        self.public = public_of(self._private)

    def sign(self, message):
        return self._private.sign(message, ec.ECDSA(SHA256()))


BOTH = pytest.mark.parametrize("kind", [Software, Hardware])


def shown(credential, key=None, call=RENEW, *, signed=None):
    """A credential as it is sent: with a signature by this key that it is spent in this call, or nothing."""
    message = install_key.message_of(call, signed or credential)
    return CredentialCaller(credential, "" if key is None else install_key.write(key.sign(message)))


def told(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            await story(platform, platform.context)

    asyncio.run(whole())


async def registered(platform, key):
    return (await platform.register(install_key=install_key.write(key.public))).credential


@BOTH
def test_with_its_key_an_install_renews_and_resets(tmp_path, kind):
    async def story(platform, context):
        key = kind()
        first = await registered(platform, key)
        second = (await tokens.renew(context, shown(first, key), None)).install_credential
        await tokens.reset(context, shown(second, key, RESET))
        with pytest.raises(InstallGone):
            await tokens.renew(context, shown(second, key), None)

    told(tmp_path, story)


def unproven(mine, others, key, call):
    """One's own credential and somebody else's, shown in this call with what is no signature of the key for it."""
    right = shown(mine, key, call).proof
    yield shown(mine)
    yield shown(mine, type(key)(), call)
    yield shown(mine, key, RENEW if call == RESET else RESET)
    yield shown(mine, key, call, signed=others)
    for wrong in (right + "=", right[:-4], "x" * 86, "\xff\r\n"):
        yield CredentialCaller(mine, wrong)
    yield CredentialCaller(others, right)


@BOTH
def test_whoever_has_the_credential_alone_spends_nothing(tmp_path, kind):
    async def story(platform, context):
        key = kind()
        mine, others = await registered(platform, key), await registered(platform, kind())
        for attempt in unproven(mine, others, key, RENEW):
            with pytest.raises(InstallKeyUnproven):
                await tokens.renew(context, attempt, None)
        for attempt in unproven(mine, others, key, RESET):
            with pytest.raises(InstallKeyUnproven):
                await tokens.reset(context, attempt)
        assert (await tokens.renew(context, shown(mine, key), None)).user_token.token

    told(tmp_path, story)


def test_no_bit_of_a_signature_can_be_another(tmp_path):
    key, message = Software(), install_key.message_of(RENEW, "unb_inst_...")
    right = key.sign(message)
    assert is_signed(key.public, install_key.write(right), message)
    for bit in range(8 * len(right)):
        wrong = (int.from_bytes(right, "big") ^ 1 << bit).to_bytes(len(right), "big")
        assert not is_signed(key.public, install_key.write(wrong), message)


def test_a_spent_credential_is_a_clone_with_the_key_and_unproven_without(tmp_path):
    async def story(platform, context):
        key = Software()
        first = await registered(platform, key)
        await tokens.renew(context, shown(first, key), "exchange")
        with pytest.raises(InstallKeyUnproven):
            await tokens.renew(context, shown(first), "exchange")
        with pytest.raises(InstallCloned):
            await tokens.renew(context, shown(first, key), "another")
        assert (await tokens.renew(context, shown(first, key), "exchange")).install_credential

    told(tmp_path, story)


def test_an_install_that_registered_without_a_key_needs_none_and_a_proof_does_no_harm(tmp_path):
    async def story(platform, context):
        credential = (await platform.register()).credential
        second = (await tokens.renew(context, shown(credential), None)).install_credential
        assert (await tokens.renew(context, shown(second, Software()), None)).install_credential

    told(tmp_path, story)


def compressed():
    point = ec.generate_private_key(ec.SECP256R1()).public_key()
    head = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    return head + point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


NO_KEYS = {
    "RSA": lambda: public_of(rsa.generate_private_key(65537, 2048)),
    "P-384": lambda: public_of(ec.generate_private_key(ec.SECP384R1())),
    "X25519": lambda: public_of(x25519.X25519PrivateKey.generate()),
    "a compressed point": compressed,
    "nothing": bytes,
    "more than a key": lambda: Software().public + b"\0",
    "less than a key": lambda: Hardware().public[:-1],
    "a length in two bytes": lambda: Software().public.replace(b"\x30", b"\x30\x81", 1),
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_no_other_kind_of_key_is_taken_and_none_that_is_written_in_another_way(name):
    with pytest.raises(InvalidRequest) as refused:
        read_public_key(install_key.write(NO_KEYS[name]()))
    assert refused.value.details[0][0] == "install_key"


def test_a_text_is_taken_in_one_way_only():
    text = install_key.write(Software().public)
    assert read_public_key(text)
    for wrong in (text + "=", text.replace("M", "m", 1), f" {text}", text + "\n", "é" * 20, "*" * 60):
        with pytest.raises(InvalidRequest):
            read_public_key(wrong)
