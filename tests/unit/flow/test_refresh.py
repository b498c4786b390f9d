"""Install credentials: an honest device is never locked out, whatever is lost; a copied one is noticed at once.

They are bound to the key of their install: a copy without that key is worth nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from unbroken import install_key
from unbroken.domain.errors import InstallCloned, InstallKeyUnproven
from unbroken.flow import audit_log, tokens
from unbroken.flow.authenticate import CredentialCaller, InstallCaller, by_bearer
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Device:
    """Keeps what a device must: the credential it holds, and the key of an exchange whose answer it waits for.

    Args:
        signs: with the install's key.
    """

    credential: str
    signs: Callable[[bytes], bytes]
    key: str | None = None
    exchanges: int = 0
    has_spent: bool = False

    def begin(self) -> None:
        if self.key is None:
            self.exchanges += 1
            self.key = f"exchange-{self.exchanges}-{self.credential[-16:]}"

    def take(self, answer) -> None:
        self.credential, self.key, self.has_spent = answer.install_credential, None, False

    def proof(self) -> str:
        return install_key.write(self.signs(install_key.message_of("POST /sdk/tokens", self.credential)))

    def copy(self) -> Device:
        """What lies in the device's store, its install key too; the key of what is on its way does not."""
        return Device(self.credential, self.signs, exchanges=self.exchanges + 1_000_000)


@dataclass
class World:
    platform: InProcess
    device: Device
    chance: Random
    alarms: int = 0
    steps: list[str] = field(default_factory=list)

    async def ask(self, device: Device, *, is_lost: bool) -> None:
        device.begin()
        shown = CredentialCaller(device.credential, device.proof())
        answer = await tokens.renew(self.platform.context, shown, device.key)
        caller = await by_bearer(self.platform.context, answer.user_token.token)
        assert isinstance(caller, InstallCaller)
        device.has_spent = True
        if not is_lost:
            device.take(answer)

    async def honest_step(self) -> None:
        """One of: an exchange that comes through, one whose answer is lost, one that is sent twice."""
        match self.chance.choice(("whole", "lost", "lost", "twice", "never sent")):
            case "whole":
                await self.ask(self.device, is_lost=False)
            case "lost":
                await self.ask(self.device, is_lost=True)
            case "twice":
                await self.ask(self.device, is_lost=True)
                await self.ask(self.device, is_lost=False)
            case _:
                self.device.begin()

    async def count_alarms(self) -> int:
        entries = await audit_log.newest(self.platform.context, lambda one: one["what"] == "credential reused", 10**6)
        return len(entries)


async def new_world(platform, seed):
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    phone = await platform.register(install_key=install_key.write(public))
    return World(platform, Device(phone.credential, private.sign), Random(seed))


def never_locked_out(tmp_path, steps):
    async def whole():
        async with InProcess(tmp_path) as platform:
            world = await new_world(platform, seed=1)
            for _ in range(steps):
                await world.honest_step()  # raises where the device would be locked out
            assert await world.count_alarms() == 0
            return world.device.exchanges

    exchanges = asyncio.run(whole())
    assert exchanges > steps // 4


def test_an_honest_device_is_never_locked_out_however_many_answers_are_lost(tmp_path):
    never_locked_out(tmp_path, steps=2_000)


@pytest.mark.prove
def test_an_honest_device_is_never_locked_out_in_a_hundred_thousand_steps(tmp_path):
    never_locked_out(tmp_path, steps=100_000)
    print("\n100,000 steps with lost answers locked nobody out")


def copied(tmp_path, rounds):
    """A thief copies what a device holds, at any moment, and uses it; so does the device, in any order."""

    async def whole():
        async with InProcess(tmp_path) as platform:
            for seed in range(rounds):
                world = await new_world(platform, seed)
                for _ in range(world.chance.randrange(6)):
                    await world.honest_step()
                await one_theft(world)

    asyncio.run(whole())


async def one_theft(world):
    """Who comes first goes on; the other is refused for ever, whatever he tries, and the first try is an alarm."""
    thief = world.device.copy()
    before = await world.count_alarms()
    is_first = world.chance.random() < 0.5 and not world.device.has_spent  # else what he holds was spent already
    winner, loser = (thief, world.device) if is_first else (world.device, thief)
    for _ in range(world.chance.randrange(1, 4)):
        await world.ask(winner, is_lost=False)
    for _ in range(2):
        with pytest.raises(InstallCloned):
            await world.ask(loser, is_lost=True)
        assert await world.count_alarms() == before + 1
    await world.ask(winner, is_lost=False)


def test_a_copied_credential_works_for_one_of_the_two_and_is_noticed(tmp_path):
    copied(tmp_path, rounds=40)


def test_a_copied_credential_is_worth_nothing_without_the_key_of_its_install_and_the_device_goes_on(tmp_path):
    async def whole():
        async with InProcess(tmp_path) as platform:
            world = await new_world(platform, seed=1)
            for _ in range(20):
                await world.honest_step()
                thief = world.device.copy()
                thief.signs = Ed25519PrivateKey.generate().sign
                with pytest.raises(InstallKeyUnproven):
                    await world.ask(thief, is_lost=True)
            await world.ask(world.device, is_lost=False)
            assert await world.count_alarms() == 0

    asyncio.run(whole())


@pytest.mark.prove
def test_a_copied_credential_works_for_one_of_the_two_and_is_noticed_a_thousand_times(tmp_path):
    copied(tmp_path, rounds=1_000)
    print("\n1,000 copied credentials were noticed")
