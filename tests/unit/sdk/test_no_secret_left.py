"""Where an app secret goes: to the platform, once, and nowhere else. Nothing of an SDK shows what lets anybody in."""

from __future__ import annotations

import base64
import json
import re
import secrets  # noqa: TID251 - a canary that stands nowhere in the source
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("secret_child.py")
CREDENTIAL = re.compile(r"unb_(?:inst|user|code)_\w|\bt-[0-9a-f]{24}")
ASKED_MAX, FAILURES = 20, 5


@contextmanager
def served(platform):
    """The platform on a real socket."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, reply, headers = platform.handle(self.command, self.path, dict(self.headers), body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(reply))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply)

        do_GET = do_POST = answer  # noqa: N815 - as http.server calls them

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def canary():
    return f"canary{secrets.token_hex(24)}"


@pytest.fixture
def needles(canary):
    """The secret, and each form in which a header carries it."""
    pairs = [base64.b64encode(f"{app * 24}:{canary}".encode()).decode() for app in "ab"]
    return [canary, *(pair[40:] for pair in pairs)]  # after the app id, which is no secret


@pytest.fixture
def told(canary, needles, platform, monkeypatch, tmp_path):
    """Runs the app, and returns what it wrote and what it found of the needles among its objects."""

    def run(shell, source):
        monkeypatch.setattr(sys.modules["sdk_fake_platform"], "APP_SECRET", canary)
        lines = [json.dumps([needle[::-1] for needle in needles]), *[canary] * ASKED_MAX]
        with served(platform) as url:
            done = subprocess.run(
                [sys.executable, str(CHILD), shell, source, url, str(tmp_path / "app")],
                input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr.replace(canary, "***")
        return done.stdout + done.stderr, json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.mark.parametrize("source", ["function", "secret"])
@pytest.mark.parametrize("shell", ["Sdk", "AsyncSdk"])
def test_no_log_no_traceback_no_repr_no_file_and_no_object_holds_the_secret(
    shell, source, told, needles, platform, tmp_path
):
    output, found = told(shell, source)
    assert found == {"holders": [], "user_exists": True}
    assert len(platform.installs) == 1
    assert [needle for needle in needles if needle in output] == []
    assert CREDENTIAL.findall(output) == []
    assert output.count("Traceback (most recent call last)") >= FAILURES
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert any(b"unb_inst_" in content for content in files)
    assert not [needle for needle in needles for content in files if needle.encode() in content]
