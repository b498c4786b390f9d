"""A timeline that cannot be computed is told to the operator: log, metrics, doctor, `user show`; others are served."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.model.api import PHONE, Api, Connection, create_app, random_uuid

from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

T, HOUR = 1_790_000_000_000, 3_600_000


class Person:
    """Somebody with one phone."""

    def __init__(self, api: Api, basic: str, name: str) -> None:
        self._api = api
        made = api.register(basic, PHONE, key=random_uuid(name)).json
        self.user_id, self.install_id = made["user_id"], made["install_id"]
        self._token = made["user_token"]["token"]

    def capture(self, *minutes: int) -> None:
        items = [{"kind": "location", "t": T + minute * 60_000, "lat": 51, "lon": 3, "acc": 9} for minute in minutes]
        reply = self._api.upload(self._token, self._api.now_ms, [(random_uuid(minutes), items)])
        assert reply.status == 202, reply
        self._api.settle()


def test_a_timeline_that_cannot_be_computed_is_told_everywhere_and_harms_nobody_else(tmp_path):
    with PlatformProcess(tmp_path / "data") as platform, closing(Connection(platform.base_url)) as connection:
        api = Api(connection)
        api.now_ms = T
        app = create_app(platform, "shop")
        ill, well = Person(api, app.basic, "ill"), Person(api, app.basic, "well")
        api.now_ms = T + HOUR
        ill.capture(*range(10, 50))
        with closing(sqlite3.connect(platform.data / "unbroken.db", isolation_level=None)) as file:
            file.execute("UPDATE payloads SET body = 'damaged' WHERE install_id = ?", [bytes.fromhex(ill.install_id)])
        ill.capture(5)
        well.capture(*range(10, 50))

        assert len(api.events(app.bearer, well.user_id, T, T + HOUR).json) > 0
        assert len(api.events(app.bearer, ill.user_id, T, T + HOUR).json) > 0, "what was told before is not served"
        assert metric(platform, "unbroken_timeline_failures_total") >= 1
        (line,) = [line for line in lines(platform) if line["event"] == "timeline failed"]
        assert (line["code"], line["user_id"]) == ("TIMELINE_FAILED", ill.user_id)
        assert "Traceback" in line["exception"]
        assert platform.command("user", "show", well.user_id)["timeline"] == {"state": "up to date"}
        assert platform.command("user", "show", ill.user_id)["timeline"]["state"] == "cannot be computed"
        (check,) = [check for check in doctor(platform.data)["checks"] if check["check"] == "timelines"]
        assert check["verdict"] == "problem"
        assert ill.user_id in check["sentence"]


def metric(platform: PlatformProcess, name: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{platform.base_url}/metrics").text)
    (value,) = [sample.value for family in families for sample in family.samples if sample.name == name]
    return value


def lines(platform: PlatformProcess) -> list[dict[str, str]]:
    return [json.loads(line) for line in platform.output().splitlines() if line.startswith("{")]


def doctor(data: Path) -> dict[str, list[dict[str, str]]]:
    words = [sys.executable, "-m", "unbroken", "doctor", "--data", str(data), "--json"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert done.returncode == 1
    return json.loads(done.stdout)
