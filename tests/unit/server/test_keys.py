"""The keys outside the database: made once, for their owner only, and never guessed when damaged."""

from __future__ import annotations

import base64
import json
import resource
import stat

import pytest

from unbroken.randomness import SystemRandomness
from unbroken.sealing import KEY_BYTES, KeyMissing
from unbroken.server import keys
from unbroken.server.keys import KEYS_FILE
from unbroken.server.trouble import CannotStart
from unbroken.server.whole_files import create_once


def open_vault(data, randomness):
    return keys.open_vault(data, randomness, is_new=True)


def test_lost_keys_are_not_made_anew(tmp_path):
    with pytest.raises(CannotStart, match="missing beside a database"):
        keys.open_vault(tmp_path, SystemRandomness(), is_new=False)
    assert list(tmp_path.iterdir()) == []


def test_the_keys_are_made_once_and_stay(tmp_path):
    first, second = open_vault(tmp_path, SystemRandomness()), open_vault(tmp_path, SystemRandomness())
    assert first == second
    assert first.pepper != first.signing_key
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


def test_only_the_owner_can_read_them(tmp_path):
    open_vault(tmp_path, SystemRandomness())
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600


def test_keys_that_others_can_read_are_refused(tmp_path):
    open_vault(tmp_path, SystemRandomness())
    (tmp_path / KEYS_FILE).chmod(0o640)
    with pytest.raises(CannotStart, match="chmod 600"):
        open_vault(tmp_path, SystemRandomness())


@pytest.mark.parametrize("content", ["", "{", "{}", '{"pepper":"AAAA","signing_key":"AAAA"}', '{"pepper":1}'])
def test_damaged_keys_are_refused_not_replaced(tmp_path, content):
    (tmp_path / KEYS_FILE).write_text(content)
    (tmp_path / KEYS_FILE).chmod(0o600)
    with pytest.raises(CannotStart, match="backup"):
        open_vault(tmp_path, SystemRandomness())
    assert (tmp_path / KEYS_FILE).read_text() == content


def test_of_two_that_make_a_file_at_once_the_first_wins(tmp_path):
    create_once(tmp_path / "f", b"first")
    create_once(tmp_path / "f", b"second")
    assert (tmp_path / "f").read_bytes() == b"first"


def test_an_older_file_gets_the_key_it_lacks_once_and_keeps_the_others(tmp_path):
    first = open_vault(tmp_path, SystemRandomness())
    keys = json.loads((tmp_path / KEYS_FILE).read_text())
    del keys["receipt_key"]
    (tmp_path / KEYS_FILE).write_text(json.dumps(keys))
    upgraded = open_vault(tmp_path, SystemRandomness())
    assert (upgraded.pepper, upgraded.signing_key) == (first.pepper, first.signing_key)
    assert len(upgraded.receipt_key) == 32
    assert open_vault(tmp_path, SystemRandomness()) == upgraded
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


def test_a_disk_that_takes_half_of_the_keys_leaves_the_file_as_it_was(tmp_path):
    open_vault(tmp_path, SystemRandomness())
    before = (tmp_path / KEYS_FILE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            keys.add_pepper(tmp_path, SystemRandomness())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / KEYS_FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


def test_a_file_that_others_can_read_by_now_gives_a_running_server_no_new_key(tmp_path):
    vault = open_vault(tmp_path, SystemRandomness())
    ring = keys.open_key_ring(tmp_path)
    (tmp_path / KEYS_FILE).chmod(0o644)
    keys.add_external_id_key(tmp_path, SystemRandomness(), 1)
    keys.add_pepper(tmp_path, SystemRandomness())
    (tmp_path / KEYS_FILE).chmod(0o644)
    with pytest.raises(KeyMissing):
        ring.seal(2, b"app", "anna")
    assert list(vault.peppers().keys) == [1]
    (tmp_path / KEYS_FILE).chmod(0o600)
    assert ring.seal(2, b"app", "anna").startswith("s2.")
    assert list(vault.peppers().keys) == [1, 2]


def test_a_key_that_was_made_up_or_stands_in_two_places_is_known_whichever_it_is(tmp_path):
    open_vault(tmp_path, SystemRandomness())
    keys.add_pepper(tmp_path, SystemRandomness())
    path = tmp_path / KEYS_FILE
    assert not keys.are_guessable(path)
    kept = json.loads(path.read_bytes())
    known = kept["external_id_keys"]["1"]
    for changes in (
        {"external_id_keys": {"1": base64.b64encode(b"a" * KEY_BYTES).decode()}},
        {"external_id_keys": {"1": known, "2": known}},
        {"secret_peppers": {"2": kept["signing_key"]}},
    ):
        path.write_text(json.dumps(kept | changes))
        assert keys.are_guessable(path)
