"""The SDK's state file under SIGKILL, and on a disk that refuses at every call there is: the old state or the new one.

The install id never changes, what is sealed stays sealed, and a state that was told as saved is there.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unbroken.randomness import SystemRandomness
from unbroken.sdk import KeySeal, Secret, StateDamaged, Storage, Unsealed
from unbroken.sdk.memory import Memory
from unbroken.sdk.state import State, StateFile

KEY = bytes(range(32))
SEALS = {"sealed": lambda: KeySeal(KEY), "unsealed": Unsealed}
FIRST = State(app_id="a" * 24, install_id="f" * 24, credential=Secret("unb_inst_0"))

WRITER = """
import sys
from msgspec.structs import replace
from unbroken.sdk import KeySeal, Secret, Storage, Unsealed
from unbroken.sdk.state import StateFile
seal = KeySeal(bytes(range(32)), adopts_unsealed=True) if sys.argv[2] == "sealed" else Unsealed()
file = StateFile(Storage(sys.argv[1], seal))
state = file.load()
print("loaded", flush=True)
while True:
    n = state.token_expires_at_ms + 1
    state = replace(state, token_expires_at_ms=n, credential=Secret(f"unb_inst_{n}"))
    file.save(state)
    print(n, flush=True)
"""


def load(directory, seal):
    file = StateFile(Storage(directory, seal))
    try:
        return file.load()
    finally:
        file.close()


def save(directory, seal, state):
    file = StateFile(Storage(directory, seal))
    file.load()
    file.save(state)
    file.close()


def rounds_of_kills(directory, kind, rounds):
    """Each round begins where the last was killed: at any moment from its start to its fortieth save."""
    seal, chance = SEALS[kind], SystemRandomness()
    save(directory, Unsealed(), FIRST)
    told = 0
    for _ in range(rounds):
        command = [sys.executable, "-c", WRITER, str(directory), kind]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout.readline() == "loaded\n"
            for _ in range(int(chance.fraction() * 40)):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            rest = [line for line in writer.stdout.read().split("\n")[:-1] if line]
        told = int(rest[-1]) if rest else told
        state = load(directory, seal())
        assert state.install_id == FIRST.install_id
        assert state.token_expires_at_ms in {told, told + 1}
        assert state.credential == Secret(f"unb_inst_{state.token_expires_at_ms}")
        told = state.token_expires_at_ms
    assert {path.name for path in directory.iterdir()} <= {"state", "lock"}
    return told


@pytest.mark.parametrize("kind", SEALS)
def test_a_killed_process_leaves_the_old_state_or_the_new_one(kind, tmp_path):
    assert rounds_of_kills(tmp_path / "s", kind, 10) > 0


@pytest.mark.prove
@pytest.mark.parametrize("kind", SEALS)
def test_a_thousand_killed_processes_leave_the_old_state_or_the_new_one(kind, tmp_path):
    assert rounds_of_kills(tmp_path / "s", kind, 500) > 0


# Damage


@pytest.mark.parametrize("kind", SEALS)
def test_no_flip_of_five_thousand_and_no_truncation_is_taken_for_a_state(kind, tmp_path):
    save(tmp_path / "s", SEALS[kind](), FIRST)
    path = tmp_path / "s" / "state"
    whole = path.read_bytes()
    masks = [1 << bit for bit in range(8)] + [0x03, 0x0F, 0xFF]
    flipped = [whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :] for at in range(len(whole)) for mask in masks]
    assert len(flipped) > 5_000
    file = StateFile(Storage(tmp_path / "s", SEALS[kind]()))
    for damaged in [*flipped, *(whole[:at] for at in range(len(whole)))]:
        path.write_bytes(damaged)
        with pytest.raises(StateDamaged):
            file.load()
    path.write_bytes(whole)
    assert file.load() == FIRST
    file.close()


# A disk that refuses


class Disk:
    """Fails the n-th call that reaches the disk, from whatever part of the state's code, and counts them."""

    def __init__(self, monkeypatch, error, fails_at):
        self.calls = []
        self.error = error
        self.fails_at = fails_at
        for owner, name in [
            (os, "open"), (os, "fsync"), (os, "fdopen"), (os, "fstat"), (Path, "replace"), (Path, "unlink"),
            (Path, "mkdir"), (Path, "open"), (Path, "glob"),
        ]:  # fmt: skip
            monkeypatch.setattr(owner, name, self._counted(name, getattr(owner, name)))

    def _counted(self, name, call):
        def counted(*arguments, **named):
            self.calls.append(name)
            if len(self.calls) == self.fails_at:
                raise OSError(self.error, os.strerror(self.error))
            answer = call(*arguments, **named)
            return self._file(answer) if name == "fdopen" else answer

        return counted

    def _file(self, file):
        disk = self

        class Counted:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def __getattr__(self, name):
                found = getattr(file, name)
                return disk._counted(name, found) if name in {"write", "flush", "read"} else found

        return Counted()


def live(directory, seal, told):
    """Open, save twice, close; `told` gets what was told as saved."""
    memory = Memory(Storage(directory, seal), FIRST.app_id)
    try:
        for n in (1, 2):
            memory.change(token_expires_at_ms=n)
            memory.keep()
            told.append(n)
    finally:
        memory.close()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("before", SEALS)
def test_a_disk_that_refuses_at_any_call_leaves_the_old_state_or_the_new_one(error, before, tmp_path):
    """Every call in turn, until a life meets none that fails; from a sealed state, and through the upgrade to it."""
    for fails_at in range(1, 1000):
        directory, told = tmp_path / str(fails_at), []
        save(directory, SEALS[before](), FIRST)
        with pytest.MonkeyPatch.context() as monkeypatch:
            disk = Disk(monkeypatch, error, fails_at)
            has_failed = refuses(directory, told)
        state = load(directory, KeySeal(KEY, adopts_unsealed=True))  # the lock was given back, too
        assert state.install_id == FIRST.install_id
        assert state.token_expires_at_ms in {len(told), min(2, len(told) + 1)}
        assert load(directory, KeySeal(KEY)) == state  # sealed by now, whatever failed
        live(directory, KeySeal(KEY), [])
        if not has_failed:
            assert len(disk.calls) < fails_at
            break
    assert fails_at > 15


def refuses(directory, told):
    try:
        live(directory, KeySeal(KEY, adopts_unsealed=True), told)
    except OSError:
        return True
    return False
