"""The moment of linking: logins that lie, hang, get lost, come too late, or carry a bad id."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from unbroken.sdk import InitIssue
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.network import BAD, GOOD
from unbroken.testing.person import LinkRefused, Person, by_lab
from unbroken.testing.scenarios import expect

if TYPE_CHECKING:
    from unbroken.sdk import LinkRequest
    from unbroken.testing.lab import Lab


def login_that_was_not_applied_is_told(lab: Lab) -> None:
    """Complaint: the app was told that it is linked, nothing was, and the data went nowhere.

    Here only the platform's word counts: a linker that says yes without linking fails the login, and the next login
    goes on with the same install.
    """
    anna = lab.person("anna")
    phone = lab.phone()
    with expect.login_fails(InitIssue.LINK_FAILED):
        phone.login(anna, linker=lambda _person, _request: True)
    install_id = phone.install_id
    assert not phone.sdk.is_user_linked
    phone.login(anna)

    assert phone.install_id == install_id, "the second try made a second install"
    expect.one_active(lab, anna, phone)


def login_whose_answer_got_lost_is_repaired(lab: Lab) -> None:
    """Complaint: the link was made, its answer got lost, and the app is stuck with a failure.

    Here the next start finds the install linked, without asking the customer's server again.
    """
    anna = lab.person("anna")
    link = by_lab(lab.view)
    asked: list[str] = []

    def links_and_breaks_down(person: Person, request: LinkRequest) -> object:
        asked.append(request.install_id)
        link(person, request)
        raise LinkRefused("the answer got lost")

    phone = lab.phone()
    with expect.login_fails(InitIssue.LINK_FAILED):
        phone.login(anna, linker=links_and_breaks_down)
    phone.open_app()

    assert len(asked) == 1, "the customer's server was asked although the platform knew"
    expect.one_active(lab, anna, phone)


def login_through_a_bad_network_makes_one_install(lab: Lab) -> None:
    """Complaint: a login over a bad network leaves duplicates, or a state that needs a reset.

    Here every request can be repeated: however many tries it took, there is one install and one user.
    """
    people = [lab.person(f"person {n}") for n in range(5)]
    for person in people:
        phone = lab.phone(f"phone of {person.name}")
        phone.go_online(replace(BAD, lost=0.3, reply_lost=0.3))
        phone.login(person, tries=60)
        phone.go_online(GOOD)
        phone.open_app()
        assert expect.states(lab, person) == {"active": 1}
        expect.one_active(lab, person, phone)


def hanging_server_does_not_hang_the_app(lab: Lab) -> None:
    """Complaint: the customer's server does not answer, and the app waits for ever.

    Here a linker has its time, then the login has failed, with the reason.
    """
    anna = lab.person("anna")
    for_ever = threading.Event()
    phone = lab.phone(link_timeout_s=0.2)
    try:
        with expect.login_fails(InitIssue.LINK_FAILED):
            phone.login(anna, linker=lambda _person, _request: for_ever.wait())
    finally:
        for_ever.set()
    phone.login(anna)
    expect.one_active(lab, anna, phone)


def bad_account_id_does_not_spoil_the_device(lab: Lab) -> None:
    """Complaint: one wrong id, such as `undefined`, spoils the device until it is reinstalled, or joins strangers.

    Here ids that stand for nobody are refused, and the same install links with the right one.
    """
    link = by_lab(lab.view)
    phone = lab.phone()
    for nobody in ("undefined", "null", "[object Object]", "0000-0000", " "):
        with expect.login_fails(InitIssue.LINK_FAILED):
            phone.login(lab.person("nobody", external_id=nobody), linker=link)
    install_id = phone.install_id
    anna = lab.person("anna")
    phone.login(anna)

    assert phone.install_id == install_id
    expect.one_active(lab, anna, phone)


def first_login_keeps_what_was_captured_before(lab: Lab) -> None:
    """Complaint: what an app captured before the account was made is lost at the first login.

    Here the first install of a new account keeps its user: the day before the login is on the timeline.
    """
    anna = lab.person("anna")
    phone = lab.phone().open_app()
    phone.travel(Journey(HOME).stay(30).walk(CAFE))
    before = phone.sdk.user_id
    phone.login(anna)
    phone.travel(Journey(CAFE).stay(30))

    assert lab.user_id(anna) == before
    assert expect.kinds(lab.timeline(anna)) == ["Stationary", "Transport", "Stationary"]


def queued_items_never_land_on_the_next_account(lab: Lab) -> None:
    """Complaint: what waits on the device at a login is sent under the account that comes next.

    Here an item belongs to whoever was active when it was captured: what came before the link is kept aside.
    """
    anna = lab.person("anna")
    lab.phone("anna's own phone").login(anna)
    lab.wait(minutes=5)
    found = lab.phone("found phone").open_app()
    found.go_offline()
    found.travel(Journey(OFFICE).stay(20))
    found.go_online()
    found.login(anna)
    found.upload_all()
    found.travel(Journey(HOME).stay(20))

    assert set(expect.outcomes(lab, anna)) == {"accepted", "before_link"}, expect.outcomes(lab, anna)
    places = {round(event["longitude"], 2) for event in lab.timeline(anna) if event["type"] == "Stationary"}
    assert places == {round(HOME.lon, 2)}, f"anna was at {places}"


def used_phone_cannot_join_a_known_account(lab: Lab) -> None:
    """Complaint: two histories are melted together by a login, for ever.

    Here an install that has uploaded as somebody is refused, by default, by an account that is known already, and a
    reset makes it welcome.
    """
    anna = lab.person("anna")
    lab.phone("anna's own phone").login(anna)
    used = lab.phone("used phone").open_app()
    used.travel(Journey(OFFICE).stay(20))
    with expect.login_fails(InitIssue.LINK_FAILED):
        used.login(anna)
    used.logout()
    used.login(anna)

    expect.one_active(lab, anna, used)
    assert lab.timeline(anna) == [], "anna got a stranger's day"
