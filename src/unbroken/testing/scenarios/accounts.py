"""Several people: accounts that switch on one device, shared devices, and people who are erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.scenarios import expect

if TYPE_CHECKING:
    from unbroken.testing.lab import Lab


def switching_accounts_mixes_nobody(lab: Lab) -> None:
    """Complaint: after logout and login the previous user is still attached, and days get mixed.

    Here a switch is a new install: each person's timeline holds what was captured under that login, nothing else.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    phone = lab.phone().login(anna)
    phone.travel(Journey(HOME).stay(30))
    phone.switch_to(berta)
    phone.travel(Journey(OFFICE).stay(30))

    assert lab.user_id(anna) != lab.user_id(berta), "two accounts became one user"
    for person, place in ((anna, HOME), (berta, OFFICE)):
        stays = [(round(e["latitude"], 3), round(e["longitude"], 3)) for e in lab.timeline(person)]
        assert stays == [(round(place.lat, 3), round(place.lon, 3))], f"{person.name} was at {stays}"


def switching_back_finds_the_account_alive(lab: Lab) -> None:
    """Complaint: after switching accounts there and back, both end up disabled.

    Here the last login always works: a fresh install, active, of the user the account always had.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    phone = lab.phone().login(anna)
    first = phone.sdk.user_id
    for person in (berta, anna, berta, anna):
        lab.wait(minutes=1)
        phone.switch_to(person)
        expect.one_active(lab, person, phone)

    assert phone.sdk.user_id == first, "the account came back as another user"


def shared_tablet_keeps_people_apart(lab: Lab) -> None:
    """Complaint: on a shared device everybody melts into one person.

    Here two people who take turns stay two users, and each one's own phone is what counts for them.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    phones = {person.name: lab.phone(f"{person.name}'s phone").login(person) for person in (anna, berta)}
    tablet = lab.tablet("shared tablet")
    for person in (anna, berta, anna, berta):
        tablet.login(person)
        assert tablet.state == "standby", f"the shared tablet is {tablet.state}"
        assert tablet.sdk.user_id == phones[person.name].sdk.user_id, "the tablet is somebody else's"
        tablet.logout()

    for person in (anna, berta):
        expect.one_active(lab, person, phones[person.name])
        assert expect.states(lab, person)["deleted"] == 2


def erased_person_can_come_back_as_new(lab: Lab) -> None:
    """Complaint: the id of a person who was deleted misbehaves for ever after.

    Here late uploads of the erased person are refused, and the same account starts again as a new user.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    phone.travel(Journey(HOME).stay(20).walk(CAFE))
    gone = lab.user_id(anna)
    phone.capture(*Journey(CAFE).stay(5).items(lab.now_ms - 600_000))
    lab.view.erase(gone)
    phone.upload()

    assert phone.state == "deleted", f"an upload of an erased person left the install {phone.state}"
    with expect.refused(404, "NOT_FOUND"):
        lab.view.profile(gone)
    phone.open_app()
    assert lab.user_id(anna) != gone, "the erased user came back"
    assert lab.timeline(anna) == [], "something of the erased person is left"
