"""The attack suite through the Caddyfile that we recommend: what it lets through, and what it mends, harms nobody."""

from __future__ import annotations

import asyncio

from tests.deploy.front import Front, changed
from tests.deploy.programs import DEPLOY

from unbroken.attack import Wanted, run_suite
from unbroken.attack.attack import Verdict
from unbroken.clock import SystemClock
from unbroken.consent import read_warrant
from unbroken.randomness import SystemRandomness

CHAPTERS = ["mirror", "credentials", "scopes", "methods", "paths", "documents", "injection", "disclosure", "framing"]
HURRIED = {f"{name}_timeout_s": "1" for name in ("head", "body", "reply")}
PATIENCE_S = 20.0


def attack(front, tmp_path, monkeypatch, chapters):
    path = tmp_path / "warrant.json"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "caddy" / "pki" / "authorities" / "local" / "root.crt"))
    front.platform.command("attack", "prepare", "--warrant", str(path))
    wanted = Wanted(f"https://localhost:{front.port}", chapters, PATIENCE_S, proxied=True)
    return asyncio.run(
        run_suite(wanted, read_warrant(path.read_bytes()), SystemClock(), SystemRandomness(), lambda _: None)
    )


def not_held(report):
    return [(one.attack.id, one.what) for one in report.outcomes if one.verdict is not Verdict.HELD]


def test_no_attack_succeeds_through_caddy(tmp_path, monkeypatch):
    with Front(tmp_path, DEPLOY / "Caddyfile").running() as front:
        report = attack(front, tmp_path, monkeypatch, CHAPTERS)
    assert len(report.outcomes) > 3_000
    assert not_held(report) == []


def test_nobody_holds_a_connection_through_caddy_for_nothing(tmp_path, monkeypatch):
    at_once = dict.fromkeys(("read_header", "read_body"), "5s")  # all shake hands at the same time
    hurried = changed(tmp_path, **at_once, write_idle="2s", idle="1s")
    with Front(tmp_path, hurried, **HURRIED).running() as front:
        report = attack(front, tmp_path, monkeypatch, ["slow"])
    assert len(report.outcomes) > 15
    assert not_held(report) == []
