"""What the checker does with histories of which it is known what they are."""

from __future__ import annotations

from random import Random  # noqa: TID251 - seeded, so that a failure can be played again
from typing import TYPE_CHECKING

import pytest
from tests.model.linearizability.checker import Undecided, check, parts
from tests.model.linearizability.mutation import flipped
from tests.model.linearizability.operations import read, write
from tests.model.linearizability.scene import Scene
from tests.model.linearizability.simulation import Simulation
from tests.model.linearizability.telling import contradiction, explanation, shortest_prefix

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(5))
def test_a_history_that_was_made_one_call_after_another_is_accepted(seed: int) -> None:
    history = Simulation(Random(seed)).run(calls=80)
    assert check(history).is_linearizable, explanation(history)


def test_most_histories_with_one_answer_changed_are_rejected() -> None:
    random, rejected = Random(7), 0
    history = Simulation(random).run(calls=60)
    for _ in range(40):
        rejected += not check(flipped(history, random)).is_linearizable
    assert rejected >= 24, f"{rejected} of 40"


def test_what_has_nothing_in_common_is_judged_apart() -> None:
    scene = Scene()
    for install, account in (("a", "ada"), ("b", "bob")):
        scene.register(install)
        scene.link(install, account, f"link-{install}", f"own-{install}")
    assert sorted(len(part) for part in parts(scene.operations)) == [2, 2]
    scene.refused("link", 403, "INSTALL_LINKED_TO_OTHER_USER", install="a", account="bob")
    assert len(parts(scene.operations)) == 1


@pytest.mark.parametrize("stands_for", ["the phone", "the account"])
def test_an_id_that_an_undo_gave_to_an_install_stands_for_it_and_not_for_who_had_it_before(stands_for: str) -> None:
    """The tablet had the id of the phone's own user when it was linked again; the next undo gives that to the phone."""
    scene = Scene()
    scene.register("the phone")
    scene.register("a tablet", "tablet")
    scene.link("the phone", "ada", "link-1", "own-the phone")
    scene.link("a tablet", "ada", "link-2", "own-the phone", "standby")
    scene.undo("link-1", "undo-1", "own-the phone", "fresh")
    scene.undo("link-2", "undo-2", "own-the phone", "own-the phone")
    scene.link("the phone", "ada", "link-3", "fresh")
    scene.undo("undo-2", "undo-3", "fresh", "fresh", of="link-2")
    scene.undo("link-3", "undo-4", "fresh", "own-the phone")
    if stands_for == "the phone":
        scene.profile("own-the phone", "own-the phone", "the phone", None)
    else:
        scene.profile("own-the phone", "fresh", "a tablet", "ada")
    assert check(scene.operations).is_linearizable == (stands_for == "the phone")


def test_a_search_that_is_too_long_says_so() -> None:
    with pytest.raises(Undecided, match="were not judged within 20 steps"):
        check(Simulation(Random(1)).run(calls=60), steps_max=20)


def test_the_shortest_prefix_ends_with_the_lie() -> None:
    scene = Scene()
    scene.register("a")
    scene.link("a", "ada", "link-1", "own-a")
    scene.find("ada", None)
    lie = len(scene.operations)
    for _ in range(5):
        scene.find("ada", "own-a", "a")
    assert [one.number for one in shortest_prefix(scene.operations)] == list(range(lie))


def test_a_contradiction_is_told_without_what_does_not_belong_to_it() -> None:
    scene = Scene()
    scene.register("a")
    for _ in range(4):
        scene.state("a", "own-a", "active", linked=False)
    scene.link("a", "ada", "link-1", "own-a")
    scene.find("ada", None)
    assert [one.kind for one in contradiction(scene.operations)] == ["register", "link", "find"]
    assert "find account=ada -> 404 code=NOT_FOUND" in explanation(scene.operations)


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = Simulation(Random(3)).run(calls=40)
    write(tmp_path / "history.jsonl", history)
    again = read(tmp_path / "history.jsonl")
    assert [(one.number, one.names) for one in again] == [(one.number, one.names) for one in history]
    assert check(again).is_linearizable


def many_unknown(lost: int) -> Scene:
    """Phones of which nobody knows whether they were linked, and one that was, after any of them or none."""
    scene = Scene()
    for number in range(lost + 1):
        scene.register(f"phone-{number}")
    for number in range(lost):
        scene.lost("link", install=f"phone-{number}", account="ada")
    scene.link(f"phone-{lost}", "ada", "the link", "own-phone-0")
    scene.find("ada", "own-phone-0", f"phone-{lost}")
    return scene


def test_of_too_many_explanations_a_few_are_followed_to_the_end() -> None:
    scene = many_unknown(lost=7)
    assert check(scene.operations, steps_max=30_000).is_linearizable


def test_where_none_of_those_few_goes_on_nothing_is_known() -> None:
    scene = many_unknown(lost=7)
    scene.find("ada", None)
    with pytest.raises(Undecided):
        check(scene.operations, steps_max=30_000)
