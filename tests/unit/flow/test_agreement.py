"""Random calls of every kind that says who is who: after each one the tables are what the ledger's fold says."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.flow.agreement import assert_tables_are_the_fold

from unbroken import wire
from unbroken.domain.errors import Refusal
from unbroken.flow import authenticate, codes, erase, operate, register, rename, tokens
from unbroken.flow.authenticate import CredentialCaller, InstallCaller
from unbroken.flow.operate import Order
from unbroken.testing.in_process import InProcess, Phone

if TYPE_CHECKING:
    from pathlib import Path

HISTORIES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))
PEOPLE = ["anna", "anna", "ben", "cid"]
KINDS = [
    "register",
    "code",
    *["link"] * 5,
    *["undo"] * 3,
    *["rename"] * 3,
    *["install"] * 4,
    "user",
    "user",
    "activate",
]
KINDS += ["reset", "upload", "policy", "policy", "erase"]
POLICIES = [
    {"takeover": "standby"},
    {"takeover": "never"},
    {"precedence": "last_linked"},
    {"precedence": "last_installed"},
    {"used_install": "claim"},
    {"used_install": "drop"},
    {"used_install": "refuse"},
]


@dataclass(frozen=True)
class Step:
    """One call; what a kind has no use for is drawn all the same."""

    kind: str
    after_ms: int
    phone: int
    person: str
    flag: bool
    which: int


def steps(least: int, most: int) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step,
        kind=st.sampled_from(KINDS),
        after_ms=st.sampled_from([0, 0, 0, 0, 1, 3_600_000]),
        phone=st.integers(0, 4),
        person=st.sampled_from(PEOPLE),
        flag=st.booleans(),
        which=st.integers(0, 9),
    )
    return st.lists(step, min_size=least, max_size=most)


class History:
    """Plays steps on one platform."""

    def __init__(self, platform: InProcess) -> None:
        self.platform = platform
        self.phones: list[Phone] = []
        self.undoable: list[str] = []
        self.done: Counter[str] = Counter()

    async def play(self, step: Step) -> None:
        self.platform.clock.advance_to(self.platform.clock.now_ms() + step.after_ms)
        try:
            await getattr(self, f"do_{step.kind}")(step)
            self.done[step.kind] += 1
        except Refusal as refusal:
            self.done[refusal.code] += 1
        await assert_tables_are_the_fold(self.platform, self.phones)

    def phone(self, step: Step) -> Phone:
        return self.phones[step.phone % len(self.phones)]

    async def do_register(self, step: Step) -> None:
        device = wire.Device("ios", idiom="pad") if step.flag else None
        self.phones.append(await self.platform.register(device))

    async def do_code(self, step: Step) -> None:
        context = self.platform.context
        code = await codes.mint(context, self.platform.key, step.person, None)
        if step.flag:
            await codes.redeem(context, self.phone(step).caller, code.authentication_code, None)
            return
        body = wire.Register(
            wire.Device("android"), wire.SdkVersion("t", "1"), authentication_code=code.authentication_code
        )
        made = await register.register(context, None, body, None)
        caller = await authenticate.by_bearer(context, made.user_token.token)
        assert isinstance(caller, InstallCaller)
        self.phones.append(Phone(caller, made))

    async def do_link(self, step: Step) -> None:
        self.undoable.append((await self.platform.link(self.phone(step), step.person)).link_id)

    async def do_undo(self, step: Step) -> None:
        if self.undoable:
            done = await self.platform.undo(self.undoable[-1 - step.which % len(self.undoable)])
            self.undoable.append(done.undo_id)

    async def do_rename(self, step: Step) -> None:
        body = wire.Rename(step.person, step.flag)
        await rename.rename(self.platform.context, self.platform.key, self.phone(step).own_user_id, body, Order())

    async def do_install(self, step: Step) -> None:
        wanted: Any = "disabled" if step.flag else "enabled"
        await operate.set_install_state(
            self.platform.context, self.platform.key, self.phone(step).install_id, wanted, Order()
        )

    async def do_user(self, step: Step) -> None:
        wanted: Any = "disabled" if step.flag else "enabled"
        await operate.set_user_state(
            self.platform.context, self.platform.key, self.phone(step).own_user_id, wanted, Order()
        )

    async def do_activate(self, step: Step) -> None:
        await operate.activate(self.platform.context, self.platform.key, self.phone(step).install_id, Order())

    async def do_reset(self, step: Step) -> None:
        await tokens.reset(self.platform.context, CredentialCaller(self.phone(step).credential))

    async def do_upload(self, step: Step) -> None:
        fix = {"kind": "location", "t": self.platform.clock.now_ms(), "lat": 51.0, "lon": 4.0}
        await self.platform.upload(self.phone(step), [fix])

    async def do_policy(self, step: Step) -> None:
        """Whoever was let in before the change acts on: half of the calls come from a caller of the old policy."""
        before = self.platform.key
        await self.platform.set_policy(**POLICIES[step.which % len(POLICIES)])
        if step.flag:
            self.platform.key = before

    async def do_erase(self, step: Step) -> None:
        if step.flag:
            await erase.erase(self.platform.context, self.platform.key, self.phone(step).own_user_id, dry_run=False)


async def play(directory: Path, history: list[Step]) -> Counter[str]:
    async with InProcess(directory) as platform:
        played = History(platform)
        begin = [Step("policy", 0, 0, "", False, history[0].which)]
        begin += [Step("register", 0, 0, "", is_tablet, 0) for is_tablet in (False, False, True)]
        begin += [Step("link", 0, (history[0].phone + place) % 3, "anna", False, 0) for place in range(3)]
        for step in [*begin, *history]:
            await played.play(step)
        return played.done


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
ALWAYS = {"link", "undo", "rename", "install", "user", "activate", "reset", "policy", "erase", "code"}
ALWAYS |= {"LATER_FACTS_DEPEND", "CONFLICT", "USER_DISABLED", "INSTALL_DISABLED", "INSTALL_LINKED_TO_OTHER_USER"}


def prove(tmp_path_factory: pytest.TempPathFactory, count: int) -> Counter[str]:
    done: Counter[str] = Counter()

    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED, database=None)
    @given(steps(8, 40))
    def histories(history: list[Step]) -> None:
        done.update(asyncio.run(play(tmp_path_factory.mktemp("agreement"), history)))
        done["histories"] += 1

    histories()
    return done


def test_after_every_call_the_tables_are_what_the_ledger_says(tmp_path_factory):
    done = prove(tmp_path_factory, 30)
    assert done["link"] > 30


@pytest.mark.prove
def test_after_every_call_the_tables_are_what_the_ledger_says_ten_thousand_times(tmp_path_factory):
    done = prove(tmp_path_factory, HISTORIES)
    print(f"\n{done['histories']} histories, the tables were the fold after each of their calls: {dict(done)}")
    assert done["histories"] >= HISTORIES
    if HISTORIES >= 500:
        assert set(done) >= ALWAYS
