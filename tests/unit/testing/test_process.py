from __future__ import annotations

import subprocess
import sys

import pytest

from unbroken.testing.process import PlatformProcess, ProcessFailed, await_ready, free_port, stop_process


def python(code):
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_process_that_ends_is_never_ready():
    assert await_ready(python("pass"), free_port(), timeout_s=10) is False


def test_a_process_that_does_not_listen_is_not_ready_in_time():
    process = python("import time; time.sleep(60)")
    try:
        assert await_ready(process, free_port(), timeout_s=0.1) is False
    finally:
        assert stop_process(process) != 0
    assert process.poll() is not None


def test_a_platform_that_was_never_started_has_no_url_and_no_pid(tmp_path):
    platform = PlatformProcess(tmp_path / "data")
    with pytest.raises(ProcessFailed, match="never started"):
        _ = platform.base_url
    with pytest.raises(ProcessFailed, match="does not run"):
        _ = platform.pid
    platform.stop()
    platform.kill()


def test_a_refused_command_tells_why(tmp_path):
    with pytest.raises(ProcessFailed, match="exit code 2"):
        PlatformProcess(tmp_path / "data").command("no-such-command")
