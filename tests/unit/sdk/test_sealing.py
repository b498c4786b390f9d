"""The state sealed at rest: under a key of the app's, or one in a keyring; and never a step back in silence."""

from __future__ import annotations

import copy
import logging
import os
import pickle
import struct
import sys
import threading
import traceback
import types
import zlib
from pathlib import Path

import keyring.backends.fail
import keyring.backends.null
import pytest
from msgspec.structs import replace

import unbroken.sdk.state
from unbroken.randomness import SystemRandomness
from unbroken.sdk import (
    InitError,
    InvalidConfig,
    KeySeal,
    Sdk,
    SealLevel,
    Secret,
    StateDamaged,
    StateLocked,
    Storage,
    Unsealed,
)
from unbroken.sdk.keyrings import Entry, KeyringSeal, real_backend, seal_for, within
from unbroken.sdk.state import State, StateFile, _frame, _unframe

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
STATE = State(
    app_id="a" * 24, install_id="f" * 24, credential=Secret("unb_inst_canary"), token=Secret("unb_user_canary")
)


class Ring:
    """A keyring in memory that outlives processes, and can be locked or broken."""

    def __init__(self):
        self.kept = {}
        self.breaks = False
        self.locked = threading.Event()
        self.locked.set()
        self.calls = 0

    def _ask(self):
        self.calls += 1
        if self.breaks:
            raise RuntimeError("the keyring is broken")
        self.locked.wait()

    def get_password(self, service, username):
        self._ask()
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self._ask()
        self.kept[service, username] = password

    def entry(self):
        (text,) = self.kept.values()
        return Entry.of(text)


@pytest.fixture
def ring():
    made = Ring()
    yield made
    made.locked.set()


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "s"


@pytest.fixture(params=["key", "keyring"])
def sealed(request, directory, ring):
    """Makes a storage that is sealed, as another process would."""

    def made(**settings):
        if request.param == "keyring":
            return Storage(directory, KeyringSeal(ring, "n", answer_max_s=0.2))
        return Storage(directory, KeySeal(KEY, **settings))

    return made


def saved(storage, *states):
    file = StateFile(storage)
    file.load()
    for state in states:
        file.save(state)
    file.close()


def loaded(storage):
    file = StateFile(storage)
    try:
        return file.load()
    finally:
        file.close()


def on_disk(directory):
    return (directory / "state").read_bytes()


def put(directory, content):
    (directory / "state").write_bytes(content)


# What is sealed


def test_what_is_sealed_is_opened_and_shows_nothing(sealed, directory):
    saved(sealed(), State(app_id="b"), STATE)
    assert loaded(sealed()) == STATE
    content = on_disk(directory)
    assert not [word for word in (b"canary", STATE.install_id.encode(), b"app_id") if word in content]


def test_the_same_state_is_never_sealed_to_the_same_bytes(sealed, directory):
    saved(sealed(), STATE)
    first = on_disk(directory)
    (directory / "state").unlink()
    saved(sealed(), STATE)
    assert on_disk(directory)[24:] != first[24:]


def test_a_state_under_another_key_is_locked_and_kept(directory):
    saved(Storage(directory, KeySeal(KEY)), STATE)
    for seal in [KeySeal(OTHER_KEY), Unsealed()]:
        with pytest.raises(StateLocked):
            loaded(Storage(directory, seal))
    assert loaded(Storage(directory, KeySeal(KEY))) == STATE


def test_an_older_state_cannot_be_passed_off_as_a_newer_one(directory):
    storage = Storage(directory, KeySeal(KEY))
    saved(storage, STATE)
    older = on_disk(directory)
    saved(storage, replace(STATE, linked=True))
    newer = on_disk(directory)
    (_, old_body), (sequence, _) = _unframe(older), _unframe(newer)
    put(directory, _frame(sequence, old_body))  # a right checksum: whoever writes the file can make one
    with pytest.raises(StateDamaged, match="not what was sealed"):
        loaded(storage)


