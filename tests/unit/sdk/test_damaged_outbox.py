"""An outbox whose file is damaged is set aside and told, and the install goes on; a file that is held is no damage."""

from __future__ import annotations

import logging
import sqlite3
import stat
from contextlib import closing

import pytest

from unbroken.sdk import CaptureOutcome, Location, Sdk, SdkError, StorageInUse, SubmitError


def place(t):
    return Location(t=t, lat=52.5, lon=13.4)


def garbage(content):
    return b"no database" * 1000


def cut(content):
    return content[: len(content) // 2]


def overwritten(content):
    return content[:4096] + b"\xa5" * (len(content) - 4096)


def aside(phone):
    return sorted(file.name for file in phone.path.glob("outbox.damaged-*"))


@pytest.fixture
def file(phone):
    """Of an install that captured and was closed."""
    with Sdk(phone.config()) as sdk:
        sdk.init()
        for t in range(20):
            sdk.capture(*map(place, range(t * 100, t * 100 + 100)))
    return phone.path / "outbox.sqlite"


@pytest.mark.parametrize("damage", [garbage, cut, overwritten])
def test_a_damaged_outbox_is_set_aside_and_the_install_goes_on(open_sdk, phone, platform, file, caplog, damage):
    damaged = damage(file.read_bytes())
    file.write_bytes(damaged)
    with caplog.at_level(logging.ERROR, "unbroken.sdk"), open_sdk() as sdk:
        sdk.init()
        assert sdk.install_id == platform.only_install().install_id
        assert sdk.capture(place(1)) is CaptureOutcome.CAPTURED
        assert sdk.submit_detections().items == 1
        (told,) = sdk.dropped()
    assert "outbox.damaged-1.sqlite" in told.reason
    assert (told.items, told.at_ms) == (0, phone.clock.now_ms())
    assert "outbox.damaged-1.sqlite" in caplog.text
    assert (phone.path / "outbox.damaged-1.sqlite").read_bytes() == damaged
    with open_sdk() as sdk:
        assert sdk.dropped() == [told]


def test_an_outbox_that_is_damaged_again_takes_the_place_of_no_other(phone, file):
    for _ in range(2):
        file.write_bytes(garbage(b""))
        Sdk(phone.config()).close()
    assert aside(phone) == ["outbox.damaged-1.sqlite", "outbox.damaged-2.sqlite"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in phone.path.glob("outbox*")} == {0o600}


def damage_unseen(file):
    """What counting at the opening does not notice: how much of each page is SQLite's."""
    content = bytearray(file.read_bytes())
    content[20] ^= 0xFF
    file.write_bytes(content)


def test_damage_that_shows_later_fails_one_call_and_tells_how_much_waited(open_sdk, phone, file, caplog):
    damage_unseen(file)
    with caplog.at_level(logging.ERROR, "unbroken.sdk"), open_sdk() as sdk:
        sdk.init()
        assert aside(phone) == []
        waiting = sdk.status.waiting_items
        with pytest.raises(SubmitError):
            sdk.submit_detections()
        assert (sdk.status.waiting_items, sdk.status.dropped_items) == (0, waiting)
        assert sdk.capture(place(1)) is CaptureOutcome.CAPTURED
        assert sdk.submit_detections().items == 1
    assert aside(phone) == ["outbox.damaged-1.sqlite"]
    assert "outbox.damaged-1.sqlite" in caplog.text


def test_whoever_hears_of_the_damage_may_ask_the_sdk(phone, file):
    damage_unseen(file)
    heard = []
    with Sdk(phone.config()) as sdk:
        sdk.init()
        handler = logging.Handler()
        handler.emit = lambda _: heard.append(sdk.status.dropped_items)
        logging.getLogger("unbroken.sdk").addHandler(handler)
        try:
            with pytest.raises(SubmitError):
                sdk.submit_detections()
        finally:
            logging.getLogger("unbroken.sdk").removeHandler(handler)
    assert heard == [2000]


@pytest.mark.parametrize("ends", ["by a reset", "by the platform"])
def test_what_was_set_aside_goes_with_the_install_that_captured_it(open_sdk, phone, platform, file, ends):
    file.write_bytes(garbage(b""))
    with open_sdk() as sdk:
        if ends == "by a reset":
            sdk.reset()
        else:
            platform.only_install().state = "deleted"
            assert aside(phone)
        sdk.init()
    assert len(platform.installs) == 2
    assert aside(phone) == []


def test_a_file_that_somebody_else_holds_is_left_where_it_is(phone, file):
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StorageInUse):
            Sdk(phone.config())
    assert aside(phone) == []
    with Sdk(phone.config()) as sdk:
        assert sdk.status.waiting_items == 2000


def test_a_database_of_somebody_else_is_left_where_it_is(phone, file):
    file.unlink()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE payloads (of_somebody_else INTEGER)")
    with pytest.raises(SdkError, match="cannot be opened"):
        Sdk(phone.config())
    assert aside(phone) == []
