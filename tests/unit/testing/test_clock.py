from __future__ import annotations

import pytest

from unbroken.testing.clock import DeviceClock, LabClock


def test_appointments_are_kept_in_order_of_time_whatever_the_order_they_were_made_in():
    clock, kept = LabClock(0), []
    for at_ms in (300, 100, 200, 100):
        clock.at(at_ms, lambda at_ms=at_ms: kept.append((at_ms, clock.now_ms())))

    clock.advance_to(250)
    assert kept == [(100, 100), (100, 100), (200, 200)]
    assert clock.now_ms() == 250

    clock.advance_to(400)
    assert kept[3:] == [(300, 300)]


def test_an_appointment_made_on_the_way_is_kept_on_the_same_way():
    clock, kept = LabClock(0), []
    clock.at(10, lambda: clock.at(20, lambda: kept.append(clock.now_ms())))
    clock.advance_to(30)
    assert kept == [20]


def test_a_cancelled_appointment_does_not_happen():
    clock, kept = LabClock(0), []
    clock.at(10, lambda: kept.append(1)).cancel()
    clock.advance_to(20)
    assert kept == []


def test_time_never_runs_back_and_a_late_appointment_does_not_turn_it_back():
    clock, seen = LabClock(100), []
    clock.advance_to(50)
    clock.at(20, lambda: seen.append(clock.now_ms()))
    clock.advance_to(110)
    assert seen == [100]


def test_an_appointment_cannot_move_the_clock():
    clock = LabClock(0)
    clock.at(10, lambda: clock.advance_to(1_000))
    with pytest.raises(RuntimeError, match="moving already"):
        clock.advance_to(20)
    clock.advance_to(30)
    assert clock.now_ms() == 30


def test_a_device_clock_follows_the_lab_with_its_error():
    lab = LabClock(1_000)
    device = DeviceClock(lab, error_ms=-400)
    lab.advance_to(5_000)
    assert device.now_ms() == 4_600