def flipped(content, at):
    return content[: at // 8] + bytes([content[at // 8] ^ (1 << at % 8)]) + content[at // 8 + 1 :]


def flips_are_noticed(storage, directory, positions):
    whole = on_disk(directory)
    for at in positions:
        put(directory, flipped(whole, at))
        with pytest.raises(StateDamaged):
            loaded(storage)
    put(directory, whole)
    assert loaded(storage) == STATE


def flips_under_a_right_checksum_are_noticed(storage, directory, count):
    """A flip by somebody who also mends the checksum: the seal alone notices it."""
    whole = on_disk(directory)
    sequence, body = _unframe(whole)
    for _ in range(count):
        at = anywhere(len(body) * 8)
        put(directory, _frame(sequence, flipped(body, at)))
        with pytest.raises(StateDamaged):
            loaded(storage)
    put(directory, whole)


def some(count, directory):
    size = len(on_disk(directory)) * 8
    return [anywhere(size) for _ in range(count)]


def anywhere(size):
    return int(SystemRandomness().fraction() * size)


def test_flipped_bits_are_noticed_with_and_without_a_right_checksum(sealed, directory):
    saved(sealed(), STATE)
    flips_are_noticed(sealed(), directory, some(200, directory))
    flips_under_a_right_checksum_are_noticed(sealed(), directory, 200)


@pytest.mark.prove
def test_ten_thousand_flipped_bits_are_noticed(sealed, directory):
    saved(sealed(), STATE)
    flips_are_noticed(sealed(), directory, some(5_000, directory))
    flips_under_a_right_checksum_are_noticed(sealed(), directory, 5_000)


def test_every_truncation_is_noticed(sealed, directory):
    saved(sealed(), STATE)
    whole = on_disk(directory)
    for size in range(len(whole)):
        put(directory, whole[:size])
        with pytest.raises(StateDamaged):
            loaded(sealed())


# No step back


def test_a_state_that_is_not_sealed_is_refused_where_one_was(sealed, directory):
    saved(sealed(), STATE)
    (directory / "state").unlink()
    saved(Storage(directory, Unsealed()), replace(STATE, install_id="e" * 24))
    planted = on_disk(directory)
    with pytest.raises(StateDamaged, match="not sealed"):
        loaded(sealed())
    assert on_disk(directory) == planted


def test_a_state_from_before_is_read_and_sealed_in_place(sealed, directory):
    saved(Storage(directory, Unsealed()), STATE)
    assert b"canary" in on_disk(directory)
    assert loaded(sealed(adopts_unsealed=True)) == STATE
    assert b"canary" not in on_disk(directory)
    assert loaded(sealed()) == STATE


def test_the_file_that_the_first_release_wrote_is_still_read(sealed, directory):
    """A header, and JSON that knows less than today's."""
    body = (
        b'{"app_id":"aaaaaaaaaaaaaaaaaaaaaaaa","install_id":"ffffffffffffffffffffffff","user_id":"eeeeeeeeeeeeeeeeeeeeeeee"'
        b',"credential":"unb_inst_1","token":"unb_user_1","token_expires_at_ms":1,"token_received_at_ms":2,"linked":true'
        b',"install_state":"active","state_reason":null,"linking":"on","registration_key":null,"registration_code":null'
        b',"renewal_key":null,"link_key":null,"link_code":null,"restored_from":null,"farewells":[]'
        b',"detections_enabled":true,"detections_until_ms":null}'
    )
    crc = zlib.crc32(b"UNBRKST1" + (7).to_bytes(8, "big") + body)
    directory.mkdir()
    descriptor = os.open(directory / "state", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, struct.pack(">8sQII", b"UNBRKST1", 7, len(body), crc) + body)
    os.close(descriptor)
    for storage in [Storage(directory, Unsealed()), sealed(adopts_unsealed=True), sealed()]:
        state = loaded(storage)
        assert (state.install_id, state.credential, state.linked) == ("f" * 24, Secret("unb_inst_1"), True)
        assert (state.pin_update, state.pin_misses) == (None, 0)


def test_with_a_key_of_the_apps_a_state_from_before_is_sealed_on_request_only(directory):
    saved(Storage(directory, Unsealed()), STATE)
    with pytest.raises(StateDamaged, match="adopts_unsealed"):
        loaded(Storage(directory, KeySeal(KEY)))


# The keyring


def of(ring, directory):
    return Storage(directory, KeyringSeal(ring, "n", answer_max_s=0.2))


def test_a_key_is_made_once_and_settles_with_the_first_state(ring, directory):
    assert loaded(of(ring, directory)) is None
    assert ring.kept == {}
    saved(of(ring, directory), STATE)
    key = ring.entry()
    assert key.is_settled
    saved(of(ring, directory), STATE)
    assert ring.entry() == key


def test_an_upgrade_that_is_killed_between_its_steps_loses_nothing(ring, directory, monkeypatch):
    """A copy of keyring and file at each step is what a kill there would leave."""
    left = []

    def noting(step, call):
        def noted(*arguments):
            answer = call(*arguments)
            left.append((step, dict(ring.kept), on_disk(directory)))
            return answer

        return noted

    saved(Storage(directory, Unsealed()), STATE)
    with monkeypatch.context() as patched:
        patched.setattr(ring, "set_password", noting("keyring", ring.set_password))
        patched.setattr(Path, "replace", noting("replaced", Path.replace))
        patched.setattr(unbroken.sdk.state, "_sync_directory", noting("synced", unbroken.sdk.state._sync_directory))
        assert loaded(of(ring, directory)) == STATE
    assert [step for step, *_ in left] == ["keyring", "replaced", "synced", "keyring"]
    for _, kept, content in left:
        ring.kept = dict(kept)
        put(directory, content)
        assert loaded(of(ring, directory)) == STATE
        assert ring.entry().is_settled
        assert b"canary" not in on_disk(directory)


def test_a_keyring_that_lost_the_key_locks_the_state_and_keeps_it(ring, directory):
    saved(of(ring, directory), STATE)
    kept = dict(ring.kept)
    ring.kept.clear()
    with pytest.raises(StateLocked, match="has no key"):
        loaded(of(ring, directory))
    ring.kept = kept
    assert loaded(of(ring, directory)) == STATE


@pytest.mark.parametrize("state", ["sealed", "unsealed", "none"])
def test_a_keyring_that_waits_to_be_unlocked_is_not_waited_for_and_nothing_is_guessed(ring, directory, state):
    if state != "none":
        saved(of(ring, directory) if state == "sealed" else Storage(directory, Unsealed()), STATE)
    ring.locked.clear()
    if state == "none":
        file = StateFile(of(ring, directory))
        assert file.load() is None
        with pytest.raises(StateLocked, match="did not answer"):
            file.save(STATE)
        file.close()
        assert not (directory / "state").exists()
    else:
        with pytest.raises(StateLocked, match="did not answer"):
            loaded(of(ring, directory))
    ring.locked.set()
    assert loaded(of(ring, directory)) == (None if state == "none" else STATE)


class SlowRing(Ring):
    """Takes the first key last."""

    def __init__(self):
        super().__init__()
        self.slow = [threading.Event()]
        self.is_late = threading.Event()

    def set_password(self, service, username, password):
        is_first = bool(self.slow)
        if is_first:
            self.slow.pop().wait()
        super().set_password(service, username, password)
        if is_first:
            self.is_late.set()


@pytest.mark.parametrize("is_new", [False, True], ids=["the same SDK", "another SDK"])
def test_a_first_key_that_the_keyring_takes_late_loses_nothing(directory, is_new):
    ring = SlowRing()
    (first_put,) = ring.slow
    file = StateFile(of(ring, directory))
    file.load()
    with pytest.raises(StateLocked, match="did not answer"):
        file.save(STATE)
    if is_new:
        file.close()
        file = StateFile(of(ring, directory))
        file.load()
    file.save(STATE)
    file.close()
    first_put.set()
    assert ring.is_late.wait(5)
    assert loaded(of(ring, directory)) == STATE


def test_a_keyring_that_breaks_locks_the_state(ring, directory):
    saved(of(ring, directory), STATE)
    ring.breaks = True
    with pytest.raises(StateLocked, match="is broken"):
        loaded(of(ring, directory))


@pytest.mark.parametrize("text", ["", "sealed:", "sealed:AAAA", "other:" + "A" * 43 + "=", "sealed:é"])
def test_what_somebody_else_put_into_the_keyring_is_no_key(ring, directory, text):
    saved(of(ring, directory), STATE)
    ((name, _),) = ring.kept.items()
    ring.kept[name] = text
    with pytest.raises(StateLocked, match="not a key"):
        loaded(of(ring, directory))


def test_an_sdk_whose_keyring_was_locked_goes_on_once_it_is_open(phone, platform, ring):
    storage = Storage(phone.path, KeyringSeal(ring, "n", answer_max_s=0.2))
    with Sdk(phone.config(storage=storage)) as sdk:
        sdk.init()
        assert sdk.status.seal is SealLevel.KEYRING
    ring.locked.clear()
    with Sdk(phone.config(storage=Storage(phone.path, KeyringSeal(ring, "n", answer_max_s=0.2)))) as sdk:
        with pytest.raises(InitError) as caught:
            sdk.init()
        assert isinstance(caught.value.__cause__, StateLocked)
        ring.locked.set()
        sdk.init()
        assert sdk.install_id == platform.only_install().install_id


def test_a_reset_gives_up_a_state_whose_key_is_gone_and_seals_the_next(phone, platform, ring):
    def config():
        return phone.config(storage=Storage(phone.path, KeyringSeal(ring, "n")))

    with Sdk(config()) as sdk:
        sdk.init()
    ring.kept.clear()
    with Sdk(config()) as sdk:
        with pytest.raises(InitError):
            sdk.init()
        sdk.reset()
        sdk.init()
        assert len(platform.installs) == 2
    assert ring.entry().is_settled
    with Sdk(config()) as sdk:
        assert sdk.install_id == list(platform.installs)[1]


def backend_of(module, name="Keyring"):
    return type(name, (Ring,), {"__module__": module})()


def chain_of(*modules):
    """As keyring's ChainerBackend, which keeps what it asks in `backends`."""
    return types.SimpleNamespace(backends=[backend_of(module) for module in modules])


@pytest.mark.parametrize("module", ["macOS", "Windows", "SecretService", "libsecret", "kwallet"])
def test_keyrings_of_operating_systems_are_real(module):
    backend = backend_of(f"keyring.backends.{module}")
    assert real_backend(backend) is backend


@pytest.mark.parametrize(
    "backend",
    [
        keyring.backends.fail.Keyring(),
        keyring.backends.null.Keyring(),
        chain_of("keyrings.alt.file", "keyring.backends.null"),
        backend_of("keyrings.alt.file", "PlaintextKeyring"),
        backend_of("elsewhere.backends.macOS"),
        Ring(),
    ],
    ids=["fail", "null", "a chain of nothing real", "plaintext", "a lookalike", "unknown"],
)
def test_what_only_looks_like_a_keyring_is_none(backend):
    assert real_backend(backend) is None


def test_of_a_chain_the_first_real_keyring_is_taken():
    chain = chain_of("keyrings.alt.file", "keyring.backends.kwallet", "keyring.backends.SecretService")
    assert real_backend(chain) is chain.backends[1]


def test_without_a_real_keyring_the_level_is_software_and_said(phone, directory):
    assert isinstance(seal_for(directory), Unsealed)
    with Sdk(phone.config()) as sdk:
        assert sdk.status.seal is SealLevel.SOFTWARE


def test_whoever_asks_for_longer_than_the_limit_is_left_behind():
    goes_on = threading.Event()
    with pytest.raises(StateLocked, match="did not answer"):
        within(0.05, goes_on.wait)
    goes_on.set()
    assert within(30, lambda: 7) == 7


# Files


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o660, 0o601])
def test_a_state_that_others_may_read_or_write_is_refused_and_kept(phone, platform, mode):
    with Sdk(phone.config()) as sdk:
        sdk.init()
    path = phone.path / "state"
    path.chmod(mode)
    with Sdk(phone.config()) as sdk:
        with pytest.raises(InitError, match=f"mode is {mode:04o}"):
            sdk.init()
        path.chmod(0o600)
        sdk.init()
        assert sdk.install_id == platform.only_install().install_id


