"""The SDK's process is killed at every boundary; the next one must reach the same end, with nothing doubled or lost.

A boundary is: before a request, after its reply arrived and before it is used, before and after a state replaces the
older one, before and after the linker's call. The child counts them and kills itself with SIGKILL at the n-th.
The state that must be left: one install on the platform, the same one on the device, linked; every captured item
acknowledged at least once and every payload known under one id.
"""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHILD = """
import os, signal, sys, urllib.request
from pathlib import Path
import httpx
from unbroken.sdk import Config, Location, Sdk, Secret, Storage

scenario, url, directory, kill_at = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
count = 0


def boundary():
    global count
    count += 1
    if count == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


class Counting(httpx.HTTPTransport):
    def handle_request(self, request):
        boundary()
        response = super().handle_request(request)
        response.read()
        boundary()
        return response


replace = Path.replace


def counting_replace(self, target):
    boundary()
    replaced = replace(self, target)
    boundary()
    return replaced


Path.replace = counting_replace


def link(install_id):
    boundary()
    with urllib.request.urlopen(f"{url}/customer/{install_id}", timeout=60) as reply:
        linked = reply.status == 200
    boundary()
    return linked


config = Config(
    app_id="a" * 24, base_url=url, storage=Storage(directory), secret=lambda: Secret("the app's secret"), link=link,
    transport=Counting(), upload_every_s=None, retry_wait_max_s=0,
)
with Sdk(config) as sdk:
    sdk.init()
    if scenario == "upload":
        if not (Path(directory) / "captured").exists():
            sdk.capture(*[Location(t=t, lat=1, lon=2) for t in range(3)])
            (Path(directory) / "captured").touch()
        sdk.submit_detections()
    if scenario == "reset" and not (Path(directory) / "done").exists():
        sdk.reset()
        (Path(directory) / "done").touch()
        sdk.init()
    print(sdk.install_id, sdk.is_user_linked, sdk.status.waiting_items, count)
"""

_path = Path(__file__).parents[1] / "unit" / "sdk" / "fake_platform.py"
_spec = importlib.util.spec_from_file_location("faults_fake_platform", _path)
fake_platform = importlib.util.module_from_spec(_spec)
sys.modules["faults_fake_platform"] = fake_platform
_spec.loader.exec_module(fake_platform)


class Served:
    """A platform in memory behind a real HTTP server on loopback."""

    def __init__(self):
        self.platform = fake_platform.FakePlatform()
        self.lock = threading.Lock()
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with served.lock:
                    status, reply, headers = served.handle(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(reply))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - the names of http.server

            def log_message(self, *_):
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, method, path, headers, body):
        if path.startswith("/customer/"):
            return 200 if self.platform.link(path.removeprefix("/customer/")) else 500, b"", {}
        return self.platform.handle(method, path, headers, body)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def served():
    served = Served()
    yield served
    served.close()


def run(scenario, served, directory, kill_at):
    """The child's (install id, linked, waiting items, boundaries), or None where it was killed."""
    arguments = [sys.executable, "-c", CHILD, scenario, served.url, str(directory), str(kill_at)]
    child = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60)
    if child.returncode == -signal.SIGKILL:
        return None
    assert child.returncode == 0, child.stderr
    install_id, linked, waiting, boundaries = child.stdout.split()
    return install_id, linked == "True", int(waiting), int(boundaries)


def reaches_the_same_end(scenario, served, directory, kill_at):
    """Kill at a boundary, run again, and look at what is left. Returns whether that boundary was reached."""
    first = run(scenario, served, directory, kill_at)
    install_id, linked, waiting, _ = first or run(scenario, served, directory, 0)
    platform = served.platform
    living = [install for install in platform.installs.values() if install.state != "deleted"]
    assert [(install.install_id, install.linked) for install in living] == [(install_id, True)]
    assert linked
    assert waiting == 0
    if scenario == "upload":
        assert [len(items) for items in platform.payloads.values()] == [3]
    if scenario != "reset":
        assert len(platform.installs) == 1
    return first is None


def after_init(served, tmp_path):
    """The first boundary that is not one of the init before it."""
    return run("init", served, tmp_path / "init", 0)[-1] + 1


def every_boundary(scenario, served, tmp_path, step, start=1):
    kill_at, killed = start, 0
    while True:
        served.platform = fake_platform.FakePlatform()
        if not reaches_the_same_end(scenario, served, tmp_path / str(kill_at), kill_at):
            return killed
        killed += 1
        kill_at += step


@pytest.mark.parametrize("start", [1, 2, 3])
def test_an_init_that_was_killed_ends_like_one_that_was_not(served, tmp_path, start):
    assert every_boundary("init", served, tmp_path, step=3, start=start) >= 4


def test_an_upload_that_was_killed_is_repeated_under_the_same_ids(served, tmp_path):
    assert every_boundary("upload", served, tmp_path, step=1, start=after_init(served, tmp_path)) >= 2


def test_a_reset_that_was_killed_leaves_no_install_alive_but_the_new_one(served, tmp_path):
    assert every_boundary("reset", served, tmp_path, step=3, start=after_init(served, tmp_path)) >= 4


@pytest.mark.prove
@pytest.mark.parametrize("scenario", ["init", "upload", "reset"])
def test_every_boundary_of_every_scenario_ten_times(served, tmp_path, scenario):
    for attempt in range(10):
        assert every_boundary(scenario, served, tmp_path / str(attempt), step=1) >= 12
