"""What a platform is not served with, and what the doctor says of it: one row a mistake."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sqlite3
from contextlib import closing

import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.clock import ManualClock
from unbroken.server import safety, serve, settings
from unbroken.server.data_directory import Mode
from unbroken.server.safety import machine
from unbroken.server.safety.finding import Verdict
from unbroken.server.service import Service


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(serve, "_until_told", would_serve)
    for name in [name for name in os.environ if name.startswith("UNBROKEN_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "Shop", "--data", str(directory)]).exit_code == 0
    return directory


def opened(data):
    """What `unbroken serve` does before it serves."""

    async def begin():
        service = await Service.open(settings.load(data=data), Mode(lab=False))
        await service.stop()
        return [warning.check for warning in service.warnings]

    return asyncio.run(begin())


async def would_serve(*_):
    """Instead of serving for ever, where what should be refused is not."""
    raise AssertionError("This is served.")


def refused(data):
    """What `unbroken serve` says, and ends with."""
    done = CliRunner().invoke(program, ["serve", "--data", str(data), "--port", "0"])
    assert isinstance(done.exception, SystemExit), done.exception
    assert (done.exit_code, done.stdout) == (1, "")
    return done.stderr


def doctor(data):
    done = CliRunner().invoke(program, ["doctor", "--data", str(data), "--json"])
    found = {}
    for check, verdict, _ in (each.values() for each in json.loads(done.stdout)["checks"]):
        found[check] = max(found.get(check, "ok"), verdict, key=["ok", "warning", "problem"].index)
    assert done.exit_code == ("problem" in found.values())
    return found


def keys_with(**changes):
    def change(data):
        path = data / "keys.json"
        kept = json.loads(path.read_bytes())
        for name, value in changes.items():
            kept[name] = base64.b64encode(value).decode() if isinstance(value, bytes) else kept[value]
        path.write_text(json.dumps(kept))

    return change


def without_pepper(data):
    kept = json.loads((data / "keys.json").read_bytes())
    del kept["pepper"]
    (data / "keys.json").write_text(json.dumps(kept))


def mode(name, bits):
    return lambda data: (data / name).chmod(bits)


def lost(name):
    return lambda data: (data / name).unlink()


def written(name, text):
    return lambda data: (data / name).write_text(text)


def public(**more):
    return {"HOST": "0.0.0.0", **more}


SECRET_URL = "postgresql://unbroken:kR3wq8vLxT@{host}/unbroken"
FILE_OF_ENVIRONMENT = written("../.env", f"UNBROKEN_DATABASE_URL={SECRET_URL.format(host='127.0.0.1:1')}\n")


def nothing(_):
    """The data are well."""


REFUSED = {
    "keys that all can read": (mode("keys.json", 0o644), {}, "Others can read", "keys"),
    "keys that a group can read": (mode("keys.json", 0o640), {}, "Others can read", "keys"),
    "keys that are lost": (lost("keys.json"), {}, "missing beside a database", "keys"),
    "keys that are no keys": (written("keys.json", "secret"), {}, "is damaged", "keys"),
    "no pepper": (without_pepper, {}, "is damaged", "keys"),
    "a short pepper": (keys_with(pepper=b"0123456789abcdef"), {}, "too short", "keys"),
    "an empty pepper": (keys_with(pepper=b""), {}, "too short", "keys"),
    "a short signing key": (keys_with(signing_key=bytes(range(31))), {}, "too short", "keys"),
    "a short receipt key": (keys_with(receipt_key=bytes(range(8))), {}, "too short", "keys"),
    "a pepper of one letter": (keys_with(pepper=b"p" * 32), {}, "not made by chance", "keys"),
    "a signing key of words": (keys_with(signing_key=b"changeme" * 4), {}, "not made by chance", "keys"),
    "one key in two places": (keys_with(pepper="signing_key"), {}, "not made by chance", "keys"),
    "a directory that all can write to": (mode(".", 0o777), {}, "Others can write", "data directory"),
    "a lost mark": (lost("mode.json"), {}, "is missing beside a database", "lab mark"),
    "a damaged mark": (written("mode.json", "lab?"), {}, "is damaged", "lab mark"),
    "a lab for everybody": (written("mode.json", '{"lab":true}'), public(), "A lab cannot listen on", "listening"),
    "plain HTTP for everybody": (nothing, public(), "plain HTTP", "listening"),
    "plain HTTP on every IPv6 address": (nothing, {"HOST": "::"}, "plain HTTP", "listening"),
    "plain HTTP for IPv4 by another name": (nothing, {"HOST": "0"}, "plain HTTP", "listening"),
    "an answer to plain HTTP that is none": (nothing, public(PLAIN_HTTP="yes"), "must be refuse or allow", "settings"),
    "everybody trusted as a proxy": (nothing, public(TRUSTED_PROXIES="0.0.0.0/0"), "trusts 0.0.0.0/0", "proxies"),
    "everybody trusted over IPv6": (nothing, {"TRUSTED_PROXIES": "10.0.0.1, ::/0"}, "trusts ::/0", "proxies"),
    "a proxy by its name": (nothing, {"TRUSTED_PROXIES": "caddy"}, "UNBROKEN_TRUSTED_PROXIES", "settings"),
    "a limit below none": (nothing, {"LIMIT_INSTALL": "-1"}, "UNBROKEN_LIMIT_INSTALL", "settings"),
    "no deadline for a head": (nothing, {"HEAD_TIMEOUT_S": "0"}, "UNBROKEN_HEAD_TIMEOUT_S", "settings"),
    "a host that cannot be one": (nothing, public(HOST="a" * 64, PLAIN_HTTP="allow"), "cannot be listened on", None),
    "a URL that cannot be read": (
        nothing, {"DATABASE_URL": "postgresql://u:kR3wq8vLxT@[::1/x"}, "cannot be read", "database"),
    "a password that is guessed first": (
        nothing, {"DATABASE_URL": "postgresql://u:postgres@db.invalid/x"}, "that are guessed", "database password"),
    "an account for a password": (
        nothing, {"DATABASE_URL": "postgresql://shop:Shop@db.invalid/x"}, "that are guessed", "database password"),
    "a password in a file for all": (
        FILE_OF_ENVIRONMENT, {"DATABASE_URL": SECRET_URL.format(host="127.0.0.1:1")}, ".env holds it",
        "database password"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_platform_is_not_served_and_the_doctor_says_why(data, monkeypatch, case):
    spoil, environment, sentence, check = REFUSED[case]
    spoil(data)
    for name, value in environment.items():
        monkeypatch.setenv(f"UNBROKEN_{name}", value)
    told = refused(data)
    assert sentence in told
    assert "kR3wq8vLxT" not in told
    assert check is None or doctor(data)[check] == "problem"


def test_as_many_mistakes_are_refused_as_was_asked_for():
    """security.md, requirement 29."""
    assert len(REFUSED) >= 25


def test_data_of_another_account_are_not_served(data, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    assert "belongs to another account" in refused(data)
    assert doctor(data)["data directory"] == "problem"


WARNED = {
    "a directory that a group can write to": (mode(".", 0o770), {}, "data directory"),
    "a directory that all can look into": (mode(".", 0o755), {}, "data directory"),
    "no limit of registrations": (nothing, {"LIMIT_ADDRESS_REGISTRATIONS": "0"}, "limits"),
    "no limit of installs": (nothing, {"LIMIT_INSTALL": "0"}, "limits"),
    "a deadline of an hour": (nothing, {"HEAD_TIMEOUT_S": "3600"}, "deadlines"),
    "half of the world trusted": (nothing, {"TRUSTED_PROXIES": "128.0.0.0/1"}, "proxies"),
    "a limit that is misspelt": (nothing, {"LIMIT_INSTAL": "5"}, "settings"),
    "a database that is misspelt": (nothing, {"DATABASE_URI": "postgresql://u@localhost/x"}, "settings"),
}


@pytest.mark.parametrize("case", WARNED)
def test_a_platform_is_served_under_protest(data, monkeypatch, case):
    spoil, environment, check = WARNED[case]
    spoil(data)
    for name, value in environment.items():
        monkeypatch.setenv(f"UNBROKEN_{name}", value)
    assert check in opened(data)
    assert doctor(data)[check] == "warning"


@pytest.mark.parametrize(
    ("name", "value", "check"),
    [
        ("DATABASE_URL", SECRET_URL.format(host="db.invalid"), "database connection"),
        ("DATABASE_URL", SECRET_URL.format(host="127.0.0.1:1,[fd00::7]:2") + "?sslmode=prefer", "database connection"),
        ("NATS_URL", "nats://nats.invalid:4222", "payload log"),
    ],
)
def test_engines_elsewhere_are_to_be_talked_to_in_private(data, monkeypatch, name, value, check):
    monkeypatch.setenv(f"UNBROKEN_{name}", value)
    found = {each.check: each.verdict for each in safety.examine(settings.load(data=data), is_lab=False)}
    assert found[check] is Verdict.WARNING


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"API_KEY": "k", "APP_ID": "a", "SITE": "s", "TEST_DATABASE_URL": "u", "PORT_8080_TCP": "p"},  # of others
        public(TRUSTED_PROXIES="10.0.0.0/8,fd00::/16,192.0.2.1"),
        public(PLAIN_HTTP="allow"),
        public(ROLE="worker", DATABASE_URL=SECRET_URL.format(host="db.invalid") + "?sslmode=verify-full"),
        {"DATABASE_URL": "postgresql://postgres:postgres@localhost/x", "NATS_URL": "nats://localhost:4222"},
        {"DATABASE_URL": SECRET_URL.format(host="a.invalid:1,b.invalid:2") + "?sslmode=require",
         "NATS_URL": "nats://a:b@nats.invalid:4222"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_well_is_well(data, monkeypatch, environment):
    monkeypatch.setattr(os, "geteuid", lambda: data.stat().st_uid or 1)
    for name, value in environment.items():
        monkeypatch.setenv(f"UNBROKEN_{name}", value)
    found = list(safety.examine(settings.load(data=data), is_lab=False))
    assert [each for each in found if each.verdict is not Verdict.OK] == []


def test_a_clock_before_this_software_is_wrong():
    assert machine.clock(ManualClock(946_684_800_000)).verdict is Verdict.PROBLEM


def test_whoever_is_reached_from_elsewhere_should_not_be_root(monkeypatch, data):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("UNBROKEN_HOST", "0.0.0.0")
    (_, account) = machine.examine(settings.load(data=data), is_lab=False)
    assert account.verdict is Verdict.WARNING


def test_the_doctor_sees_a_ledger_that_is_ahead_of_the_clock(data):
    assert "clock of the ledger" not in doctor(data)
    app_id = json.loads(CliRunner().invoke(program, ["app", "list", "--data", str(data), "--json"]).stdout)["apps"][0]
    CliRunner().invoke(program, ["app", "policy", app_id["app_id"], "retention_days=91", "--data", str(data)])
    with closing(sqlite3.connect(data / "unbroken.db")) as database:
        database.execute("UPDATE facts SET at = at + 86400000")
        database.commit()
    assert doctor(data)["clock of the ledger"] == "warning"


def test_the_doctor_sees_an_app_that_links_without_the_installs_own_proof(data):
    assert doctor(data)["links of apps"] == "warning"
    app_id = json.loads(CliRunner().invoke(program, ["app", "list", "--data", str(data), "--json"]).stdout)["apps"][0]
    CliRunner().invoke(program, ["app", "policy", app_id["app_id"], "link_ticket=required", "--data", str(data)])
    assert "links of apps" not in doctor(data)
