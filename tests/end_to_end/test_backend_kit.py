"""The backend kit against a real platform, once on each shell: what the fake of the unit tests says is true."""

from __future__ import annotations

import asyncio
import inspect
from datetime import timedelta

import pytest

from unbroken.backend import AsyncPlatform, Options, Platform, errors
from unbroken.testing.journey import Journey, Place
from unbroken.testing.lab import Lab
from unbroken.wire import EPOCH

HOME = Place(52.5200, 13.4050)
CAFE = HOME.moved(north_m=900)
OFFICE = HOME.moved(east_m=9_000)


class Awaited:
    """An AsyncPlatform that is called like a Platform."""

    def __init__(self, target, runner):
        self.target, self.runner = target, runner

    def __getattr__(self, name):
        value = getattr(self.target, name)
        if not callable(value):
            return Awaited(value, self.runner)
        return lambda *a, **k: self.run(value(*a, **k))

    def run(self, value):
        async def listed():
            return [item async for item in value]

        async def awaited():
            return await value

        return self.runner.run(awaited() if inspect.isawaitable(value) else listed())


@pytest.fixture(scope="module")
def lab():
    with Lab(seed=11) as lab:
        yield lab


@pytest.fixture(params=["blocking", "asyncio"])
def kit(request, lab):
    options = Options(headers=lambda: {"Lab-Time": str(lab.now_ms)})
    if request.param == "blocking":
        with Platform(lab.app.base_url, api_key=lab.app.api_key, options=options) as platform:
            yield platform
    else:
        with asyncio.Runner() as runner:
            platform = Awaited(AsyncPlatform(lab.app.base_url, api_key=lab.app.api_key, options=options), runner)
            yield platform
            platform.close()


@pytest.fixture(scope="module")
def story(lab):
    """Anna had two phones: at home and a walk on the first, a ride to work on the second."""
    anna = lab.person("anna")
    old = lab.phone("old").login(anna)
    old.travel(Journey(HOME).stay(30).walk(CAFE).stay(20))
    changed_ms = lab.now_ms
    new = lab.phone("new").login(anna)
    new.travel(Journey(CAFE).stay(20).ride(OFFICE).stay(30))
    lab.view.settle()
    return {"external_id": anna.external_id, "old": old.install_id, "new": new.install_id, "changed_ms": changed_ms}


def day(ms):
    return (EPOCH + timedelta(milliseconds=ms)).date()


def test_a_person_is_found_by_account_and_by_id(kit, story):
    user = kit.users.by_external_id(story["external_id"])
    assert user.install_id == story["new"]
    assert kit.users.get(user.user_id) == user
    assert kit.users.by_external_id("nobody at all") is None


def test_a_timeline_is_read_whole_and_event_by_event(kit, lab, story):
    user_id = kit.users.by_external_id(story["external_id"]).user_id
    events = list(kit.users.timeline(user_id))
    as_served = lab.view.timeline(user_id, lab.began_ms, lab.now_ms)
    assert [event.event_id for event in reversed(events)] == [event["event_id"] for event in as_served]
    assert [event.distance_m for event in reversed(events)] == [event.get("distance") for event in as_served]
    assert {"car", "walking"} <= {event.mode for event in events}
    assert events[-1].latitude == pytest.approx(HOME.lat, abs=0.001)
    assert list(kit.users.timeline(user_id, day(lab.now_ms), day(lab.now_ms), all_types=True))[-1] == events[-1]
    assert list(kit.users.timeline(user_id, day(0), day(0))) == []
    assert kit.users.event(user_id, events[1].event_id) == events[1]


def test_a_ride_has_a_way_and_a_person_a_last_place(kit, story):
    user_id = kit.users.by_external_id(story["external_id"]).user_id
    ride = next(event for event in kit.users.timeline(user_id) if event.mode == "car")
    way = kit.users.trajectory(user_id, ride.event_id)
    assert way.encoded
    assert ride.start_ms <= way.waypoints[0].at_ms < way.waypoints[-1].at_ms
    last = kit.users.location(user_id)
    assert (last.latitude, last.longitude) == pytest.approx((OFFICE.lat, OFFICE.lon), abs=0.001)


