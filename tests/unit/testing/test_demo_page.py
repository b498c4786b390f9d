from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from unbroken import wire
from unbroken.demo import page, words
from unbroken.demo.day import Day, TownMap
from unbroken.demo.lanes import lanes_of
from unbroken.demo.run import Outcome
from unbroken.demo.verdict import Verdict, compare
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey

START = 1_780_000_000_000
JOURNEY = Journey(HOME).stay(60).walk(CAFE).stay(30).ride(OFFICE).stay(60)
ITEMS = tuple(JOURNEY.items(START))
DAY = Day("A day <of> tests & more", "Europe/Brussels", ITEMS, TownMap(places=(("<home>", HOME),)))
VOID = {"meta"}


def event(kind, start, end, install, **fields):
    until = None if end is None else wire.iso(START + end * 60_000)
    return {"type": kind, "start": wire.iso(START + start * 60_000), "end": until, "install_id": install, **fields}


def outcome():
    half = START + 60 * 60_000
    items = [
        {
            "install_id": "a" * 24 if item.t < half else "b" * 24,
            "captured_at": wire.iso(item.t),
            "received_at": wire.iso(item.t + (7_200_000 if half - 900_000 < item.t < half else 1_000)),
            "outcome": "superseded" if index % 17 == 0 else "accepted",
            "item": wire.plain(item),
        }
        for index, item in enumerate(ITEMS)
    ]

    def install(letter, state, since, until):
        return {
            "install_id": letter * 24,
            "form": "phone",
            "state": state,
            "registered_at": wire.iso(since),
            "activations": [{"activation_id": "x", "from": wire.iso(since), "to": until and wire.iso(until)}],
        }

    return Outcome(
        timeline=[
            event(
                "Stationary", 0, 60, "a" * 24,
                latitude=HOME.lat, longitude=HOME.lon, location={"significance": "home"},
            ),
            event("Transport", 60, 68, "b" * 24, mode="walking", distance=650),
            event("OffTheGrid", 68, 70, "b" * 24),
            event("Stationary", 70, None, "b" * 24, latitude=OFFICE.lat, longitude=OFFICE.lon),
        ],
        installs=[install("a", "superseded", START, half), install("b", "active", half, None)],
        items=items,
        names={"a" * 24: "phone <A>", "b" * 24: "phone B"},
        network={"delivered": 40, "lost": 3},
        story=[(START, "It <begins> & goes on.")],
    )  # fmt: skip


EQUAL = Verdict(4, None)


def written(verdict=EQUAL):
    return page.write(DAY, outcome(), lanes_of(outcome()), verdict)


class Checker(HTMLParser):
    """Whether every element is closed where it should be, and what could fetch something."""

    def __init__(self):
        super().__init__()
        self.open, self.fetches, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.fetches += [name for name, _ in attrs if name in {"src", "href", "xlink:href", "srcset", "action"}]

    def handle_startendtag(self, _, attrs):
        self.fetches += [name for name, _ in attrs if name in {"src", "href", "xlink:href", "srcset"}]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def checked():
    checker = Checker()
    checker.feed(written())
    checker.close()
    return checker


def test_the_page_is_whole_and_fetches_nothing(checked):
    assert checked.open == []
    assert checked.fetches == []
    assert not re.search(r"url\(|@import|https?://|<script", written())


def test_what_comes_from_outside_is_escaped(checked):
    text = "".join(checked.texts)
    for words_ in ("A day <of> tests & more", "phone <A>", "It <begins> & goes on.", "<home>"):
        assert words_ in text, words_


def test_the_page_shows_lanes_map_timeline_and_what_was_late(checked):
    text = "".join(checked.texts)
    for words_ in ("superseded", "At home", "On foot", "650 m", "1 h 00 min", "goes on", "Off the grid", "arrived at"):
        assert words_ in text, words_
    assert written().count("<svg") == 2


def test_the_verdict_is_shown_either_way():
    equal, unequal = written(), written(Verdict(4, "event 2: end is 'x'"))
    assert [re.findall("class='verdict (.*?)'", page) for page in (equal, unequal)] == [["equal"], ["unequal"]]
    assert "Equal to one phone" in equal
    assert "event 2: end is &#x27;x&#x27;" in unequal


def test_drawings_have_no_number_that_is_none_or_nan():
    assert not re.search(r'="[^"]*\b(nan|inf|None)\b', written())


def test_times_are_local(checked):
    assert words.clock(START, words.zone_of("Europe/Brussels")) in checked.texts
    assert words.clock(START, words.zone_of("UTC")) != words.clock(START, words.zone_of("Europe/Brussels"))


def test_an_unknown_zone_is_told_in_utc():
    assert words.clock(START, words.zone_of("Mars/Olympus")) == words.clock(START, words.zone_of("UTC"))


# The verdict


def test_timelines_are_equal_whatever_installs_they_came_from():
    one = [event | {"install_id": "f" * 24, "activation_id": "z", "installs": []} for event in outcome().timeline]
    assert compare(outcome().timeline, one) == Verdict(4, None)


def test_any_other_difference_is_told():
    one = outcome().timeline
    one[1] = one[1] | {"distance": 651}
    verdict = compare(outcome().timeline, one)
    assert not verdict.is_equal
    assert verdict.difference == "event 2: distance is 650, of one phone 651"


def test_a_missing_event_is_told():
    assert "only one phone has it" in compare(outcome().timeline[:3], outcome().timeline).difference
    assert "only the four installs has it" in compare(outcome().timeline, outcome().timeline[:3]).difference


def test_an_empty_timeline_is_equal_to_nothing():
    assert not compare([], []).is_equal
