"""Named scenarios: complaints that users of linking systems bring up again and again, each with what must hold here.

Each is a function of a `Lab` that raises `AssertionError` where it does not hold. Run them against your own backend:

    @pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.__name__)
    def test_scenario(scenario, unbroken_lab):
        scenario(unbroken_lab)

Those of `OWN_LINKING` bring linkers that misbehave on purpose, or need the lab's own; they do not exercise a backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from unbroken.testing.lab import Lab
from unbroken.testing.scenarios import accounts, copies, delivery, devices, logins

Scenario = Callable[[Lab], None]

ALL: Final[tuple[Scenario, ...]] = (
    copies.restored_backup_becomes_a_new_install,
    copies.moved_to_a_new_phone_goes_on_as_one_user,
    copies.reinstalled_over_and_over_stays_one_user,
    copies.reinstall_loop_is_held,
    copies.deleted_app_leaves_nothing_behind,
    devices.replaced_phone_keeps_the_history,
    devices.tablet_never_takes_over_from_a_phone,
    devices.phone_takes_over_from_a_tablet,
    devices.large_phone_is_a_phone,
    devices.two_phones_of_one_person_make_one_track,
    devices.same_trip_on_two_phones_counts_once,
    devices.devices_that_log_in_at_once_make_one_user,
    devices.every_state_is_explained,
    devices.sold_phone_reads_nothing,
    accounts.switching_accounts_mixes_nobody,
    accounts.switching_back_finds_the_account_alive,
    accounts.shared_tablet_keeps_people_apart,
    accounts.erased_person_can_come_back_as_new,
    logins.login_that_was_not_applied_is_told,
    logins.login_whose_answer_got_lost_is_repaired,
    logins.login_through_a_bad_network_makes_one_install,
    logins.hanging_server_does_not_hang_the_app,
    logins.bad_account_id_does_not_spoil_the_device,
    logins.first_login_keeps_what_was_captured_before,
    logins.queued_items_never_land_on_the_next_account,
    logins.used_phone_cannot_join_a_known_account,
    delivery.old_phone_uploads_after_the_hand_over,
    delivery.late_doubled_and_overtaking_uploads_change_nothing,
    delivery.uploads_in_pieces_tell_the_same_day_as_one_upload,
    delivery.offline_logout_says_what_is_lost,
    delivery.power_cut_loses_nothing_captured,
    delivery.wrong_clock_is_corrected,
    delivery.year_of_new_phones_is_one_timeline,
)

OWN_LINKING: Final[frozenset[Scenario]] = frozenset(
    {
        logins.login_that_was_not_applied_is_told,
        logins.login_whose_answer_got_lost_is_repaired,
        logins.hanging_server_does_not_hang_the_app,
        logins.bad_account_id_does_not_spoil_the_device,
    }
)
