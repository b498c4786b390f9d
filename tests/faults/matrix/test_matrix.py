"""Every fault under load: nothing acknowledged is lost, nothing counted twice, the laws hold, the service comes back.

A round of the quick ones here; twenty of each are asked for with `-m prove`, or `python -m tests.faults.matrix`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from tests.faults.matrix.__main__ import asked, rounds, summary
from tests.faults.matrix.embedded import Embedded
from tests.faults.matrix.faults import EACH_CUT, EMBEDDED, KINDS, MEMBERS, TABLE, pairs
from tests.faults.matrix.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.matrix.faults import Fault

_ROUNDS: Final = 20
_QUICK: Final = {
    "kill PostgreSQL",
    "cut API and PostgreSQL",
    "full disk of postgres",
    "full disk of the embedded platform",
}
"""The others are killed in tests of their own."""

pytestmark = pytest.mark.xdist_group("fault matrix")  # one scene for all of them


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as scene:
        yield scene


@pytest.fixture(scope="module")
def embedded() -> Iterator[Embedded]:
    with Embedded() as scene:
        yield scene


def assert_borne(scene: Scene | Embedded, fault: Fault, count: int) -> None:
    played = rounds(scene, fault, range(count))
    print(summary(fault.name, played))
    assert [str(one) for one in played if one.wrong] == []
    assert scene.operator.findings() == []


@pytest.mark.parametrize("fault", [one for one in TABLE if one.name in _QUICK], ids=lambda fault: fault.name)
def test_a_cluster_bears_a_fault_under_load(scene: Scene, fault: Fault) -> None:
    assert_borne(scene, fault, 1)


@pytest.mark.parametrize("fault", [one for one in EMBEDDED if one.name in _QUICK], ids=lambda fault: fault.name)
def test_one_process_on_sqlite_bears_a_fault_under_load(embedded: Embedded, fault: Fault) -> None:
    assert_borne(embedded, fault, 1)


@pytest.mark.prove
@pytest.mark.parametrize("fault", TABLE, ids=lambda fault: fault.name)
def test_a_cluster_bears_every_fault_twenty_times(scene: Scene, fault: Fault) -> None:
    assert_borne(scene, fault, _ROUNDS)


@pytest.mark.prove
@pytest.mark.parametrize("fault", EMBEDDED, ids=lambda fault: fault.name)
def test_one_process_on_sqlite_bears_every_fault_twenty_times(embedded: Embedded, fault: Fault) -> None:
    assert_borne(embedded, fault, _ROUNDS)


def test_the_commands_of_the_page_are_the_commands() -> None:
    page = Path(__file__).parents[3] / "docs" / "explanation" / "faults.md"
    commands = re.findall(r"^python -m tests\.faults\.matrix(.*?)(?:  .*)?$", page.read_text(), re.MULTILINE)
    assert len(commands) >= 4
    assert all(asked(shlex.split(words))[1] for words in commands)


def test_twenty_rounds_of_the_kinds_cut_every_pair_of_members() -> None:
    assert max(len(pairs(kind)) for kind in KINDS) <= _ROUNDS
    cut = {frozenset(pair) for kind in KINDS for pair in pairs(kind)}
    every = {frozenset((one, other)) for one in MEMBERS for other in MEMBERS if one != other}
    assert cut == every
    assert len(EACH_CUT) == len(every) == 28
