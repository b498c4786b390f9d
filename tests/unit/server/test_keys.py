"""The keys outside the database: made once, for their owner only, and never guessed when damaged."""

from __future__ import annotations

import json
import stat

import pytest

from unbroken.randomness import SystemRandomness
from unbroken.server import keys
from unbroken.server.keys import KEYS_FILE, create_once
from unbroken.server.trouble import CannotStart


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