def test_every_item_is_accounted_for_over_several_pages(kit, story):
    user_id = kit.users.by_external_id(story["external_id"]).user_id
    items = list(kit.users.items(user_id))
    assert len(items) > 100
    assert {item.outcome for item in items} == {"accepted"}
    assert {item.install_id for item in items} == {story["old"], story["new"]}
    later = list(kit.users.items(user_id, story["changed_ms"] + 1))
    assert {item.install_id for item in later} == {story["new"]}


def test_installs_ledger_and_explanation_tell_the_same_story(kit, story):
    user_id = kit.users.by_external_id(story["external_id"]).user_id
    installs = {install.install_id: install for install in kit.users.installs(user_id)}
    old, new = installs[story["old"]], installs[story["new"]]
    assert (old.state, new.state, old.form) == ("superseded", "active", "phone")
    assert old.activations[-1].to_ms == new.activations[-1].from_ms
    assert new.activations[-1].to_ms is None
    assert [fact.kind for fact in kit.users.ledger(user_id)].count("linked") == 2
    then, now = kit.explain(story["old"], story["changed_ms"] - 1), kit.explain(story["old"])
    assert (then.state, now.state) == ("active", "superseded")
    assert now.sentence


def test_a_link_repeated_is_the_same_link_and_a_dry_run_writes_nothing(kit, lab, story):
    again = kit.link(story["new"], external_id=story["external_id"])
    assert again.user_id == kit.users.by_external_id(story["external_id"]).user_id
    phone = lab.phone().login(lab.person("one who tries"))
    with pytest.raises(errors.InstallLinkedToOtherUser) as caught:
        kit.link(phone.install_id, external_id="another", dry_run=True)
    assert caught.value.ref
    tried = kit.link(story["new"], external_id=story["external_id"], dry_run=True)
    assert (tried.dry_run, tried.is_repeat) == (True, True)
    assert kit.find_link(story["new"], external_id=story["external_id"]) == tried
    other = lab.phone().login(lab.person("one who is linked elsewhere"))
    with pytest.raises(errors.InstallLinkedToOtherUser):
        kit.find_link(other.install_id, external_id=story["external_id"])


def test_refusals_come_by_name(kit, lab, story):
    with pytest.raises(errors.InstallNotFound):
        kit.link("0" * 24, external_id="x")
    with pytest.raises(errors.InvalidExternalId):
        kit.link(story["new"], external_id="null")
    with pytest.raises(errors.InvalidExternalId):
        kit.create_auth_code("")
    with pytest.raises(errors.InstallDeactivated):
        kit.link(story["old"], external_id=story["external_id"])
    with pytest.raises(errors.InvalidLinkTicket):
        kit.link(lab.phone().open_app().install_id, external_id="y", link_ticket="unb_ticket_forged")
    with pytest.raises(errors.NotFound):
        kit.users.get("0" * 24)


def test_an_auth_code_ends_within_minutes(kit, lab):
    code = kit.create_auth_code("somebody")
    assert code.code.startswith("unb_code_")
    assert code.expires_at_ms == lab.now_ms + 300_000


def test_an_erasure_can_be_tried_first_and_repeats_its_receipt(kit, lab):
    person = lab.person("gone")
    lab.phone().login(person)
    user_id = kit.users.by_external_id(person.external_id).user_id
    assert kit.users.delete(user_id, dry_run=True).dry_run
    assert kit.users.get(user_id).external_id == person.external_id
    receipt = kit.users.delete(user_id)
    assert kit.users.delete(user_id) == receipt
    with pytest.raises(errors.NotFound):
        kit.users.get(user_id)


def test_a_key_without_the_scope_and_a_wrong_kind_are_refused_by_name(lab):
    with Platform(lab.app.base_url, api_key="unb_key_unknown") as platform, pytest.raises(errors.Unauthenticated):
        platform.create_auth_code("x")
    with Platform(lab.app.base_url, api_key="unb_code_wrong") as platform, pytest.raises(errors.PlatformError):
        platform.create_auth_code("x")
