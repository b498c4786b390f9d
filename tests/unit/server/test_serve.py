"""A real process: it comes up, does its work, says why it cannot, and stops so that nothing is lost."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from unbroken.testing.member import children_of
from unbroken.testing.process import PlatformProcess

REGISTER = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}


def serve(data, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "unbroken", "serve", "--data", str(data), *words],
        env=os.environ | environment, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_register_link_and_upload_over_a_restart(tmp_path):
    process = PlatformProcess(tmp_path / "data", seed=1)
    with process:
        app = process.command("app", "create", "Shop")
        key = process.command("key", "create", "--app", app["app_id"], "--name", "n", "--scope", "user.link")
        with httpx.Client(base_url=process.base_url) as client:
            reply = client.post("/sdk/installs", json=REGISTER, auth=(app["app_id"], app["app_secret"]))
            assert "server" not in reply.headers
            made = reply.json()
            token = {"Authorization": f"Bearer {made['user_token']['token']}"}
            item = {"kind": "location", "t": 1, "lat": 51, "lon": 3}
            upload = {
                "sent_at": 1,
                "payloads": [{"payload_id": "0193f7a2-5c1e-7b3a-9d24-6f0e8a1b2c3d", "items": [item]}],
            }
            assert client.post("/sdk/payloads", json=upload, headers=token).status_code == 202
            assert client.post("/lab/settle").status_code == 204
    with process, httpx.Client(base_url=process.base_url) as client:
        linked = client.post(
            f"/v2/users/{made['install_id']}/link",
            json={"external_id": "alice"},
            headers={"Authorization": f"Bearer {key['api_key']}"},
        )
        assert linked.json()["id"] == made["user_id"]
        assert client.get("/sdk/install", headers=token).json()["linked"] is True
        assert client.get("/metrics").text.count("unbroken_requests_total{") >= 2
        assert client.get("/health/ready").json()["dependencies"] == {
            "store": "ok",
            "payload_log": "ok",
            "worker": "ok",
        }


def test_every_metric_of_the_page_has_a_place_in_the_documentation(tmp_path):
    pages = "\n".join(page.read_text() for page in (Path(__file__).parents[3] / "docs").rglob("*.md"))
    with PlatformProcess(tmp_path / "data") as process:
        shown = re.findall(r"^# TYPE (unbroken_\w+) ", httpx.get(f"{process.base_url}/metrics").text, re.MULTILINE)
    assert shown
    assert [name for name in shown if name not in pages] == []


def test_what_the_command_line_changes_holds_at_once(tmp_path):
    with PlatformProcess(tmp_path / "data") as process, httpx.Client(base_url=process.base_url) as client:
        app = process.command("app", "create", "Shop")
        secret = (app["app_id"], app["app_secret"])
        assert client.post("/sdk/installs", json=REGISTER, auth=secret).status_code == 201
        process.command("app", "disable", app["app_id"])
        assert client.post("/sdk/installs", json=REGISTER, auth=secret).json()["errorCode"] == "APP_DISABLED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_ends_well_and_says_so(tmp_path, number):
    process = PlatformProcess(tmp_path / "data", lab=False).start()
    os.kill(process.pid, number)
    process.stop()
    last = json.loads(process.output().splitlines()[-1])
    assert last["event"] == "stopped"


@pytest.mark.skipif(os.geteuid() != 0, reason="the first process of a namespace takes root to make")
def test_told_to_stop_while_it_starts_it_ends_at_once_also_as_the_first_process_of_a_container(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a database that never answers
        url = f"postgresql://a:b@127.0.0.1:{silent.getsockname()[1]}/x"
        words = [sys.executable, "-m", "unbroken", "serve", "--port", "0", "--data", str(tmp_path / "data")]
        with subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", *words], env=os.environ | {"UNBROKEN_DATABASE_URL": url}
        ) as process:
            connection, _ = silent.accept()
            (server,) = children_of(process.pid)
            os.kill(server, signal.SIGTERM)
            assert process.wait(30) == 0, "one that goes on waits in vain for its database, and cannot start"
            connection.close()


def test_a_taken_port_is_a_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = serve(tmp_path / "data", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "address already in use" in done.stderr.lower()
    assert not (tmp_path / "data").exists()


def test_a_second_server_on_the_same_data_is_a_sentence(tmp_path):
    with PlatformProcess(tmp_path / "data"):
        done = serve(tmp_path / "data", "--port", "0")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "Another server" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--lab", "--host", "0.0.0.0"), "A lab cannot listen on"),
        (("--lab", "--role", "worker"), "A lab is one process"),
        (("--host", "0.0.0.0"), "plain HTTP"),
        (("--port", "70000"), "port"),
        (("--host", "no.such.host.invalid"), "cannot be listened on"),
    ],
)
def test_what_cannot_be_served_is_a_sentence_and_makes_no_directory(tmp_path, words, sentence):
    done = serve(tmp_path / "data", "--port", "0", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert sentence in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_damaged_database_is_a_sentence(tmp_path):
    with PlatformProcess(tmp_path / "data", lab=False):
        pass
    (tmp_path / "data" / "unbroken.db").write_bytes(b"not a database" * 1000)
    done = serve(tmp_path / "data", "--port", "0")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_a_bad_setting_names_its_variable(tmp_path):
    done = serve(tmp_path / "data", "--port", "0", UNBROKEN_HEAD_TIMEOUT_S="soon")
    assert (done.returncode, "UNBROKEN_HEAD_TIMEOUT_S" in done.stderr) == (1, True)
