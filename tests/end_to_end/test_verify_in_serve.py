"""A server verifies some of its people by itself: a damaged row shows in metrics and log until it is repaired."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.model.api import PHONE, Api, Connection, create_app, random_uuid

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 30.0
POLL_S = 0.05


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlatformProcess]:
    monkeypatch.setenv("UNBROKEN_VERIFY_EVERY_S", "1")
    with PlatformProcess(tmp_path / "data", lab=False) as running:
        yield running


def test_a_damaged_row_is_told_until_it_is_repaired(platform):
    user_id = a_person(platform)
    await_metric(platform, "unbroken_verify_checked_total", lambda value: value >= 1)
    assert metric(platform, "unbroken_verify_findings") == 0
    with closing(sqlite3.connect(platform.data / "unbroken.db", isolation_level=None)) as file:
        file.execute("UPDATE installs SET standing = 'standby'")
    await_metric(platform, "unbroken_verify_findings", lambda value: value == 1)
    (line,) = [line for line in lines(platform) if line["event"] == "verify finding"]
    assert {name: line[name] for name in ("level", "code", "table", "user_id", "repairable")} == {
        "level": "error", "code": "TABLES_DIFFER_FROM_LEDGER", "table": "installs", "user_id": user_id,
        "repairable": True,
    }  # fmt: skip
    assert platform.command("verify", "--user", user_id, "--repair")["ok"] is True
    await_metric(platform, "unbroken_verify_findings", lambda value: value == 0)


def a_person(platform: PlatformProcess) -> str:
    app = create_app(platform, "watched")
    with closing(Connection(platform.base_url)) as connection:
        return Api(connection, lab=False).register(app.basic, PHONE, key=random_uuid("watched")).json["user_id"]


def metric(platform: PlatformProcess, name: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{platform.base_url}/metrics").text)
    (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
    return value


def await_metric(platform, name, is_reached):
    deadline_s = time.monotonic() + WAIT_S
    while not is_reached(metric(platform, name)):
        assert time.monotonic() < deadline_s, f"{name} is {metric(platform, name)}"
        time.sleep(POLL_S)


def lines(platform: PlatformProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in platform.output().splitlines() if line.startswith("{")]
