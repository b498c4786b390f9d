"""Persons whose histories are tied: they come together, as they were, in the order in which the ledger had them."""

from __future__ import annotations

import asyncio
import json
from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.flow.test_archive import (
    HOUR,
    ORDER,
    everything,
    exported,
    imported,
    is_what_the_facts_say,
    lines,
    people_of,
    same_person,
    sealed,
    two,
)

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, UserDisabled
from unbroken.flow import erase, operate, profile, rename
from unbroken.testing.in_process import START_MS, InProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from unbroken.testing.in_process import Phone

    Tell = Callable[[InProcess], Awaitable[None]]


async def renamed(platform: InProcess, phone: Phone, external_id: str) -> None:
    """Another name, and the one before is free."""
    body = wire.Rename(external_id, release_old=True)
    await rename.rename(platform.context, platform.key, phone.own_user_id, body, ORDER)


async def freed_by_an_undo(platform: InProcess) -> None:
    """Whoever takes the external id does so in the millisecond in which the undo freed it."""
    first, second = await platform.register(), await platform.register()
    undone = await platform.undo((await platform.link(first, "anna")).link_id)
    await platform.link(second, "anna")
    told = await exported(platform, undone.own_user_id), await exported(platform, second.own_user_id)
    assert lines(told[0], "fact")[-1]["at"] == lines(told[1], "fact")[-1]["at"]


async def given_up_by_a_rename(platform: InProcess) -> None:
    first, second = await platform.register(), await platform.register()
    await platform.link(first, "anna")
    platform.clock.advance_to(START_MS + HOUR)
    await renamed(platform, first, "berta")
    await platform.link(second, "anna")


async def undone_in_the_millisecond_of_the_link(platform: InProcess) -> None:
    """The undo reaches a link of the same millisecond: it stands before it, and not after it as above."""
    first, second = await platform.register(), await platform.register()
    linked = await platform.link(first, "anna")
    platform.clock.advance_to(START_MS + HOUR)
    await platform.link(second, "anna")
    await platform.undo(linked.link_id)


async def taken_by_turns(platform: InProcess) -> None:
    """Undone, and the undo undone, with somebody else in between, and no millisecond goes by."""
    first, second, third = [await platform.register() for _ in range(3)]
    undo = await platform.undo((await platform.link(first, "anna")).link_id)
    taken = await platform.link(second, "anna")
    await platform.undo(taken.link_id)
    await platform.undo(undo.undo_id)
    await renamed(platform, first, "berta")
    await platform.link(third, "anna")


async def led_on_by_way_of_another(platform: InProcess) -> None:
    """An id that an undo left behind stands for one that was retired later."""
    first, second, third = [await platform.register() for _ in range(3)]
    links = [await platform.link(phone, "anna") for phone in (first, second)]
    for link in links:
        await platform.undo(link.link_id)
    for phone in (third, second):
        await platform.link(phone, "berta")


TIES = [
    freed_by_an_undo,
    given_up_by_a_rename,
    undone_in_the_millisecond_of_the_link,
    taken_by_turns,
    led_on_by_way_of_another,
]


@pytest.mark.parametrize("tell", TIES)
def test_tied_persons_come_together_in_any_order_of_the_files(tmp_path, tmp_path_factory, tell: Tell):
    async def story() -> None:
        here, _ = two(tmp_path)
        async with here:
            await tell(here)
            archives = [await exported(here, user_id) for user_id in await people_of(here)]
            for given in permutations(archives):
                await come_whole(tmp_path_factory.mktemp("place"), given)

    asyncio.run(story())


async def come_whole(directory: Path, archives: tuple[bytes, ...]) -> None:
    async with InProcess(directory, seed=2) as there:
        await imported(there, *archives)
        for one in archives:
            assert same_person(await exported(there, lines(one, "header")[0]["user_id"])) == same_person(one)
        assert ties(await exported_all(there)) == ties(archives)
        await is_what_the_facts_say(there)


async def exported_all(platform: InProcess) -> list[bytes]:
    return [await exported(platform, user_id) for user_id in await people_of(platform)]


def ties(archives: Any) -> list[str]:
    return sorted(json.dumps(line) for one in archives for line in lines(one, "tied"))


