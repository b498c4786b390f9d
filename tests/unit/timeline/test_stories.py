"""What a timeline tells of a life, one sentence a test."""

from __future__ import annotations

from itertools import pairwise

from timeline_stories import ACTIVATION, INSTALL, NOON, USER, Story, dealt, told

from unbroken.domain.timeline.event import EventType, Mode, event_id
from unbroken.domain.timeline.fold import fold, start, tail
from unbroken.domain.timeline.item import Fix, order_key
from unbroken.domain.timeline.policy import CHECKPOINT_ITEMS

DAY_MIN = 24 * 60


def test_without_items_there_are_no_events() -> None:
    assert told([]) == []
    assert tail(start(USER)) == []


def test_a_single_fix_is_an_open_stay() -> None:
    (event,) = Story().fix().events()

    assert (event.type, event.start_ms, event.end_ms) == (EventType.STATIONARY, NOON, None)


def test_activity_samples_alone_place_nobody() -> None:
    (event,) = Story().feel("walking").wait(10).feel("still").events()

    assert (event.type, event.end_ms, event.lat, event.reason) == (EventType.UNKNOWN, None, None, "no_location")


def test_a_timeline_begins_with_the_first_fix_not_with_what_was_felt_before_it() -> None:
    first = Story().feel("still").wait(5).fix().stay(20).events()[0]

    assert (first.type, first.start_ms) == (EventType.STATIONARY, NOON + 300_000)


def test_a_night_of_silence_is_a_stay() -> None:
    story = Story().stay(10).wait(8 * 60).go(10, 1.4).go(20, 15).stay(10)

    night, *trip, day = story.events()

    assert night.type is day.type is EventType.STATIONARY
    assert night.end_ms is not None
    assert night.end_ms > NOON + 8 * 3_600_000
    assert night.inferred
    assert [leg.mode for leg in trip] == [Mode.WALKING, Mode.CAR]


def test_a_day_without_any_item_is_off_the_grid_even_at_the_same_place() -> None:
    story = Story().stay(20).wait(DAY_MIN + 1).stay(20)

    assert story.summary() == ["Stationary", "OffTheGrid", "Stationary"]


def test_a_day_without_fixes_is_a_stay_while_the_phone_feels_still() -> None:
    story = Story().stay(20)
    for _ in range(30):
        story.wait(60).feel("still")

    assert story.fix().stay(20).summary() == ["Stationary"]


def test_ten_years_of_silence_are_off_the_grid() -> None:
    story = Story().stay(20).wait(3650 * DAY_MIN).jump(9_000).stay(20)

    assert story.summary() == ["Stationary", "OffTheGrid", "Stationary"]


def test_silence_too_far_for_a_stay_and_too_slow_for_a_ride_is_off_the_grid() -> None:
    story = Story().go(10, 4).wait(120).jump(15_000).stay(20)

    assert story.summary()[-2:] == ["OffTheGrid", "Stationary"]


def test_a_short_silence_on_the_way_is_part_of_the_ride() -> None:
    assert Story().stay(20).go(10, 20).wait(9).jump(11_000).go(10, 20).stay(20).summary()[1:-1] == ["car"]


def test_walk_bus_walk() -> None:
    story = Story().stay(20).go(8, 1.4, motion="walking").go(15, 9, motion="automotive").go(8, 1.4, motion="walking")

    assert story.stay(20).summary() == ["Stationary", "walking", "bus", "walking", "Stationary"]


def test_a_drive_from_door_to_door_is_by_car() -> None:
    assert Story().stay(20).go(20, 22, motion="automotive").stay(20).summary() == ["Stationary", "car", "Stationary"]


def test_a_ride_on_a_bicycle_is_felt() -> None:
    assert Story().stay(20).go(20, 5, motion="cycling").stay(20).summary() == ["Stationary", "biking", "Stationary"]


def test_a_run_is_felt() -> None:
    assert Story().stay(20).go(20, 3, motion="running").stay(20).summary() == ["Stationary", "running", "Stationary"]


def test_a_fast_train_is_reached_and_left_on_foot() -> None:
    story = Story().stay(20).go(8, 1.4).go(30, 40).go(8, 1.4).stay(20)

    assert story.summary() == ["Stationary", "walking", "train", "walking", "Stationary"]


def test_a_subway_is_fast_without_sky() -> None:
    story = Story().stay(20).go(8, 1.4)
    for _ in range(4):
        story.wait(4).jump(240 * 20).fix()

    assert story.go(8, 1.4).stay(20).summary() == ["Stationary", "walking", "subway", "walking", "Stationary"]


def test_a_flight_is_one_leg_across_a_silence_of_hours() -> None:
    story = Story().stay(30).wait(180).jump(0, 2_000_000).stay(30)

    _, flight, _ = story.events()

    assert flight.mode is Mode.FLIGHT
    assert flight.distance_m is not None
    assert 1_900_000 < flight.distance_m < 2_100_000


