"""A dry run lets nothing stay, and its summary is what the real call then makes different, as its readers see it."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.flow.test_undo import RELAXED, Run, Step, histories, own_state, tell

from unbroken import wire
from unbroken.domain.errors import Refusal
from unbroken.flow import operate, profile
from unbroken.flow.operate import Order
from unbroken.testing.in_process import InProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

EXAMPLES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))
CALLS = ["new link", "new link", "link", "undo", "undo", "install", "user", "activate"]
ARRIVED = [Step("register"), Step("register", flag=True)]
FRESH = "an id that this call gives out"


@dataclass
class View:
    """What reads tell of every phone's person: whose an install is and its state, activations, events."""

    installs: dict[str, tuple[str, str]] = field(default_factory=dict)
    activations: set[tuple[Any, ...]] = field(default_factory=set)
    events: set[tuple[Any, ...]] = field(default_factory=set)


async def view(run: Run) -> View:
    seen = View()
    context, key = run.platform.context, run.platform.key
    await run.platform.settle()
    for phone in run.phones:
        user_id = (await own_state(run, phone)).user_id
        for one in (await profile.installs(context, key, user_id, 100, None)).installs:
            seen.installs[one.install_id] = (user_id, one.state)
            seen.activations |= {(one.install_id, user_id, span.from_, span.to) for span in one.activations}
        for event in json.loads(await run.platform.timeline(user_id)):
            seen.events.add((user_id, event["start"], event["end"], event["type"]))
    return seen


def difference(before: View, after: View) -> dict[str, Any]:
    known = {user_id for user_id, _ in before.installs.values()}

    def named(user_id: str) -> str:
        return user_id if user_id in known else FRESH

    both = before.installs.keys() & after.installs.keys()
    installs = {
        (one, before.installs[one][0], named(after.installs[one][0]), before.installs[one][1], after.installs[one][1])
        for one in both
        if before.installs[one] != after.installs[one]
    }
    activations = {("lost", *one) for one in before.activations - after.activations}
    activations |= {("gained", one[0], named(one[1]), *one[2:]) for one in after.activations - before.activations}
    days: Counter[tuple[str, ...]] = Counter()
    for what, events in (("lost", before.events - after.events), ("gained", after.events - before.events)):
        days.update((named(user_id), start[:10], what) for user_id, start, *_ in events)
    return {"installs": installs, "activations": activations, "days": dict(days)}


def told(summary: wire.Summary, before: View) -> dict[str, Any]:
    known = {user_id for user_id, _ in before.installs.values()}

    def named(user_id: str) -> str:
        return user_id if user_id in known else FRESH

    days = {(named(day.user_id), day.day, "gained"): day.gained for day in summary.days}
    days |= {(named(day.user_id), day.day, "lost"): day.lost for day in summary.days}
    return {
        "installs": {
            (one.install_id, one.user_before, named(one.user_after), one.state_before, one.state_after)
            for one in summary.installs
        },
        "activations": {
            (one.change, one.install_id, named(one.user_id), one.from_, one.to) for one in summary.activations
        },
        "days": {day: count for day, count in days.items() if count},
    }


def call_of(run: Run, step: Step, kind: str) -> Callable[[bool], Awaitable[Any]]:
    platform, phone = run.platform, run.phones[step.phone % len(run.phones)]
    wanted: Any = "disabled" if step.flag else "enabled"
    links = [link for link in run.links if link is not None] or ["0" * 24]
    at = platform.context, platform.key
    return {
        "new link": lambda dry: platform.link(run.phones[-1 - step.flag], step.person, dry_run=dry),
        "link": lambda dry: platform.link(phone, step.person, dry_run=dry),
        "undo": lambda dry: platform.undo(links[step.which % len(links)], dry_run=dry),
        "install": lambda dry: operate.set_install_state(*at, phone.install_id, wanted, Order(dry_run=dry)),
        "user": lambda dry: operate.set_user_state(*at, phone.own_user_id, wanted, Order(dry_run=dry)),
        "activate": lambda dry: operate.activate(*at, phone.install_id, Order(dry_run=dry)),
    }[kind]


async def outcome_of(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except Refusal as refusal:
        return refusal.code


async def try_and_do(directory: Path, steps: list[Step], last: Step, kind: str) -> str:
    """How the call ended: a code, or what it was, with whether anything differed."""
    async with InProcess(directory) as platform:
        run = Run(platform)
        await tell(run, [*steps, *ARRIVED] if kind == "new link" else steps)
        call, before = call_of(run, last, kind), await view(run)
        dry = await outcome_of(call(True))
        assert await view(run) == before
        real = await outcome_of(call(False))
        after = await view(run)
        if isinstance(dry, str) or isinstance(real, str):
            assert dry == real
            return str(dry)
        assert dry.dry_run
        expected = difference(before, after)
        assert told(dry.summary or wire.Summary([], [], []), before) == expected
        return f"{kind}{'' if any(expected.values()) else ', no difference'}"


def compare(tmp_path_factory: pytest.TempPathFactory, count: int) -> Counter[str]:
    ended: Counter[str] = Counter()
    lasts = st.builds(
        Step,
        kind=st.just("tried"),
        phone=st.integers(0, 4),
        flag=st.booleans(),
        person=st.sampled_from(["anna", "ben"]),
        which=st.integers(0, 9),
    )

    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED, database=None)
    @given(histories(), lasts, st.sampled_from(CALLS))
    def check(steps: list[Step], last: Step, kind: str) -> None:
        ended[asyncio.run(try_and_do(tmp_path_factory.mktemp("tried"), steps, last, kind))] += 1

    check()
    return ended


def test_a_dry_run_tells_what_the_real_call_then_makes_different(tmp_path_factory):
    ended = compare(tmp_path_factory, 60)
    assert ended["new link"] > 0


@pytest.mark.prove
def test_a_dry_run_tells_what_the_real_call_then_makes_different_ten_thousand_times(tmp_path_factory):
    ended = compare(tmp_path_factory, EXAMPLES)
    print(f"\n{ended.total()} calls were tried and then made, the same came of both: {dict(ended)}")
    assert EXAMPLES < 1_000 or {"new link", "link", "undo", "install", "user", "activate"} <= set(ended)
