"""Settings: one table, and no value is taken that cannot work."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from unbroken.server import settings
from unbroken.server.settings import Settings
from unbroken.server.trouble import CannotStart


def test_every_setting_has_a_row_with_a_unit_and_a_meaning():
    rows = list(settings.table())
    assert [row.name for row in rows] == [each.name for each in fields(Settings)]
    assert all(row.unit and row.meaning.endswith(".") for row in rows)
    assert {row.variable for row in rows} >= {"UNBROKEN_DATA", "UNBROKEN_HOST", "UNBROKEN_PORT"}


def test_the_command_line_goes_before_the_environment_and_that_before_the_default():
    environment = {"UNBROKEN_PORT": "1", "UNBROKEN_HOST": "::1", "UNBROKEN_DATA": "d", "UNBROKEN_BODY_TIMEOUT_S": "2.5"}
    found = settings.load(environment, port=2, host=None)
    assert (found.port, found.host, found.data, found.body_timeout_s) == (2, "::1", Path("d"), 2.5)
    assert settings.load({}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "x"), ("PORT", "65536"), ("PORT", "-1"), ("LOG_LEVEL", "loud"), ("HEAD_TIMEOUT_S", "0"),
     ("BODY_TIMEOUT_S", "nan"), ("STOP_TIMEOUT_S", "inf"), ("BACKLOG", "0"),
     ("BACKLOG", str(10**20))],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused(name, value):
    with pytest.raises(CannotStart):
        settings.load({f"UNBROKEN_{name}": value})


@pytest.mark.parametrize(
    ("host", "is_public"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("0.0.0.0", True),
        ("", True),
        ("::", True),
        ("127.0.0.2", False),
        ("localhost", False),
        ("192.0.2.1", True),
        ("link.example.com", True),
    ],
)
def test_loopback_is_not_public(host, is_public):
    assert Settings(host=host).is_public is is_public
