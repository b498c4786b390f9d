"""Law 8: any permutation, repetition, re-batching and delay of the same uploads gives the same bytes.

Two labs of one seed get the same registrations and links at the same instants, so their ids agree; one gets the uploads
in order, the other torn apart, settled at other moments. On every engine: `make prove` tells 1,000 stories on SQLite,
and hundreds on the others (`UNBROKEN_STORIES`); one alone is told with `UNBROKEN_STORY=number`.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again
from typing import TYPE_CHECKING

import pytest
from tests.engines import CLUSTER, POSTGRES, SQLITE, Engine
from tests.model.api import DAY_MS, WEEK_MS, Api, App, Connection, create_app, random_uuid
from tests.model.days import Delivery, Story, in_order, tell, torn

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

FEW = {SQLITE: 10, POSTGRES: 3, CLUSTER: 2}
MANY = {SQLITE: 1_000, POSTGRES: 300, CLUSTER: 100}


@dataclass(eq=False)
class Lab:
    """One of two servers that must end alike."""

    api: Api
    app: App
    installs: dict[int, str] = field(default_factory=dict)
    credentials: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, tuple[int, str]] = field(default_factory=dict)
    user_id: str = ""
    uploads: int = 0


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Iterator[tuple[Lab, Lab]]:
    directory = tmp_path_factory.mktemp("order")
    with (
        PlatformProcess(directory / "a", lab=True, seed=5, settings=engine.place()) as one,
        PlatformProcess(directory / "b", lab=True, seed=5, settings=engine.place()) as other,
        closing(Connection(one.base_url)) as to_one,
        closing(Connection(other.base_url)) as to_other,
    ):
        yield Lab(Api(to_one), create_app(one, "order")), Lab(Api(to_other), create_app(other, "order"))


def test_a_few_torn_stories_give_the_same_bytes(labs: tuple[Lab, Lab], engine: Engine) -> None:
    compare_stories(labs, range(FEW[engine.name]))


@pytest.mark.prove
def test_many_torn_stories_give_the_same_bytes(labs: tuple[Lab, Lab], engine: Engine) -> None:
    count = engine.count("UNBROKEN_STORIES", MANY)
    only = os.environ.get("UNBROKEN_STORY")
    told = compare_stories(labs, [int(only)] if only else range(1_000, 1_000 + count))
    print(f"\n{told} stories on {engine.name} gave the same bytes in any order")


def compare_stories(labs: tuple[Lab, Lab], numbers: range | list[int]) -> int:
    begin = max(lab.api.now_ms for lab in labs)
    for number in numbers:
        begin = (max(begin, *(lab.api.now_ms for lab in labs), 17_000 * DAY_MS) // WEEK_MS + 1) * WEEK_MS
        story, random = tell(number, begin), Random(number * 7 + 1)
        smooth, rough = labs
        first, last = in_order(story), torn(story, random)
        end = max(delivery.at for delivery in first + last) + DAY_MS if first + last else story.end
        expected = deliver(smooth, story, first, end, settle_every=random.choice([1, 1_000_000]), random=random)
        got = deliver(rough, story, last, end, settle_every=random.choice([1, 3, 10]), random=random)
        assert smooth.user_id == rough.user_id, f"story {number}: the labs no longer give out the same ids"
        assert got == expected, f"story {number} depends on the order of its uploads"
        assert len(expected) > 2, f"story {number} has no timeline at all"
    return len(numbers)


def deliver(
    lab: Lab, story: Story, deliveries: list[Delivery], end: int, *, settle_every: int, random: Random
) -> bytes:
    """Play it on one server and read the timeline, at one and the same instant on both."""
    steps = [(carrier.registered_at, 0, carrier.name) for carrier in story.carriers]
    steps += [(carrier.linked_at, 1, carrier.name) for carrier in story.carriers]
    steps += [(delivery.at, 2, place) for place, delivery in enumerate(deliveries)]
    for done, (at, kind, which) in enumerate(sorted(steps), 1):
        lab.api.now_ms = at
        (register, link, upload)[kind](lab, story, deliveries, which)
        if done % settle_every == 0:
            lab.api.settle()
            if lab.user_id and random.random() < 0.1:
                read(lab, story)
    lab.api.now_ms = end
    lab.api.settle()
    return read(lab, story)


def register(lab: Lab, story: Story, deliveries: list[Delivery], name: int) -> None:
    reply = lab.api.register(lab.app.basic, story.carriers[name].facts)
    assert reply.status == 201, reply
    lab.installs[name] = reply.json["install_id"]
    keep_credentials(lab, name, reply.json)


def keep_credentials(lab: Lab, name: int, told: dict[str, dict[str, str]]) -> None:
    lab.credentials[name] = str(told["install_credential"])
    lab.tokens[name] = lab.api.now_ms, told["user_token"]["token"]


def link(lab: Lab, story: Story, deliveries: list[Delivery], name: int) -> None:
    reply = lab.api.link(lab.app.bearer, lab.installs[name], f"story-{story.number}-{story.begin}")
    assert reply.status == 200, reply
    lab.user_id = reply.json["id"]


def upload(lab: Lab, story: Story, deliveries: list[Delivery], place: int) -> None:
    delivery = deliveries[place]
    issued_at, token = lab.tokens[delivery.carrier]
    if lab.api.now_ms - issued_at > 2 * DAY_MS:
        renewed = lab.api.tokens(lab.credentials[delivery.carrier])
        assert renewed.status == 200, renewed
        keep_credentials(lab, delivery.carrier, renewed.json)
        token = lab.tokens[delivery.carrier][1]
    lab.uploads += 1
    sent_at = lab.api.now_ms + delivery.skew_ms
    reply = lab.api.upload(token, sent_at, [(random_uuid(lab.uploads), delivery.items)])
    assert reply.status == 202, reply
    assert reply.json["results"][0]["invalid"] == [], reply


def read(lab: Lab, story: Story) -> bytes:
    reply = lab.api.events(lab.app.bearer, lab.user_id, story.begin - DAY_MS, story.end + 7 * DAY_MS)
    assert reply.status == 200, reply
    return reply.body
