"""The state file: atomic, locked, and damage is detected whatever bit it hits."""

from __future__ import annotations

import errno
import os
import pickle
import stat
import threading

import pytest
from msgspec.structs import replace

from unbroken.sdk import (
    DetectionStatus,
    InitError,
    InitIssue,
    Location,
    Sdk,
    Seal,
    Secret,
    StateDamaged,
    Storage,
    StorageInUse,
)
from unbroken.sdk.memory import Memory
from unbroken.sdk.state import Farewell, State, StateFile

FULL = State(
    app_id="a", install_id="i", credential=Secret("c"), token=Secret("t"), farewells=(Farewell("x", Secret("y")),)
)


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "s")


def saved(storage, *states):
    file = StateFile(storage)
    file.load()
    for state in states:
        file.save(state)
    file.close()


def test_what_was_saved_last_is_loaded(storage):
    saved(storage, State(app_id="a"), FULL)
    file = StateFile(storage)
    assert file.load() == FULL
    file.close()


def test_a_directory_that_is_made_for_it_is_there_after_a_power_cut(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    saved(Storage(tmp_path / "app" / "unbroken"), FULL)
    made_in = [tmp_path, tmp_path / "app", tmp_path / "app" / "unbroken"]
    assert [number for number in synced if number in {path.stat().st_ino for path in made_in}] == [
        path.stat().st_ino for path in made_in
    ]


def test_without_a_file_there_is_no_state(storage):
    file = StateFile(storage)
    assert file.load() is None
    file.close()


def test_every_flipped_byte_and_every_truncation_is_detected(storage):
    saved(storage, FULL)
    path = storage.directory / "state"
    whole = path.read_bytes()
    damaged = [whole[:i] + bytes([whole[i] ^ 1]) + whole[i + 1 :] for i in range(len(whole))]
    damaged += [whole[:i] for i in range(len(whole))] + [whole + b" "]
    file = StateFile(storage)
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(StateDamaged):
            file.load()
    file.close()


def test_a_second_opener_is_refused_until_the_first_closes(storage):
    first = StateFile(storage)
    with pytest.raises(StorageInUse):
        StateFile(storage)
    first.close()
    StateFile(storage).close()


def test_a_state_exchanged_beside_the_lock_is_not_overwritten(storage):
    saved(storage, State(app_id="a"), State(app_id="b"))
    other = (storage.directory / "state").read_bytes()
    saved(storage, FULL)
    file = StateFile(storage)
    file.load()
    (storage.directory / "state").write_bytes(other)
    with pytest.raises(StateDamaged):
        file.save(FULL)
    file.close()


def test_files_are_the_owners_alone_and_left_overs_of_a_kill_are_swept(storage):
    saved(storage, FULL)
    (storage.directory / "state.new").write_bytes(b"half")
    StateFile(storage).close()
    assert not (storage.directory / "state.new").exists()
    assert stat.S_IMODE((storage.directory / "state").stat().st_mode) == 0o600
    assert stat.S_IMODE(storage.directory.stat().st_mode) == 0o700


class Rot13(Seal):
    def close(self, plain, context):
        return bytes(b ^ 13 for b in context + plain)

    def open(self, sealed, context):
        plain = bytes(b ^ 13 for b in sealed)
        if not plain.startswith(context):
            raise StateDamaged("not sealed here")
        return plain[len(context) :]


def test_a_seal_covers_the_state_and_an_unsealed_file_is_refused_by_it(storage):
    sealed = Storage(storage.path, Rot13())
    saved(storage, FULL)
    file = StateFile(sealed)
    with pytest.raises(StateDamaged, match="not sealed"):
        file.load()
    file.remove()
    file.save(FULL)
    assert b"install_id" not in (storage.directory / "state").read_bytes()
    assert file.load() == FULL
    file.close()


def test_the_sdk_tells_damage_guesses_nothing_and_reset_starts_over(phone, platform):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    path = phone.path / "state"
    path.write_bytes(path.read_bytes()[:-1])
    with Sdk(phone.config()) as sdk:
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert caught.value.issue is InitIssue.INITIALIZATION_ERROR
        assert isinstance(caught.value.__cause__, StateDamaged)
        assert len(platform.installs) == 1
        sdk.reset()
        sdk.init()
        assert len(platform.installs) == 2


def test_a_change_is_made_to_what_the_state_is_at_that_moment(storage):
    memory, changed = Memory(storage, "a"), threading.Event()
    other = threading.Thread(target=lambda: (memory.change(token_expires_at_ms=7), changed.set()))

    def slowly(state):
        other.start()
        assert not changed.wait(0.1)
        return replace(state, detections_enabled=False)

    memory.update(slowly)
    other.join()
    assert (memory.state.detections_enabled, memory.state.token_expires_at_ms) == (False, 7)
    memory.close()


def test_a_process_that_goes_to_another_directory_takes_its_storage_along(phone, monkeypatch, tmp_path):
    phone.path.mkdir()
    monkeypatch.chdir(tmp_path)
    with Sdk(phone.config(storage=Storage(phone.path.name))) as sdk:
        sdk.init()
        monkeypatch.chdir("/")
        sdk.disable_detections()
        sdk.request_user_access_token()
        sdk.reset()
    with Sdk(phone.config()) as sdk:
        assert not sdk.user_exists


def test_an_sdk_that_cannot_be_opened_gives_the_storage_back(phone):
    outbox = phone.path / "outbox.sqlite"
    outbox.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        Sdk(phone.config())
    outbox.rmdir()
    Sdk(phone.config()).close()


def test_what_the_platform_says_again_is_not_written_again_so_a_full_disk_lets_the_sdk_start(phone, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "no space left on device")

    with Sdk(phone.config()) as sdk:
        sdk.init()
        sdk.capture(Location(t=1, lat=52.5, lon=13.4))
    written = (phone.path / "state").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with Sdk(phone.config()) as sdk:
        sdk.init()
        assert sdk.submit_detections().items == 1
    assert (phone.path / "state").read_bytes() == written


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_disk_that_refuses_once_costs_one_call_and_no_state(phone, monkeypatch, fails_at):
    calls, fsync = [], os.fsync

    def full_once(descriptor):
        calls.append(descriptor)
        if len(calls) == fails_at:
            raise OSError(errno.ENOSPC, "no space left on device")
        fsync(descriptor)

    with Sdk(phone.config()) as sdk:
        sdk.init()
        monkeypatch.setattr(os, "fsync", full_once)
        with pytest.raises(OSError, match="no space"):
            sdk.disable_detections()
        sdk.disable_detections()
        sdk.request_user_access_token()
    with Sdk(phone.config()) as sdk:
        assert sdk.detection_status is DetectionStatus.DISABLED
        assert sdk.user_exists


def test_a_secret_shows_itself_nowhere(phone):
    secret = Secret("hush")
    assert "hush" not in f"{secret!r} {secret} {FULL} {[secret]}" + repr(phone.config(secret=secret))
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        hash(secret)
    secret.wipe()
    assert secret.reveal() == ""
    assert not secret