@pytest.mark.parametrize("tell", TIES)
def test_none_of_tied_persons_comes_alone(tmp_path, tell: Tell):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            await tell(here)
            before = await everything(there)
            for one in await exported_all(here):
                with pytest.raises(InvalidRequest, match="does not come along") as refused:
                    await imported(there, one)
                assert "in one command" in (refused.value.hint or "")
            assert await everything(there) == before

    asyncio.run(story())


def test_an_archive_from_before_ties_were_told_comes_by_the_times_of_its_facts(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            first = await here.register()
            undone = await here.undo((await here.link(first, "anna")).link_id)
            here.clock.advance_to(START_MS + HOUR)
            await here.link(await here.register(), "anna")
            archives = await exported_all(here)
            assert ties(archives)
            await imported(there, *[without_ties(one) for one in reversed(archives)])
            assert (await there.undo(undone.link_id)).undo_id == undone.undo_id
            assert ties(await exported_all(there)) == ties(archives)

    asyncio.run(story())


def without_ties(archive_: bytes) -> bytes:
    return sealed(*[line for line in archive_.splitlines()[:-1] if not line.startswith(b'{"kind":"tied"')])


# One of them was erased


async def first_link_undone(platform: InProcess) -> tuple[wire.Linked, Phone]:
    """The second install is the person since, under the id of the first one; its own id leads there."""
    first, second = await platform.register(), await platform.register()
    linked = await platform.link(first, "anna")
    await platform.link(second, "anna")
    platform.clock.advance_to(START_MS + HOUR)
    await platform.undo(linked.link_id)
    return linked, second


async def other_than(platform: InProcess, user_id: str) -> str:
    (other,) = [one for one in await people_of(platform) if one != user_id]
    return other


def test_whoever_was_tied_to_somebody_erased_comes_alone_with_every_id_it_had(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            linked, second = await first_link_undone(here)
            other = await other_than(here, linked.id)
            await erase.erase(here.context, here.key, other, dry_run=False)
            told = await exported(here, linked.id)
            assert not lines(told, "tied")
            await imported(there, told)
            assert same_person(await exported(there, linked.id)) == same_person(told)
            for named in (linked.id, second.own_user_id):
                assert (await profile.profile(there.context, there.key, named)).id == linked.id
            await erase.erase(there.context, there.key, second.own_user_id, dry_run=False)
            assert not await people_of(there)
            assert not (await everything(there))["users"]

    asyncio.run(story())


def test_a_call_by_an_id_that_only_redirects_since_an_erasure_is_a_fact_like_any_other(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            linked, second = await first_link_undone(here)
            await erase.erase(here.context, here.key, await other_than(here, linked.id), dry_run=False)
            await operate.set_user_state(here.context, here.key, second.own_user_id, "disabled", ORDER)
            told = await exported(here, linked.id)
            assert lines(told, "fact")[-1]["user_id"] == linked.id
            await imported(there, told)
            assert same_person(await exported(there, linked.id)) == same_person(told)
            for platform in (here, there):
                with pytest.raises(UserDisabled):
                    await platform.undo(lines(told, "install")[0]["link_id"])

    asyncio.run(story())


def test_an_archive_from_before_the_other_was_erased_is_refused_and_a_new_one_comes(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            linked, _ = await first_link_undone(here)
            before = await exported(here, linked.id)
            await erase.erase(here.context, here.key, await other_than(here, linked.id), dry_run=False)
            with pytest.raises(InvalidRequest, match="does not come along") as refused:
                await imported(there, before)
            assert "erased meanwhile? Then export again" in (refused.value.hint or "")
            await imported(there, await exported(here, linked.id))

    asyncio.run(story())


@pytest.mark.parametrize("member", ["facts", "before"])
def test_a_tie_to_what_is_no_id_is_refused(tmp_path, member):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            await freed_by_an_undo(here)
            told = (await exported_all(here))[0].splitlines()[:-1]
            place = next(n for n, line in enumerate(told) if line.startswith(b'{"kind":"tied"'))
            wrong = {"facts": ["zz"], "before": "zz"}[member]
            told[place] = json.dumps({**json.loads(told[place]), member: wrong}, separators=(",", ":")).encode()
            with pytest.raises(InvalidRequest, match=rf"Line {place + 1}: 'zz' is no id"):
                await imported(there, sealed(*told))

    asyncio.run(story())
