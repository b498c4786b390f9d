"""Schemathesis against a real server: whatever it sends, the platform keeps the contract it serves.

One run a kind of credential, as an operation is only reached with the right one. Checks that the contract itself
contradicts are switched off by name, each with its reason:

- `positive_data_acceptance`: a string that fits the schema may still be refused (a cursor of another list, an app
  secret beside a code, an external id that is a placeholder): the contract says so in words that no schema can.
- `negative_data_rejection`: an item of an upload that is not valid is refused alone, in a reply of 202; unknown members
  are ignored; and an install that is gone answers 410 before anything it sends is looked at.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from unbroken.testing.process import PlatformProcess

SWITCHED_OFF = "positive_data_acceptance,negative_data_rejection"
LONG_S = int(os.environ.get("UNBROKEN_FUZZ_S", "300"))


@pytest.fixture
def platform(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False) as process:
        yield process


def authorizations(platform) -> dict[str, str]:
    """One header for each kind of credential; the install behind the token is linked and has uploaded."""
    app = platform.command("app", "create", "fuzzed")
    scopes = [word for scope in ("user.read", "user.link", "user.delete", "user.manage") for word in ("--scope", scope)]
    key = platform.command("key", "create", "--app", app["app_id"], "--name", "all", *scopes)
    basic = "Basic " + base64.b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()
    body = {"device": {"platform": "android"}, "sdk": {"name": "test", "version": "1"}}
    made = post(platform, "/sdk/installs", body, basic)
    post(platform, f"/v2/users/{made['install_id']}/link", {"external_id": "anna"}, f"Bearer {key['api_key']}")
    return {
        "API key": f"Bearer {key['api_key']}",
        "app secret": basic,
        "user token": f"Bearer {made['user_token']['token']}",
        "install credential": f"Bearer {made['install_credential']}",
    }


def post(platform, path, body, authorization):
    request = urllib.request.Request(
        platform.base_url + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": authorization, "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def fuzz(platform, authorization, seconds, directory):
    """Let it loose; its report where it found something."""
    words = [
        str(Path(sys.executable).with_name("schemathesis")), "run", platform.base_url + "/schema/openapi.json",
        "--checks", "all", "--exclude-checks", SWITCHED_OFF, "--header", f"Authorization: {authorization}",
        "--phases", "examples,coverage,fuzzing,stateful", "--max-time", str(seconds), "--max-examples", "100000",
        "--generation-database", "none", "--no-color", "--warnings", "off", "--suppress-health-check", "all",
        "--request-timeout", "10", "--seed", "1", "--workers", "1",
    ]  # fmt: skip
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=directory, timeout=seconds + 240)
    return done.returncode, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("kind", ["API key", "user token"])
def test_a_short_run_finds_nothing(platform, tmp_path, kind):
    code, report = fuzz(platform, authorizations(platform)[kind], 8, tmp_path)
    assert code == 0, report


@pytest.mark.prove
@pytest.mark.parametrize("kind", ["API key", "app secret", "user token", "install credential"])
def test_five_minutes_find_nothing(platform, tmp_path, kind):
    code, report = fuzz(platform, authorizations(platform)[kind], LONG_S, tmp_path)
    assert code == 0, report
    print(kind, report[-400:])
