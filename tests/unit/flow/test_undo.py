"""Undo over payloads: both timelines are what they would have been had the link never been made (law 9)."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.flow.agreement import assert_tables_are_the_fold

from unbroken import wire
from unbroken.domain.errors import Conflict, LaterFactsDepend, NotFound, Refusal, UserDisabled
from unbroken.flow import administer, operate, profile, rename, tokens
from unbroken.flow.operate import Order
from unbroken.randomness import SeededRandomness
from unbroken.store import ledger
from unbroken.testing.in_process import START_MS, InProcess, Phone

if TYPE_CHECKING:
    from pathlib import Path

HOUR = 3_600_000
EXAMPLES = int(os.environ.get("UNBROKEN_PROVE_HISTORIES", "10000"))


POLICIES = [{"takeover": "standby"}, {"takeover": "never"}, {"precedence": "last_linked"}, {"used_install": "claim"}]


@dataclass(frozen=True)
class Step:
    """One call, an hour after the one before it, or in the same instant; what a kind has no use for is left out."""

    kind: str
    phone: int = 0
    is_later: bool = True
    flag: bool = False
    person: str = "anna"
    hours: tuple[int, int] = (0, 0)
    which: int = 0


@dataclass
class Run:
    """One telling of a history: its phones, its links, and what became of every call."""

    platform: InProcess
    phones: list[Phone] = field(default_factory=list)
    links: list[str | None] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def captured(phone: int, hours: tuple[int, int]) -> list[dict[str, Any]]:
    """Fixes every ten minutes: two hours at a place of this phone's own, an hour on the way."""
    items = []
    for minute in range(hours[0] * 60 + 5, hours[1] * 60, 10):
        north = 0.02 * ((minute // 60) % 3 == 2) * ((minute % 60) / 60)
        items.append(
            {"kind": "location", "t": START_MS + minute * 60_000 + phone, "lat": 51 + phone / 10 + north, "lon": 4.0}
        )
    return items


async def tell(run: Run, steps: list[Step], *, but: int | None = None) -> None:
    """Tell a history, leaving out the link at index `but`; after each call the tables are the fold."""
    hour = 0
    for number, step in enumerate(steps):
        hour += step.is_later
        run.platform.clock.advance_to(START_MS + hour * HOUR)
        if number == but:
            run.links.append(None)
            continue
        try:
            await CALLS[step.kind](run, step)
            run.answers.append("done")
        except Refusal as refusal:
            if step.kind == "link":
                run.links.append(None)
            run.answers.append(refusal.code)
        await assert_tables_are_the_fold(run.platform, run.phones)


async def registered(run: Run, step: Step) -> None:
    device = wire.Device("ios", idiom="pad") if step.flag else None
    run.phones.append(await run.platform.register(device))


async def linked(run: Run, step: Step) -> None:
    run.links.append((await run.platform.link(run.phones[step.phone], step.person)).link_id)


async def uploaded(run: Run, step: Step) -> None:
    await run.platform.upload(run.phones[step.phone], captured(step.phone, step.hours))


async def renamed(run: Run, step: Step) -> None:
    phone, body = run.phones[step.phone], wire.Rename(step.person, step.flag)
    await rename.rename(run.platform.context, run.platform.key, phone.own_user_id, body, Order())


async def switched(run: Run, step: Step) -> None:
    wanted: Any = "disabled" if step.flag else "enabled"
    install_id = run.phones[step.phone].install_id
    await operate.set_install_state(run.platform.context, run.platform.key, install_id, wanted, Order())


async def user_switched(run: Run, step: Step) -> None:
    wanted: Any = "disabled" if step.flag else "enabled"
    user_id = run.phones[step.phone].own_user_id
    await operate.set_user_state(run.platform.context, run.platform.key, user_id, wanted, Order())


async def activated(run: Run, step: Step) -> None:
    await operate.activate(run.platform.context, run.platform.key, run.phones[step.phone].install_id, Order())


async def policy_changed(run: Run, step: Step) -> None:
    await run.platform.set_policy(**POLICIES[step.which])


CALLS = {
    "register": registered,
    "link": linked,
    "upload": uploaded,
    "rename": renamed,
    "install": switched,
    "user": user_switched,
    "activate": activated,
    "policy": policy_changed,
}


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


KINDS = ["register", *["link"] * 5, *["upload"] * 4, "rename", "install", "install", "user", "activate", "policy"]


@st.composite
def histories(draw):
    steps = [Step("register"), Step("register", flag=draw(st.booleans())), Step("link")]
    phones, hour = 2, 2
    for _ in range(draw(st.integers(3, 14))):
        kind = draw(st.sampled_from(KINDS))
        is_later = draw(st.booleans())
        hour += is_later
        first = draw(st.integers(0, hour - 1))
        steps.append(
            Step(
                kind,
                draw(st.integers(0, phones - 1)),
                is_later,
                draw(st.booleans()),
                draw(st.sampled_from(["anna", "anna", "ben"])),
                (first, draw(st.integers(first, hour))),
                draw(st.integers(0, len(POLICIES) - 1)),
            )
        )
        phones += kind == "register"
    return steps


async def _undone_equals_never(directory: Path, steps: list[Step], pick: int) -> str:
    """What came of it; "equal" is where an undo was compared with the history in which the link was never made."""
    (directory / "a").mkdir()
    (directory / "b").mkdir()
    async with InProcess(directory / "a") as platform:
        run = Run(platform)
        await tell(run, steps)
        links, once = run.links, [link for link in run.links if link is not None and run.links.count(link) == 1]
        if not once:
            return "no link"
        link_id = once[pick % len(once)]
        index = links.index(link_id)
        number = [place for place, step in enumerate(steps) if step.kind == "link"][index]
        await platform.settle()
        said = await facts(platform, but=link_id)
        before, before_states = await everything(run), await states(run)
        try:
            dry = await platform.undo(link_id, dry_run=True)
            assert await everything(run) == before
            done = await platform.undo(link_id)
        except (LaterFactsDepend, UserDisabled) as refusal:
            return refusal.code
        await assert_tables_are_the_fold(platform, run.phones)
        assert dry == msgspec.structs.replace(done, dry_run=True)
        undone, undone_states = await everything(run), await states(run)
        restored = await platform.undo(done.undo_id)
        await assert_tables_are_the_fold(platform, run.phones)
        assert await everything(run) == before
        assert await states(run) == before_states
        assert restored.link_id == link_id
        answers = run.answers[:number] + run.answers[number + 1 :]
    async with InProcess(directory / "b") as platform:
        run = Run(platform)
        await tell(run, steps, but=number)
        if (await facts(platform), run.answers) != (said, answers) or made(run.links, index) != made(links, index):
            return "without the link other calls end otherwise: that is another history"
        assert (await everything(run), await states(run)) == (undone, undone_states)
    return "equal"


async def facts(platform: InProcess, *, but: str = "") -> list[tuple[Any, ...]]:
    """What was said, and of whom, without the fact `but`; the same registrations give out the same ids."""
    app_id = platform.app.app_id
    found = await platform.context.store.read(lambda tx: ledger.facts_of_app(tx, app_id, 0, 1000))
    return [
        (entry.kind, entry.install_id, entry.user_id, entry.external_id, entry.fields)
        for entry in found
        if entry.fact_id.hex() != but
    ]


def made(links: list[str | None], but: int) -> list[bool]:
    """Which links were made, the one at index `but` aside."""
    return [link is not None for number, link in enumerate(links) if number != but]


RELAXED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


def compare(tmp_path_factory: pytest.TempPathFactory, count: int) -> Counter[str]:
    """How so many histories ended."""
    ended: Counter[str] = Counter()

    @settings(max_examples=count, deadline=None, suppress_health_check=RELAXED, database=None)
    @given(histories(), st.integers(0, 9))
    def check(steps: list[Step], pick: int) -> None:
        ended[asyncio.run(_undone_equals_never(tmp_path_factory.mktemp("history"), steps, pick))] += 1

    check()
    return ended


def test_a_link_that_is_undone_leaves_what_would_have_been_without_it(tmp_path_factory):
    assert compare(tmp_path_factory, 30)["equal"] >= 5


@pytest.mark.prove
def test_a_link_that_is_undone_leaves_what_would_have_been_without_it_ten_thousand_times(tmp_path_factory):
    ended = compare(tmp_path_factory, EXAMPLES)
    print(f"\n{ended['equal']} undos left what would have been without the link; {dict(ended)}")
    assert ended["equal"] >= EXAMPLES // 3
    assert ended["LATER_FACTS_DEPEND"] > 0


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


def test_taking_a_restored_link_back_names_the_account_of_the_link(tmp_path):
    async def story() -> None:
        async with InProcess(tmp_path) as platform:
            first, second = await platform.register(), await platform.register()
            anna = (await platform.link(first, "anna")).id
            undone = await platform.undo((await platform.link(second, "anna")).link_id)
            restored = await platform.undo(undone.undo_id)
            again = await platform.undo(restored.undo_id)
            assert [undone.user_id, restored.user_id, again.user_id] == [anna, anna, anna]
            assert again.own_user_id == second.own_user_id

    asyncio.run(story())


def test_an_undo_moves_no_id_of_anybody_whom_it_does_not_concern(tmp_path):
    """The id of Anna's first phone stays with Anna, and with her second phone when that is the last; so it remains."""

    async def story():
        async with InProcess(tmp_path) as platform:
            first, second, berts, other = phones = [await platform.register() for _ in range(4)]
            to_anna = await platform.link(first, "anna")
            of_bert = await platform.link(berts, "bert")
            of_second = await platform.link(second, "anna")
            await platform.undo(to_anna.link_id)
            to_bert = await platform.link(first, "bert")
            await platform.link(other, "bert")
            await platform.undo(of_bert.link_id)
            told = await platform.undo(of_second.link_id)
            assert told.own_user_id == first.own_user_id
            apart = await platform.undo(to_bert.link_id)
            await assert_tables_are_the_fold(platform, phones)
            assert await own_user_of(platform, second) == told.own_user_id
            assert await own_user_of(platform, first) == apart.own_user_id != told.own_user_id

    asyncio.run(story())


async def own_user_of(platform, phone):
    row = await platform.context.store.read(
        lambda tx: tx.one("SELECT own_user FROM installs WHERE install_id = $1", bytes.fromhex(phone.install_id))
    )
    return row[0].hex()


class Seeded:
    """A platform of a seed on which every call is made, or tried first and then made."""

    def __init__(self, platform: InProcess, *, tries_first: bool) -> None:
        self.platform = platform
        self._tries_first = tries_first

    async def call(self, call) -> Any:
        tried = await call(True) if self._tries_first else None
        done = await call(False)
        assert tried is None or wire.plain(tried).keys() >= {"dry_run"}
        return done if tried is None else same_ids(tried, done)

    async def link(self, phone: Phone, person: str) -> str:
        return (await self.call(lambda dry: self.platform.link(phone, person, dry_run=dry))).link_id

    async def undo(self, link_id: str) -> wire.Undone:
        return await self.call(lambda dry: self.platform.undo(link_id, dry_run=dry))

    async def operate(self, phone: Phone) -> None:
        at, install_id, user_id = (self.platform.context, self.platform.key), phone.install_id, phone.own_user_id
        await self.call(lambda dry: operate.set_install_state(*at, install_id, "disabled", Order(dry_run=dry)))
        await self.call(lambda dry: operate.set_user_state(*at, user_id, "disabled", Order(dry_run=dry)))
        await self.call(lambda dry: operate.set_user_state(*at, user_id, "enabled", Order(dry_run=dry)))
        await self.call(lambda dry: rename.rename(*at, user_id, wire.Rename("bertha"), Order(dry_run=dry)))
        with pytest.raises(Conflict):
            await operate.activate(*at, install_id, Order())
        with pytest.raises(Conflict):
            await rename.rename(*at, user_id, wire.Rename("anna"), Order())

    async def start_again(self) -> None:
        context = self.platform.context
        chance = SeededRandomness(1, await administer.id_counts(context))
        self.platform.context = replace(context, randomness=chance)


def same_ids(tried: Any, done: Any) -> Any:
    """What was done, where trying it told the same ids."""
    names = {"link_id", "undo_id", "user_id", "own_user_id"}
    told, made = wire.plain(tried), wire.plain(done)
    assert {name: told[name] for name in names & told.keys()} == {name: made[name] for name in names & made.keys()}
    return done


async def ids_given_out(directory: Path, *, tries_first: bool = False, starts_again: bool = False) -> list[str]:
    """What undos and registrations give out; calls that are refused, among them, give out nothing."""
    async with InProcess(directory) as platform:
        seeded, phones = Seeded(platform, tries_first=tries_first), [await platform.register() for _ in range(3)]
        first, _ = [await seeded.link(phone, "anna") for phone in phones[:2]]
        apart = await seeded.undo(first)
        restored = await seeded.undo(apart.undo_id)
        renamed = await seeded.link(phones[2], "berta")
        await seeded.operate(phones[2])
        with pytest.raises(LaterFactsDepend):
            await platform.undo(renamed)
        if starts_again:
            await seeded.start_again()
        phones += [await platform.register() for _ in range(2)]
        later, _ = [await seeded.link(phone, "carla") for phone in phones[3:]]
        again = await seeded.undo(later)
        users = [apart.own_user_id, again.own_user_id, *(phone.own_user_id for phone in phones)]
        assert len(set(users)) == len(users)
        return [apart.undo_id, restored.undo_id, again.undo_id, *users]


def test_the_ids_of_a_seeded_platform_are_those_of_every_run_started_again_or_with_dry_runs_between(tmp_path):
    runs = {"plain": {}, "tried": {"tries_first": True}, "started again": {"starts_again": True}}
    for name in runs:
        (tmp_path / name).mkdir()
    plain, *others = [asyncio.run(ids_given_out(tmp_path / name, **how)) for name, how in runs.items()]
    assert others == [plain, plain]


def test_an_id_that_was_given_on_stays_with_who_had_it_last_when_another_undo_takes_it_from_nobody(tmp_path):
    """The first phone's id went to the second, who then joined somebody; whose first link was undone after that."""

    async def story():
        async with InProcess(tmp_path) as platform:
            first, second, other, third = [await platform.register() for _ in range(4)]

            async def at_once(call):
                platform.clock.advance_to(platform.clock.now_ms() + 1000)
                return await call

            link = await at_once(platform.link(first, "anna"))
            linked_too = await at_once(platform.link(second, "anna"))
            undo = await at_once(platform.undo(link.link_id))
            given_on = await at_once(platform.undo(linked_too.link_id))
            assert given_on.own_user_id == first.own_user_id
            of_other = await at_once(platform.link(other, "ben"))
            restored = await at_once(platform.undo(undo.undo_id))
            await at_once(platform.link(second, "ben"))
            await at_once(platform.undo(restored.undo_id))
            await at_once(platform.link(third, "ben"))
            before = await profile.profile(platform.context, platform.key, first.own_user_id)
            await at_once(platform.undo(of_other.link_id))
            await assert_tables_are_the_fold(platform, [first, second, other, third])
            return before, await profile.profile(platform.context, platform.key, first.own_user_id)

    before, after = asyncio.run(story())
    assert before.external_id == after.external_id == "ben"
    assert before.id == after.id
