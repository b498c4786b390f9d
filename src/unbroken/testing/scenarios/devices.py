"""Several devices of one person: which one counts, and that only one does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from unbroken.sdk import CaptureOutcome
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.scenarios import expect

if TYPE_CHECKING:
    from unbroken.testing.lab import Lab


def replaced_phone_keeps_the_history(lab: Lab) -> None:
    """Complaint: a new device starts from nothing, and the history stays with the old one.

    Here the day goes on: what the old phone saw and what the new one sees is one timeline.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    old.travel(Journey(HOME).stay(30).walk(CAFE).stay(10))
    new = lab.phone("new phone").login(anna)
    new.travel(Journey(CAFE).stay(10).ride(OFFICE).stay(30))

    expect.one_active(lab, anna, new)
    timeline = lab.timeline(anna)
    expect.tiled(timeline)
    assert expect.kinds(timeline) == ["Stationary", "Transport"] * 2 + ["Stationary"], expect.kinds(timeline)


def tablet_never_takes_over_from_a_phone(lab: Lab) -> None:
    """Complaint: a tablet left on the sofa takes over, and the phone in the pocket is ignored.

    Here a tablet beside an active phone is on standby, and the reason says so.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    tablet = lab.tablet().login(anna)
    ipad = lab.tablet(platform="ios").login(anna)

    assert (tablet.state, ipad.state) == ("standby", "standby")
    assert tablet.capture(*Journey(OFFICE).stay(5).items(lab.now_ms)) is CaptureOutcome.DETECTIONS_BLOCKED
    expect.one_active(lab, anna, phone)
    assert "phone" in lab.view.explain(tablet.install_id)["sentence"]


def phone_takes_over_from_a_tablet(lab: Lab) -> None:
    """Complaint: which device wins is a surprise, and a stale one pins the state.

    Here a phone takes over from a tablet, even one that was installed later, whatever the order of the logins.
    """
    anna = lab.person("anna")
    phone = lab.phone().open_app()
    lab.wait(minutes=5)
    tablet = lab.tablet().login(anna)
    expect.one_active(lab, anna, tablet)
    phone.login(anna)
    tablet.upload()
    tablet.open_app()

    expect.one_active(lab, anna, phone)
    assert tablet.state == "superseded"


def large_phone_is_a_phone(lab: Lab) -> None:
    """Complaint: large phones and foldables are taken for tablets.

    Here an Android device is a tablet from 7 inches on, and an iOS device is what it says it is.
    """
    anna = lab.person("anna")
    sizes = [lab.phone(inches=6.99), lab.phone(inches=7.0), lab.phone(platform="ios"), lab.tablet(platform="ios")]
    devices = {device.login(anna).install_id: device.name for device in sizes}
    forms = [
        install["form"] for install in sorted(lab.installs(anna), key=lambda i: list(devices).index(i["install_id"]))
    ]

    assert forms == ["phone", "tablet", "phone", "tablet"], forms
    expect.one_active(lab, anna, sizes[2])


def two_phones_of_one_person_make_one_track(lab: Lab) -> None:
    """Complaint: two devices of one person make a spider's web of jumps between two places.

    Here what the phone that was replaced goes on capturing is kept aside, with the reason.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    old.travel(Journey(HOME).stay(20))
    new = lab.phone("new phone").login(anna)
    old.start(Journey(HOME).stay(60))
    new.travel(Journey(HOME).ride(OFFICE).stay(60))
    old.upload()

    assert expect.outcomes(lab, anna)["superseded"] > 0, "nothing of the old phone was kept aside"
    timeline = lab.timeline(anna)
    assert expect.kinds(timeline) == ["Stationary", "Transport", "Stationary"], expect.kinds(timeline)
    assert old.state == "superseded"


def same_trip_on_two_phones_counts_once(lab: Lab) -> None:
    """Complaint: is a trip counted twice if I carry two phones?

    Here it is counted once: only the active install's items make events.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    private, work = lab.phone("private phone").login(anna), lab.phone("work phone").login(anna)
    only = lab.phone("only phone").login(berta)
    trip = Journey(HOME).stay(20).ride(OFFICE).stay(20)
    for other in (private, only):
        other.start(trip)
    work.travel(trip)
    private.upload_all()
    only.upload_all()

    twice, once = (
        [event["distance"] for event in lab.timeline(person) if event["type"] == "Transport"]
        for person in (anna, berta)
    )
    assert twice == once, f"carried twice the trip measures {twice} m, once {once} m"


def devices_that_log_in_at_once_make_one_user(lab: Lab) -> None:
    """Complaint: without care in one's own server, two devices at the same moment make two people.

    Here get-or-link is one call: one user, one active install.
    """
    anna = lab.person("anna")
    devices = [lab.phone(f"phone {n}").open_app() for n in range(1, 5)]
    users = {device.login(anna).sdk.user_id for device in devices}

    assert len(users) == 1, f"{len(users)} users for one account"
    expect.one_active(lab, anna, devices[-1])


def every_state_is_explained(lab: Lab) -> None:
    """Complaint: nobody can say why these two were linked, or were not.

    Here each install's state comes with the rule, its inputs and a sentence, now and for any moment before.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    lab.wait(minutes=10)
    before_ms = lab.now_ms
    lab.wait(minutes=10)
    new, tablet, stray = lab.phone("new phone").login(anna), lab.tablet().login(anna), lab.phone("stray").open_app()

    told = {device.name: lab.view.explain(device.install_id) for device in (old, new, tablet, stray)}
    found = [(told[d.name]["state"], told[d.name]["linked"]) for d in (old, new, tablet, stray)]
    assert found == [("superseded", True), ("active", True), ("standby", True), ("active", False)], found
    assert all(explanation["rule"] and explanation["sentence"] for explanation in told.values()), told
    assert lab.view.explain(old.install_id, before_ms)["state"] == "active", "the past is not explained as it was"


def sold_phone_reads_nothing(lab: Lab) -> None:
    """Complaint: whoever has the device or its id goes on reading and writing the person.

    Here an install that was superseded reads nothing of the person any more.
    """
    anna = lab.person("anna")
    sold = lab.phone("sold phone").login(anna)
    token = sold.sdk.request_user_access_token().token.reveal()
    lab.phone("new phone").login(anna)

    reply = httpx.get(f"{lab.app.base_url}/v2/users/me", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert (reply.status_code, reply.json()["errorCode"]) == (403, "INSTALL_DEACTIVATED"), reply.text
