"""Lab mode: a clock that is a header's, and data directories that are labs or not for ever."""

from __future__ import annotations

import errno
import os

import pytest

from unbroken.server import data_directory
from unbroken.server.data_directory import Mode
from unbroken.server.lab import LabClock
from unbroken.server.trouble import CannotStart

LAB, REAL = Mode(lab=True), Mode(lab=False)


def test_the_clock_starts_at_zero_and_never_runs_back(tmp_path):
    clock = LabClock(tmp_path / "clock")
    assert clock.now_ms() == 0
    clock.advance_to(5)
    clock.advance_to(3)
    assert clock.now_ms() == 5


def test_the_clock_is_kept_over_a_kill(tmp_path):
    LabClock(tmp_path / "clock").advance_to(1_790_000_000_000)  # never closed
    assert LabClock(tmp_path / "clock").now_ms() == 1_790_000_000_000


def test_a_command_sees_the_clock_of_the_running_lab(tmp_path):
    lab, command = LabClock(tmp_path / "clock"), LabClock(tmp_path / "clock", writable=False)
    lab.advance_to(7)
    assert command.now_ms() == 7


def test_a_request_moves_the_clock_before_it_is_handled(world, tmp_path):
    clock = LabClock(tmp_path / "clock")

    async def step(opened):
        await opened.api.send("GET", "/things/x", headers={"Lab-Time": "1790000000000"})
        await opened.api.send("GET", "/things/x", headers={"Lab-Time": "12"})
        await opened.api.send("GET", "/things/x")

    world(step, lab_clock=clock)
    assert clock.now_ms() == 1_790_000_000_000


@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "1e3", "+1", "0x1", "²", "253402300800000", "9" * 40])
def test_a_bad_lab_time_is_refused_by_name(world, tmp_path, value):
    clock = LabClock(tmp_path / "clock")
    reply = world(lambda w: w.api.send("GET", "/things/x", headers={"Lab-Time": value}), lab_clock=clock)
    assert (reply.status, reply.paths, clock.now_ms()) == (400, ["Lab-Time"], 0)


def test_outside_a_lab_the_header_is_refused(send):
    reply = send("GET", "/things/x", headers={"Lab-Time": "1"})
    assert (reply.status, reply.code, reply.paths) == (400, "INVALID_REQUEST", ["Lab-Time"])


def test_a_lab_stays_a_lab_without_being_asked(tmp_path):
    assert data_directory.prepare(tmp_path / "d", Mode(lab=True, seed=3)) == Mode(lab=True, seed=3)
    assert data_directory.prepare(tmp_path / "d", REAL) == Mode(lab=True, seed=3)
    assert data_directory.prepare(tmp_path / "d", LAB) == Mode(lab=True, seed=3)


def test_what_is_no_lab_never_becomes_one(tmp_path):
    data_directory.prepare(tmp_path / "d", REAL)
    with pytest.raises(CannotStart, match="never becomes one"):
        data_directory.prepare(tmp_path / "d", LAB)


@pytest.mark.parametrize("made", [Mode(lab=True), Mode(lab=True, seed=1)])
def test_a_lab_keeps_its_seed(tmp_path, made):
    data_directory.prepare(tmp_path / "d", made)
    with pytest.raises(CannotStart, match="seed"):
        data_directory.prepare(tmp_path / "d", Mode(lab=True, seed=2))


def test_a_database_that_lost_its_mark_is_not_guessed_at(tmp_path):
    (tmp_path / data_directory.DATABASE_FILE).touch()
    with pytest.raises(CannotStart, match="Restore it from a backup"):
        data_directory.prepare(tmp_path, REAL)


def test_a_damaged_mark_is_told(tmp_path):
    (tmp_path / data_directory.MODE_FILE).write_text("{")
    with pytest.raises(CannotStart, match="damaged"):
        data_directory.prepare(tmp_path, REAL)


def test_a_directory_that_is_a_file_is_told(tmp_path):
    (tmp_path / "d").touch()
    with pytest.raises(CannotStart, match="cannot be used"):
        data_directory.prepare(tmp_path / "d", REAL)


def test_one_server_at_a_time_has_a_directory(tmp_path):
    data_directory.lock(tmp_path)
    with pytest.raises(CannotStart, match="Another server"):
        data_directory.lock(tmp_path)
    assert data_directory.is_served(tmp_path)


def test_a_directory_that_can_only_be_read_is_served_by_nobody(tmp_path, monkeypatch):
    os.close(data_directory.lock(tmp_path))
    real_open = os.open

    def read_only(path, flags, *mode):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real_open(path, flags, *mode)

    monkeypatch.setattr(os, "open", read_only)
    assert not data_directory.is_served(tmp_path)
