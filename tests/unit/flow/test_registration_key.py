"""What the key of a registration is kept as: in the order of time where it tells one, and found in whatever form."""

from __future__ import annotations

import asyncio

import pytest

from unbroken import wire
from unbroken.credentials import Peppers, Vault
from unbroken.domain.errors import InvalidRequest
from unbroken.flow import registration_key
from unbroken.flow.register import register
from unbroken.randomness import uuid7
from unbroken.testing.in_process import START_MS, InProcess

VAULT = Vault(b"p" * 32, b"s" * 32)
RANDOM_KEY = "0d9aee1c-64f0-4a0b-9d3c-1f2f3a4b5c6d"
TIMED_KEY = uuid7(START_MS, b"a" * 10)
PHONE = wire.Register(wire.Device("ios"), wire.SdkVersion("a", "1"))


def with_peppers(*keys):
    return Vault(b"p" * 32, b"s" * 32, peppers=lambda: Peppers(len(keys), dict(enumerate(keys, 1))))


def test_keys_that_tell_their_time_are_kept_in_its_order():
    kept = [registration_key.digest_of(VAULT, uuid7(START_MS + n, bytes([255 - n]) * 10)) for n in range(100)]
    assert kept == sorted(kept)
    assert {len(one) for one in kept} == {38}


def test_of_the_key_itself_nothing_is_kept_but_its_time():
    kept = registration_key.digest_of(VAULT, TIMED_KEY)
    assert kept == START_MS.to_bytes(6, "big") + VAULT.digest(TIMED_KEY)


def test_a_key_all_of_chance_is_kept_without_a_time():
    kept = registration_key.digest_of(VAULT, RANDOM_KEY)
    assert kept.every == (VAULT.digest(RANDOM_KEY),)


def test_a_key_is_looked_for_in_each_form_and_under_each_pepper():
    old, new = b"p" * 32, b"q" * 32
    every = registration_key.digest_of(with_peppers(old, new), TIMED_KEY).every
    assert every[0] == registration_key.digest_of(with_peppers(old, new), TIMED_KEY)
    assert set(every) >= set(registration_key.digest_of(with_peppers(old), TIMED_KEY).every)
    assert len(set(every)) == 4


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "11111111-1111-1111-8111-111111111111",
        RANDOM_KEY.replace("-", ""),
        f"{{{RANDOM_KEY}}}",
        f"urn:uuid:{RANDOM_KEY}",
    ],
    ids=len,
)
def test_a_key_that_is_no_random_uuid_in_its_usual_form_is_refused(key):
    with pytest.raises(InvalidRequest) as refused:
        registration_key.digest_of(VAULT, key)
    assert [path for path, _ in refused.value.details] == ["Idempotency-Key"]


def test_a_registration_that_was_kept_without_the_time_of_its_key_is_found_by_it(tmp_path):
    """As versions before this one kept it."""

    async def story():
        async with InProcess(tmp_path) as platform:
            caller = platform.app_caller
            first = await register(platform.context, caller, PHONE, TIMED_KEY)
            plain = bytes(platform.context.vault.digest(TIMED_KEY))

            async def as_before(tx):
                return await tx.run("UPDATE registrations SET key_digest = $1", plain)

            assert await platform.context.store.write(as_before) == 1
            return first, await register(platform.context, caller, PHONE, TIMED_KEY)

    first, again = asyncio.run(story())
    assert again.install_id == first.install_id
