"""Of payloads that are replayed, reordered, doubled, back-dated and forged, exactly those count that the model counts.

On every engine: `make test` sends some thousand, `make prove` a hundred thousand (`UNBROKEN_PAYLOADS`).
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from tests.engines import CLUSTER, POSTGRES, SQLITE, Engine
from tests.model.api import Api, Connection, create_app
from tests.model.history import Laboratory
from tests.model.hostile_payloads import FORGED, WAYS, Round
from tests.model.tables import Tables

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_A_ROUND = 1_920
FEW = {SQLITE: 2_000, POSTGRES: 1_000, CLUSTER: 1_000}
MANY = {SQLITE: 100_000, POSTGRES: 100_000, CLUSTER: 20_000}
OUTCOMES = {"accepted", "bad_clock", "too_late", "before_install", "before_link", "standby", "superseded"}


@pytest.fixture
def laboratory(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[Laboratory]:
    data, place = tmp_path_factory.mktemp("hostile") / "data", engine.place()
    with PlatformProcess(data, lab=True, settings=place) as platform:
        apps = {name: create_app(platform, name) for name in ("plain", "foreign")}
        with closing(Connection(platform.base_url)) as connection, Tables(data, place.get("database_url")) as tables:
            yield Laboratory(Api(connection), apps, tables)


def send(laboratory: Laboratory, count: int) -> Counter[str]:
    """At least so many payloads, in rounds; what they were, and how many items of them counted."""
    sent: Counter[str] = Counter()
    while sum(sent[way] for way in set(WAYS)) < count:
        history = laboratory.new_history("plain")
        played = Round(laboratory, history.app, history.begin)
        played.play(min(count, OF_A_ROUND))
        sent += played.sent
    return sent


def test_of_some_hostile_payloads_those_count_that_the_model_counts(laboratory: Laboratory, engine: Engine) -> None:
    sent = send(laboratory, FEW[engine.name])
    assert sent["counted items"] > 0
    assert {way for way in WAYS if not sent[way]} == set()
    assert set(laboratory.seen) >= OUTCOMES - {"standby"}


@pytest.mark.prove
def test_of_a_hundred_thousand_hostile_payloads_those_count_that_the_model_counts(
    laboratory: Laboratory, engine: Engine
) -> None:
    sent = send(laboratory, engine.count("UNBROKEN_PAYLOADS", MANY))
    print(f"\non {engine.name}: {sum(sent[way] for way in set(WAYS))} payloads")
    print(", ".join(f"{what}: {count}" for what, count in sorted((sent + laboratory.seen).items())))
    assert {way for way in WAYS if not sent[way]} == set()
    assert {way for way in FORGED if not sent[f"forged: {way}"]} == set()
    assert set(laboratory.seen) >= OUTCOMES
