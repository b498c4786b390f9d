"""Late, doubled, overtaking, wrongly dated: that the way to the platform does not change the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken import wire
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.network import BAD, GOOD
from unbroken.testing.platform import story_of
from unbroken.testing.scenarios import expect

if TYPE_CHECKING:
    from unbroken.testing.lab import Lab


def old_phone_uploads_after_the_hand_over(lab: Lab) -> None:
    """Complaint: points that arrive late are rejected, or appear as the newest.

    Here what the old phone captured before the hand-over counts, at its place, even if it arrives a week later; what
    it captured after it is kept aside.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    old.go_offline()
    old.travel(Journey(HOME).stay(30).walk(CAFE).stay(10))
    new = lab.phone("new phone").login(anna)
    old.start(Journey(CAFE).walk(HOME).stay(30))
    new.travel(Journey(CAFE).stay(20).ride(OFFICE).stay(30))
    before = expect.kinds(lab.timeline(anna))
    lab.wait(days=7)
    old.go_online()
    old.upload_all()

    assert before == ["Stationary", "Transport", "Stationary"], before
    assert expect.kinds(lab.timeline(anna)) == ["Stationary", "Transport", *before], expect.kinds(lab.timeline(anna))
    assert set(expect.outcomes(lab, anna)) == {"accepted", "superseded"}, expect.outcomes(lab, anna)
    expect.one_active(lab, anna, new)


def late_doubled_and_overtaking_uploads_change_nothing(lab: Lab) -> None:
    """Complaint: the same day looks different, depending on how the network was.

    Here two people who live the same day have the same story, one over a good network, one over a bad one.
    """
    lucky, unlucky = lab.person("lucky"), lab.person("unlucky")
    good, bad = lab.phone("good network").login(lucky), lab.phone("bad network").login(unlucky)
    bad.go_online(BAD)
    day = Journey(HOME).stay(60).walk(CAFE).stay(30).ride(OFFICE).stay(90).ride(HOME).stay(60)
    good.start(day)
    bad.travel(day, upload_every_s=120)
    bad.upload_all()
    good.upload_all()
    lab.wait(hours=1)

    bad_story, good_story = story_of(lab.timeline(unlucky)), story_of(lab.timeline(lucky))
    assert bad_story == good_story, f"over a bad network: {bad_story}; over a good one: {good_story}"
    assert len(good_story) == 7, good_story


def uploads_in_pieces_tell_the_same_day_as_one_upload(lab: Lab) -> None:
    """Complaint: a day that is looked at while it happens stays different from one that came in at once.

    Here what was told of an unfinished day is replaced without a trace, even where a phone felt movement before it
    knew where it was.
    """
    watched, unwatched = lab.person("watched"), lab.person("unwatched")
    pieces, at_once = lab.phone("pieces").login(watched), lab.phone("at once").login(unwatched)
    felt = [wire.Activity(t=lab.now_ms + minute * 60_000, type="unknown") for minute in range(1, 9)]
    day = [*felt, *Journey(HOME).walk(CAFE).stay(20).ride(OFFICE).stay(20).items(lab.now_ms + 600_000)]
    at_once.go_offline()
    at_once.start(day)
    pieces.start(day, upload_every_s=60)
    while lab.now_ms < day[-1].t:
        lab.wait(minutes=4)
        lab.timeline(watched)
    pieces.upload_all()
    at_once.go_online()
    at_once.upload_all()

    in_pieces, whole = story_of(lab.timeline(watched)), story_of(lab.timeline(unwatched))
    assert in_pieces == whole, f"in pieces: {in_pieces}; at once: {whole}"


def offline_logout_says_what_is_lost(lab: Lab) -> None:
    """Complaint: changing the account or the server silently deletes what was still waiting.

    Here a logout uploads first; without a network it says how many items it could not save, and the platform learns
    of it as soon as there is one.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    phone.travel(Journey(HOME).stay(20))
    phone.go_offline()
    phone.start(Journey(HOME).stay(10))
    lab.wait(minutes=11)
    waiting = phone.waiting
    result = phone.logout()
    assert waiting > 0
    assert result.lost_items == waiting, f"{waiting} items waited, {result.lost_items} were reported lost"
    assert not result.platform_told
    phone.go_online(GOOD)
    phone.login(anna)

    assert expect.states(lab, anna) == {"active": 1, "deleted": 1}


def power_cut_loses_nothing_captured(lab: Lab) -> None:
    """Complaint: the battery dies on the way, and what was captured on the way with it.

    Here what was captured is on the device's disk, and goes up when it is switched on again.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    phone.go_offline()
    phone.start(Journey(HOME).stay(20).walk(CAFE).stay(20))
    lab.wait(minutes=50)
    waiting = phone.waiting
    phone.power_off()
    lab.wait(hours=10)
    phone.go_online()
    phone.power_on()
    phone.upload_all()

    assert waiting > 0
    assert expect.outcomes(lab, anna) == {"accepted": waiting}
    assert expect.kinds(lab.timeline(anna)) == ["Stationary", "Transport", "Stationary"]


def wrong_clock_is_corrected(lab: Lab) -> None:
    """Complaint: a phone whose clock is wrong puts a day at the wrong hours, or is refused.

    Here each upload says what the device believes the time is, and its items are put right by the difference.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    right, wrong = lab.phone("right clock").login(anna), lab.phone("wrong clock")
    wrong.clock.error_ms = 3 * 3_600_000
    wrong.login(berta)
    day = Journey(HOME).stay(30).walk(CAFE).stay(30)
    right.start(day)
    wrong.travel(day)
    right.upload_all()

    assert story_of(lab.timeline(berta)) == story_of(lab.timeline(anna))


def year_of_new_phones_is_one_timeline(lab: Lab) -> None:
    """Complaint: linking cannot be tested without weeks of walking around with real phones.

    Here a year with a new phone every month passes in seconds, and is one person's one timeline.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    for month in range(1, 12):
        phone.travel(Journey(HOME).stay(20).walk(CAFE).stay(20))
        lab.wait(days=30)
        phone = lab.phone(f"phone of month {month}").login(anna)
    phone.travel(Journey(HOME).stay(20))

    assert expect.states(lab, anna) == {"active": 1, "superseded": 11}
    expect.one_active(lab, anna, phone)
    timeline = lab.timeline(anna)
    expect.tiled(timeline)
    walks = [event for event in timeline if event.get("mode") == "walking"]
    assert len(walks) == 11, f"{len(walks)} walks in a year of eleven"