def test_positions_that_contradict_each_other_are_unknown() -> None:
    assert "Unknown" in Story().stay(20).wait(1).jump(300_000).stay(20).summary()


def test_a_stop_of_four_minutes_is_no_stay() -> None:
    assert Story().stay(20).go(10, 12).stay(4, 20).go(10, 12).stay(20).summary() == ["Stationary", "car", "Stationary"]


def test_a_halt_before_the_silence_of_a_day_is_too_little_to_tell() -> None:
    assert Story().stay(3, 20).wait(2 * DAY_MIN).stay(20).summary() == ["Unknown", "OffTheGrid", "Stationary"]


def test_indoor_fixes_that_wander_for_a_moment_are_no_trip() -> None:
    assert Story().stay(20).jump(90).wait(1).fix().jump(-90).stay(20).summary() == ["Stationary"]


def test_a_lone_spike_is_not_believed() -> None:
    assert Story().stay(20).jump(9_000).wait(1).fix().jump(-9_000).stay(20).summary() == ["Stationary"]


def test_a_coarse_fix_does_not_move_a_person_at_home() -> None:
    assert Story().stay(20).wait(30).jump(1500).fix(acc_m=2000).jump(-1500).stay(20).summary() == ["Stationary"]


def test_a_coarse_fix_counts_when_it_is_the_only_one() -> None:
    (event,) = Story().fix(acc_m=3000).events()

    assert event.type is EventType.STATIONARY


def test_copies_within_a_second_change_nothing() -> None:
    story = Story().stay(20).go(10, 12).stay(20)
    copies = [item._replace(at_ms=item.at_ms + 3) for item in story.items]

    assert told([*story.items, *copies]) == story.events()


def test_thousands_of_identical_fixes_are_one_stay() -> None:
    story = Story()
    for _ in range(5_000):
        story.fix().wait(1)

    (event,) = story.events()

    assert (event.lat, event.lon, event.radius_m) == (60.17, 24.94, 10.0)


def test_a_walk_over_the_antimeridian_is_short() -> None:
    _, walk, _ = Story(lat=0.0, lon=179.995).stay(20).go(20, 1.4).stay(20).events()

    assert walk.mode is Mode.WALKING
    assert walk.distance_m is not None
    assert 1_400 < walk.distance_m < 1_900


def test_a_stay_at_the_pole_is_a_stay() -> None:
    story = Story(lat=90.0)
    for lon in range(-180, 180, 10):
        story.lon = float(lon)
        story.fix().wait(1)

    assert story.summary() == ["Stationary"]


def test_the_legs_of_a_trip_share_its_id_and_stays_have_none() -> None:
    home, *legs, work = Story().stay(20).go(8, 1.4).go(15, 20).stay(20).go(5, 1.4).events()[:4]

    assert home.trip_id is work.trip_id is None
    assert len({leg.trip_id for leg in legs}) == 1
    assert legs[0].trip_id


def test_an_event_is_named_after_its_person_its_kind_and_its_start() -> None:
    event = Story().stay(20).events()[0]

    assert event.event_id == event_id(USER, "Stationary", event.start_ms)
    assert len(event.event_id) == 26


def test_an_event_lists_all_installs_that_saw_it_and_belongs_to_the_first() -> None:
    story = Story().stay(40)

    (event,) = told(dealt(story.items, [15, 30]))

    assert (event.install, event.activation) == (b"install-0000", b"activation00")
    assert event.installs == (b"install-0000", b"install-0001", b"install-0002")


def test_an_install_is_forgotten_when_its_last_event_is_closed() -> None:
    story = Story().stay(20).go(10, 20).stay(20)

    last = told(dealt(story.items, [25]))[-1]

    assert last.installs == (b"install-0001",)


def test_a_checkpoint_is_taken_at_each_stay_and_at_least_every_few_hundred_items() -> None:
    story = Story().stay(20).go(10, 12).stay(20).go(10, 12).stay(20)
    for _ in range(2_000):
        story.fix().wait(1)

    checkpoints = fold(start(USER), story.items).checkpoints
    gaps = [sum(one.at_ms < item.at_ms <= two.at_ms for item in story.items) for one, two in pairwise(checkpoints)]

    assert len(checkpoints) >= 3 + 3
    assert max(gaps) <= CHECKPOINT_ITEMS


def test_items_of_one_instant_are_never_on_two_sides_of_a_checkpoint() -> None:
    twins = [
        Fix(NOON + second // 7 * 1000, 60.0, 24.0 + second % 7 / 1e6, 5.0, 0.0, INSTALL, ACTIVATION)
        for second in range(4_000)
    ]

    checkpoints = fold(start(USER), sorted(twins, key=order_key)).checkpoints

    assert checkpoints
    assert all(checkpoint.state.since_checkpoint == 0 for checkpoint in checkpoints)
    assert all((checkpoint.at_ms - NOON) % 1000 == 0 for checkpoint in checkpoints)
