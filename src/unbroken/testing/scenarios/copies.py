"""Backups, transfers, reinstalls: one device's storage on another, or gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.sdk import InitIssue
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.scenarios import expect

if TYPE_CHECKING:
    from unbroken.testing.lab import Lab


def restored_backup_becomes_a_new_install(lab: Lab) -> None:
    """Complaint: a phone restored from a backup goes on as the old phone, and both report under one id.

    Here the first of the two that renews its credential stays who it is; the other is found out as a copy at its own
    renewal, becomes a new install of the same person and, installed last, the active one.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    old.travel(Journey(HOME).stay(10))
    new = lab.phone("new phone")
    new.restore(old.back_up(), anna)
    new.open_app()
    assert new.install_id == old.install_id, "the copy is not a copy"

    lab.wait(days=4)
    old.upload()
    old.sdk.request_user_access_token()
    new.open_app()

    assert new.install_id != old.install_id, "the copy was not found out"
    assert new.sdk.user_id == old.sdk.user_id, "the copy lost its person"
    expect.one_active(lab, anna, new)


def moved_to_a_new_phone_goes_on_as_one_user(lab: Lab) -> None:
    """Complaint: after a move to a new phone by cable, the id is still the old phone's, for ever.

    Here a moved storage serves as long as nobody else uses it; when the old phone wakes up again, the two part.
    """
    anna = lab.person("anna")
    old = lab.phone("old phone").login(anna)
    old.travel(Journey(HOME).stay(20))
    new = lab.phone("new phone")
    new.restore(old.back_up(), anna)
    old.power_off()
    new.open_app()
    new.travel(Journey(HOME).walk(CAFE).stay(20))
    lab.wait(days=4)
    new.sdk.request_user_access_token()
    old.power_on()

    assert new.install_id != old.install_id, "two phones share one install"
    assert new.sdk.user_id == old.sdk.user_id, "the person was split"
    expect.never_two_at_once(lab, anna)
    expect.tiled(lab.timeline(anna))


def reinstalled_over_and_over_stays_one_user(lab: Lab) -> None:
    """Complaint: every delete and restart leaves one more dead device behind that still counts.

    Here each reinstall supersedes the one before: one user, one active install, whatever their number.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    first_user = phone.sdk.user_id
    for _ in range(30):
        lab.wait(hours=6)
        phone.reinstall()

    assert phone.sdk.user_id == first_user, "a reinstall made another user"
    assert expect.states(lab, anna) == {"active": 1, "superseded": 30}
    expect.one_active(lab, anna, phone)


def reinstall_loop_is_held(lab: Lab) -> None:
    """Complaint: a crash loop, or a thief with a script, links installs to one account without end.

    Here more than 20 installs for one account within a day are held, and a day later the account works again.
    """
    anna = lab.person("anna")
    phone = lab.phone().login(anna)
    for _ in range(19):
        phone.reinstall()
    with expect.login_fails(InitIssue.LINK_FAILED):
        phone.reinstall()
    lab.wait(days=1, minutes=1)
    phone.open_app()
    expect.one_active(lab, anna, phone)


def deleted_app_leaves_nothing_behind(lab: Lab) -> None:
    """Complaint: something outlives the app on the phone, and a new install wakes up as the previous user.

    Here a reinstall is a new install with a user of its own until somebody logs in.
    """
    anna, berta = lab.person("anna"), lab.person("berta")
    phone = lab.phone().login(anna)
    phone.travel(Journey(HOME).stay(10).ride(OFFICE))
    first = phone.install_id
    phone.delete_app()
    phone.person = None
    phone.open_app()

    assert phone.install_id != first, "the reinstall got the old install back"
    assert not phone.sdk.is_user_linked, "the reinstall is linked before anybody logged in"
    phone.login(berta)
    assert lab.user_id(berta) != lab.user_id(anna), "the next person became the previous one"
    assert lab.timeline(berta) == [], "the next person sees the previous one's day"
