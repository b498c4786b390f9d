"""What holds for every stream of items, however likely."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from timeline_stories import USER, anonymous, dealt, streams, told

from unbroken.domain.timeline.event import Event, EventType
from unbroken.domain.timeline.fold import fold, start, tail
from unbroken.domain.timeline.freeze import freeze, thaw
from unbroken.domain.timeline.item import Fix, Item

many = settings(max_examples=300, deadline=None)


def cuts_of(items: list[Item]) -> list[int]:
    """The indices at which a stream may be cut: the next item is strictly later."""
    return [at for at in range(1, len(items)) if items[at].at_ms > items[at - 1].at_ms]


def numbers_of(event: Event) -> list[float]:
    fields = (event.lat, event.lon, event.radius_m, event.distance_m, event.confidence)
    return [number for number in fields if number is not None]


@many
@given(streams())
def test_events_tile_the_time_from_the_first_fix_to_the_last_item(items: list[Item]) -> None:
    events = told(items)

    assert events[0].start_ms == next((item for item in items if isinstance(item, Fix)), items[0]).at_ms
    assert all(event.end_ms is not None and event.start_ms < event.end_ms for event in events[:-1])
    assert all(event.end_ms == after.start_ms for event, after in pairwise(events))
    assert events[-1].end_ms is None
    assert events[-1].start_ms <= items[-1].at_ms


@many
@given(streams())
def test_two_neighbours_never_share_type_and_mode(items: list[Item]) -> None:
    assert all((event.type, event.mode) != (after.type, after.mode) for event, after in pairwise(told(items)))


@many
@given(streams())
def test_a_stay_lasts_five_minutes_or_is_open(items: list[Item]) -> None:
    stays = [event for event in told(items) if event.type is EventType.STATIONARY]

    assert all(stay.end_ms is None or stay.end_ms - stay.start_ms >= 300_000 for stay in stays)


@many
@given(streams())
def test_all_numbers_are_finite_and_on_earth(items: list[Item]) -> None:
    events = told(items)

    assert all(math.isfinite(number) for event in events for number in numbers_of(event))
    assert all(-90 <= event.lat <= 90 for event in events if event.lat is not None)
    assert all(-180 <= event.lon <= 180 for event in events if event.lon is not None)


@many
@given(streams())
def test_ids_are_unique_and_transport_alone_has_a_mode(items: list[Item]) -> None:
    events = told(items)

    assert len({event.event_id for event in events}) == len(events)
    assert all((event.mode is not None) == (event.type is EventType.TRANSPORT) for event in events)


@many
@given(streams(), st.data())
def test_a_stream_may_be_cut_and_its_state_frozen_anywhere(items: list[Item], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.sampled_from(cuts_of(items) or [len(items)]), max_size=6)))
    state, events = start(USER), []
    for begin, end in pairwise([0, *cuts, len(items)]):
        folded = fold(state, items[begin:end])
        events += folded.events
        blob = freeze(folded.state)
        state = thaw(blob)
        assert state == folded.state
        assert freeze(state) == blob

    assert [*events, *tail(state)] == told(items)


@many
@given(streams())
def test_replaying_from_a_checkpoint_equals_replaying_from_the_first_item(items: list[Item]) -> None:
    whole = fold(start(USER), items)

    for checkpoint in whole.checkpoints:
        later = [item for item in items if item.at_ms > checkpoint.at_ms]
        again = fold(thaw(freeze(checkpoint.state)), later)
        assert [*whole.events[: checkpoint.events_before], *again.events] == whole.events
        assert again.state == whole.state


@many
@given(streams(), st.data())
def test_who_captured_an_item_changes_nothing_but_the_names_of_installs(items: list[Item], data: st.DataObject) -> None:
    hands = data.draw(st.lists(st.integers(0, len(items)), max_size=12))

    cut = told(dealt(items, hands))

    assert [anonymous(event) for event in cut] == [anonymous(event) for event in told(items)]


@many
@given(streams(), st.data())
def test_events_name_only_installs_that_captured_items(items: list[Item], data: st.DataObject) -> None:
    dealt_items = dealt(items, data.draw(st.lists(st.integers(0, len(items)), max_size=3)))

    for event in told(dealt_items):
        assert event.install in event.installs
        assert set(event.installs) <= {item.install for item in dealt_items}


@many
@given(streams(), st.data())
def test_a_frozen_state_is_at_most_two_kilobytes(items: list[Item], data: st.DataObject) -> None:
    everyone = dealt(items, data.draw(st.lists(st.integers(0, len(items)), max_size=12)))
    until = data.draw(st.sampled_from([*cuts_of(items), len(items)]))

    assert len(freeze(fold(start(USER), everyone[:until]).state)) <= 2048


@many
@given(streams())
def test_folding_leaves_the_given_state_as_it_is(items: list[Item]) -> None:
    half = fold(start(USER), [item for item in items if item.at_ms <= items[len(items) // 2].at_ms]).state
    before = freeze(half)

    fold(half, [item for item in items if item.at_ms > half.at_ms])
    tail(half)

    assert freeze(half) == before