def test_a_state_that_is_a_link_is_not_followed(directory, tmp_path):
    saved(Storage(directory, Unsealed()), STATE)
    (directory / "state").rename(tmp_path / "elsewhere")
    (directory / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        loaded(Storage(directory, Unsealed()))


def test_a_key_comes_from_a_file_that_its_owner_alone_may_write(directory, tmp_path):
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(0o440)  # as systemd hands credentials to a service
    saved(Storage(directory, KeySeal.of_file(path)), STATE)
    assert loaded(Storage(directory, KeySeal(KEY))) == STATE
    for mode in (0o644, 0o660, 0o404):
        path.chmod(mode)
        with pytest.raises(InvalidConfig, match="its mode is"):
            KeySeal.of_file(path)


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_key_of_another_size_is_refused(tmp_path, size):
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_bytes(SystemRandomness().secret(size))
    with pytest.raises(InvalidConfig):
        KeySeal.of_file(path)


def test_a_key_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidConfig, match="cannot be read"):
        KeySeal.of_file(tmp_path / "key")


# The app secret

CANARY = "canary of the app secret"


def test_the_app_secret_is_nowhere_after_a_registration(phone, platform, caplog, monkeypatch):
    monkeypatch.setattr(sys.modules["sdk_fake_platform"], "APP_SECRET", CANARY)
    caplog.set_level(logging.DEBUG)
    secret = Secret(CANARY)
    told = []
    with Sdk(phone.config(secret=secret)) as sdk:
        sdk.on_status_update(lambda status: told.append(repr(status)))
        phone.offline = True
        told.append(failure_of(sdk))
        phone.offline = False
        platform.answer_next(500)
        told.append(failure_of(sdk))
        platform.answer_next(401, "UNAUTHENTICATED")
        told.append(failure_of(sdk))
        sdk.init()
        told += [repr(sdk), repr(sdk.config), repr(vars(sdk)), repr(sdk._memory.state), repr(secret)]
    told += [repr(record.__dict__) for record in caplog.records]
    assert secret.reveal() == ""
    assert platform.only_install().linked
    assert not [text for text in told if CANARY in text]
    files = [path for path in phone.path.rglob("*") if path.is_file()]
    assert len(files) >= 3
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]


def failure_of(sdk):
    """The traceback of an init that fails, with the variables of every frame of the SDK's that it still holds."""
    with pytest.raises(InitError) as caught:
        sdk.init()
    seen, error = [], caught.value
    while error is not None:
        seen.append(
            "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format(chain=False))
        )
        error = error.__cause__ or error.__context__
    return "".join(seen)


def test_nothing_that_holds_a_secret_is_pickled_or_copied(phone):
    secret = Secret(CANARY)
    for holder in (secret, phone.config(secret=secret), STATE):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(holder)
        with pytest.raises(TypeError, match="not pickled"):
            copy.deepcopy(holder)
