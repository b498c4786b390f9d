"""Time zones of installs."""

from __future__ import annotations

from datetime import UTC

import pytest

from unbroken.flow.zones import offset_ms, zone_of

SUMMER, WINTER = 1_752_000_000_000, 1_768_000_000_000


def device(zone):
    return '{"device":{"platform":"android"%s},"sdk":{}}' % (f',"time_zone":"{zone}"' if zone is not None else "")


def test_a_zone_knows_its_summer():
    zone = zone_of(device("Europe/Brussels"))
    assert (offset_ms(zone, SUMMER), offset_ms(zone, WINTER)) == (7_200_000, 3_600_000)


@pytest.mark.parametrize(
    "name", [None, "", "Nowhere/Land", "../../etc/passwd", "/etc/passwd", "a" * 255, "Europe", "\\u0000"]
)
def test_what_is_no_zone_is_utc(name):
    assert zone_of(device(name)) is UTC
