"""The attack suite through the Caddyfile that we recommend: what it lets through, and what it mends, harms nobody."""

from __future__ import annotations

import asyncio

from tests.deploy.front import Front
from tests.deploy.programs import DEPLOY

from unbroken.attack import Wanted, run_suite
from unbroken.attack.attack import Verdict
from unbroken.clock import SystemClock
from unbroken.consent import read_warrant
from unbroken.randomness import SystemRandomness

CHAPTERS = ["mirror", "credentials", "scopes", "methods", "paths", "documents", "injection", "disclosure", "framing"]


def test_no_attack_succeeds_through_caddy(tmp_path, monkeypatch):
    path = tmp_path / "warrant.json"
    with Front(tmp_path, DEPLOY / "Caddyfile").running() as front:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"))
        front.platform.command("attack", "prepare", "--warrant", str(path))
        wanted = Wanted(f"https://localhost:{front.port}", CHAPTERS, proxied=True)
        warrant = read_warrant(path.read_bytes())
        report = asyncio.run(run_suite(wanted, warrant, SystemClock(), SystemRandomness(), lambda _: None))
    assert len(report.outcomes) > 3_000
    assert [(one.attack.id, one.what) for one in report.outcomes if one.verdict is not Verdict.HELD] == []
