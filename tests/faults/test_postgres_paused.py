"""PostgreSQL is stopped where it is: its kernel takes what is sent to it, and nothing is answered."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

from unbroken.testing.postgres import PostgresServer
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from pathlib import Path

ASKED_FOR_S = 4.0
"""How long `deploy/` waits for an answer."""


def test_a_platform_says_within_four_seconds_that_it_is_not_ready_and_is_when_the_server_goes_on(tmp_path: Path):
    with PostgresServer() as server:
        platform = PlatformProcess(tmp_path / "data", database_url=server.url(), lab=False)
        with platform, httpx.Client(base_url=platform.base_url, timeout=ASKED_FOR_S) as client:
            server.pause()
            try:
                for _ in range(2):
                    told = client.get("/health/ready")
                    assert told.status_code == 503
                    assert {one["path"] for one in told.json()["errors"]} == {"store", "payload_log"}
                    assert client.get("/health/live").status_code == 200
            finally:
                server.resume()
            until = time.monotonic() + 30
            while client.get("/health/ready").status_code != 200:
                assert time.monotonic() < until
