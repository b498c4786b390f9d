"""What the matrix looks for it also finds: each thing that may be wrong is made wrong once."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.faults.matrix.laws import broken
from tests.faults.matrix.leases import leases, not_moved, write_as
from tests.faults.matrix.load import Load
from tests.faults.matrix.operator import Operator
from tests.model.api import Api, App, Connection

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.matrix.load import Person

    from unbroken.flow.context import Context

pytestmark = pytest.mark.xdist_group("fault matrix laws")


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("laws") / "data", lab=False) as platform:
        yield platform


@pytest.fixture(scope="module")
def operator(platform: PlatformProcess) -> Operator:
    return Operator(platform.data, {})


@pytest.fixture(scope="module")
def app(operator: Operator) -> App:
    return operator.new_app("laws")


@pytest.fixture(scope="module")
def lived(platform: PlatformProcess, operator: Operator, app: App) -> list[Person]:
    with Load([platform.base_url], app) as load:
        load.until(40)
    operator.await_processed()
    return load.people


@pytest.fixture
def people(lived: list[Person]) -> list[Person]:
    return deepcopy(lived)


@pytest.fixture
def api(platform: PlatformProcess) -> Iterator[Api]:
    connection = Connection(platform.base_url)
    yield Api(connection, lab=False)
    connection.close()


def claim_an_item(person: Person) -> None:
    person.installs[0].captured.append(1)


def forget_an_item(person: Person) -> None:
    person.installs[0].captured.pop()


def count_an_item_twice(person: Person) -> None:
    person.installs[0].captured.append(person.installs[0].captured[0])


def claim_a_link(person: Person) -> None:
    person.installs.append(replace(person.installs[0], link_id="0" * 24))


def claim_another_link(person: Person) -> None:
    person.installs[0].link_id = "0" * 24


def claim_another_answer(person: Person) -> None:
    person.answered.add("0" * 24)


@pytest.mark.parametrize(
    ("make_wrong", "told"),
    [
        (claim_an_item, "items lost"),
        (forget_an_item, "not acknowledged or twice"),
        (count_an_item_twice, "items lost"),
        (claim_a_link, "registered"),
        (claim_another_link, "links lost"),
        (claim_another_answer, "was told"),
    ],
)
def test_what_is_not_as_it_was_acknowledged_is_found(
    api: Api, app: App, people: list[Person], make_wrong: Callable[[Person], None], told: str
) -> None:
    assert broken(api, app, people, are_clocks_right=True) == []

    make_wrong(people[0])

    found = broken(api, app, people, are_clocks_right=True)
    assert any(told in sentence for sentence in found), found


def test_a_write_under_an_epoch_is_refused_only_once_it_is_past(operator: Operator) -> None:
    async def leased_by(context: Context, holder: str) -> None:
        await context.log.lease([3], holder, 2**62, 2**62)

    operator.do(lambda context: leased_by(context, "one"))
    before = leases(operator)
    told = operator.do(lambda context: write_as(context, 3, before[3]))
    assert "took a write" in told[0]
    assert leases(operator) == before, "what it tried is taken back"

    operator.do(lambda context: leased_by(context, "other"))
    assert operator.do(lambda context: write_as(context, 3, before[3])) == []
    assert "no partition has moved" in not_moved(operator, before)[0]
