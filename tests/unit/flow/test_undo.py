"""Undo over payloads: both timelines are what they would have been had the link never been made (law 9)."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken import wire
from unbroken.domain.errors import LaterFactsDepend, NotFound, Refusal
from unbroken.flow import tokens
from unbroken.testing.in_process import START_MS, InProcess, Phone

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000
EXAMPLES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))


@dataclass
class Step:
    """What happens at an hour: a registration, a link, or an upload of what a phone captured in some hours."""

    kind: str
    phone: int = 0
    tablet: bool = False
    person: str = "anna"
    hours: tuple[int, int] = (0, 0)


@dataclass
class Run:
    """One telling of a history: its phones, its links, and what became of it."""

    platform: InProcess
    phones: list[Phone] = field(default_factory=list)
    links: list[str | None] = field(default_factory=list)


def captured(phone: int, hours: tuple[int, int]) -> list[dict[str, Any]]:
    """Fixes every ten minutes: two hours at a place of this phone's own, an hour on the way."""
    items = []
    for minute in range(hours[0] * 60, hours[1] * 60, 10):
        north = 0.02 * ((minute // 60) % 3 == 2) * ((minute % 60) / 60)
        items.append(
            {"kind": "location", "t": START_MS + minute * 60_000 + phone, "lat": 51 + phone / 10 + north, "lon": 4.0}
        )
    return items


async def tell(run: Run, steps: list[Step], *, but: int | None = None) -> None:
    """Tell a history, leaving out the link at index `but`."""
    for number, step in enumerate(steps):
        run.platform.clock.advance_to(START_MS + (number + 1) * HOUR)
        if step.kind == "register":
            device = wire.Device("ios", idiom="pad") if step.tablet else None
            run.phones.append(await run.platform.register(device))
        elif step.kind == "link" and number != but:
            run.links.append(await linked(run, step))
        elif step.kind == "link":
            run.links.append(None)
        else:
            await run.platform.upload(run.phones[step.phone], captured(step.phone, step.hours))


async def linked(run: Run, step: Step) -> str | None:
    try:
        return (await run.platform.link(run.phones[step.phone], step.person)).link_id
    except Refusal:
        return None


async def own_state(run: Run, phone: Phone) -> wire.OwnState:
    return await tokens.own_state(run.platform.context, phone.caller)


async def everything(run: Run) -> list[Any]:
    """The timeline that each phone's user has, and what became of each item, without the ids of users."""
    told = []
    for phone in run.phones:
        user_id = (await own_state(run, phone)).user_id
        timeline = json.loads(await run.platform.timeline(user_id))
        told.append(([stripped(event) for event in timeline], await run.platform.items(user_id)))
    return told


def stripped(event: dict[str, Any]) -> dict[str, Any]:
    """An event without the ids that hash its user's."""
    return {
        name: value for name, value in event.items() if name not in {"event_id", "trip_id", "activation_id", "location"}
    }


async def states(run: Run) -> list[tuple[str, bool]]:
    return [(own.state, own.linked) for own in [await own_state(run, phone) for phone in run.phones]]


@st.composite
def histories(draw):
    steps = [Step("register"), Step("register", tablet=draw(st.booleans()))]
    phones = 2
    for _ in range(draw(st.integers(3, 10))):
        kind = draw(st.sampled_from(["register", "link", "link", "upload", "upload"]))
        if kind == "register":
            steps.append(Step("register", tablet=draw(st.booleans())))
            phones += 1
        elif kind == "link":
            person = draw(st.sampled_from(["anna", "anna", "ben"]))
            steps.append(Step("link", draw(st.integers(0, phones - 1)), person=person))
        else:
            now = len(steps)
            first = draw(st.integers(0, now))
            hours = (first, draw(st.integers(first, now + 1)))
            steps.append(Step("upload", draw(st.integers(0, phones - 1)), hours=hours))
    return steps


async def _undone_equals_never(directory: Path, steps: list[Step], number: int) -> bool:
    """Whether the link could be undone; then it is compared with the history in which it was never made."""
    (directory / "a").mkdir()
    (directory / "b").mkdir()
    async with InProcess(directory / "a") as platform:
        run = Run(platform)
        await tell(run, steps)
        index = [i for i, step in enumerate(steps) if step.kind == "link"].index(number)
        links, link_id = run.links, run.links[index]
        if link_id is None or link_id in [one for i, one in enumerate(run.links) if i != index]:
            return False
        await platform.settle()
        before, before_states = await everything(run), await states(run)
        try:
            dry = await platform.undo(link_id, dry_run=True)
            assert await everything(run) == before
            done = await platform.undo(link_id)
        except LaterFactsDepend:
            return False
        assert sizes(dry.summary) == sizes(done.summary)
        undone, undone_states = await everything(run), await states(run)
        restored = await platform.undo(done.undo_id)
        assert await everything(run) == before
        assert await states(run) == before_states
        assert restored.link_id == link_id
    async with InProcess(directory / "b") as platform:
        run = Run(platform)
        await tell(run, steps, but=number)
        if made(run.links, index) != made(links, index):
            return False  # a later link was refused because of this one: without it, that is another history
        assert (await everything(run), await states(run)) == (undone, undone_states)
    return True


def made(links: list[str | None], but: int) -> list[bool]:
    """Which links were made, the one at index `but` aside."""
    return [link is not None for number, link in enumerate(links) if number != but]


def sizes(summary: wire.Summary) -> tuple[Any, ...]:
    """A summary but for the fresh id that a dry run and the real call each take anew."""
    days = [(day.day, day.gained, day.lost, day.moved) for day in summary.days]
    return (len(summary.installs), [a.change for a in summary.activations], sorted(days))


def check(steps: list[Step], data: Any, directory: Path) -> None:
    links = [number for number, step in enumerate(steps) if step.kind == "link"]
    if links:
        asyncio.run(_undone_equals_never(directory, steps, data.draw(st.sampled_from(links))))


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=25, deadline=None, suppress_health_check=RELAXED)
@given(histories(), st.data())
def test_a_link_that_is_undone_leaves_what_would_have_been_without_it(tmp_path_factory, steps, data):
    check(steps, data, tmp_path_factory.mktemp("history"))


@pytest.mark.prove
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=RELAXED)
@given(histories(), st.data())
def test_a_link_that_is_undone_leaves_what_would_have_been_without_it_ten_thousand_times(tmp_path_factory, steps, data):
    check(steps, data, tmp_path_factory.mktemp("history"))


def test_an_undo_of_what_is_not_there_is_not_found(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            for link_id in ("", "x", "0" * 24, phone.install_id):
                with pytest.raises(NotFound):
                    await platform.undo(link_id)

    asyncio.run(story())


def test_undoing_twice_gets_the_first_answer_and_adds_no_fact(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            phone = await platform.register()
            link_id = (await platform.link(phone, "anna")).link_id
            first = await platform.undo(link_id)
            assert await platform.undo(link_id) == first
            restored = await platform.undo(first.undo_id)
            assert restored.link_id == link_id
            again = await platform.undo(link_id)
            assert again.undo_id != first.undo_id

    asyncio.run(story())
