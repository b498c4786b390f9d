"""Turns are taken fairly, and added up right."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from bench.load import Load
from bench.measure import Server, Turn, summed, take_turns

from bench import machine


class Fake:
    """A side that tells when it worked and who else ran meanwhile."""

    def __init__(self, name, log, turns=()):
        self.name = name
        self.log = log
        self.turns = iter(turns)
        self.runs = True

    def turn(self, seconds, clients):
        self.log.append((self.name, seconds, clients))
        return next(self.turns, turn())

    def halt(self):
        self.runs = False

    def go_on(self):
        self.runs = True


def turn(latencies_s=(0.001, 0.002), wall_s=1.0, own_s=0.5, other_s=0.25, busy=0.5):
    return Turn(Load(wall_s, busy, list(latencies_s), []), own_s, other_s)


def test_sides_alternate_after_each_has_warmed_up():
    log = []
    take_turns("ingest", [Fake("a", log), Fake("b", log)], seconds=4.0, turns=2, clients=16)
    assert log == [("a", 1.0, 16), ("b", 1.0, 16), ("a", 2.0, 16), ("b", 2.0, 16), ("a", 2.0, 16), ("b", 2.0, 16)]


def test_only_the_one_whose_turn_it_is_runs():
    log, sides = [], []

    class Watching(Fake):
        def turn(self, seconds, clients):
            log.append([side.name for side in sides if side.runs])
            return turn()

    sides += [Watching("a", log), Watching("b", log), Watching("c", log)]
    take_turns("ingest", sides, seconds=1.0, turns=1)
    assert log == [["a"], ["b"], ["c"]] * 2
    assert all(side.runs for side in sides)


def test_a_side_that_fails_leaves_nobody_halted():
    class Failing(Fake):
        def turn(self, seconds, clients):
            raise RuntimeError("no answer")

    sides = [Fake("a", []), Failing("b", [])]
    with pytest.raises(RuntimeError, match="no answer"):
        take_turns("ingest", sides, seconds=1.0, turns=1)
    assert all(side.runs for side in sides)


def test_the_warm_up_does_not_count():
    dear = turn(own_s=100.0)
    (result,) = take_turns("ingest", [Fake("a", [], [dear, turn(), turn()])], seconds=2.0, turns=2)
    assert (result.requests, result.own_us) == (4, pytest.approx(1.0 / 4 * 1e6))


def test_a_side_that_was_never_asked_has_no_line():
    nothing = turn(latencies_s=(), wall_s=-1.0)
    results = take_turns("link", [Fake("a", [], [nothing] * 3), Fake("b", [])], seconds=2.0, turns=2)
    assert [result.side for result in results] == ["b"]


def test_turns_add_up():
    turns = [turn([0.001, 0.003], 1.0, 0.4, 0.1, 1.0), turn([0.002] * 6, 3.0, 1.2, 0.7, 0.0)]
    result = summed("ingest", Fake("a", []), turns, 64)
    assert (result.requests, result.per_s) == (8, 2.0)
    assert result.own_us == pytest.approx(200_000)
    assert result.other_us == pytest.approx(100_000)
    assert result.per_core_s == pytest.approx(1 / 0.3)
    assert (result.p50_ms, result.p99_ms) == (2.0, 3.0)
    assert result.busy == pytest.approx(0.25)  # by time, not by turn


def test_what_is_behind_a_server_is_counted_apart():
    spent = iter([1.0, 1.5])
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        server = Server("a", 0, process.pid, lambda: next(spent), iter([]), 200)
        server.halt()
        assert os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT).si_status != 0
        server.go_on()
        before_s, after_s = server.behind_s(), server.behind_s()
        assert after_s - before_s == 0.5
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def test_cpu_of_a_tree_counts_children_that_ran_and_that_run():
    program = (
        "import subprocess, sys, time\n"
        "busy = 'import time\\nwhile time.process_time() < 0.3: pass\\n'\n"
        "subprocess.run([sys.executable, '-c', busy])\n"
        "child = subprocess.Popen([sys.executable, '-c', busy + 'print(flush=True); input()'], stdin=subprocess.PIPE)\n"
        "input(); child.kill(); child.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()  # of the child, once it was busy
        assert machine.tree_cpu_s(process.pid) >= 0.55
        assert machine.cpu_s(process.pid) < 0.5
    finally:
        process.communicate(b"\n")
