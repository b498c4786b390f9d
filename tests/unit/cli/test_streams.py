"""Standard streams as cron jobs, service managers and pipes leave them: closed, full, without a reader."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import httpx
import pytest

from unbroken.testing.process import free_port

UNBROKEN = f"{sys.executable} -m unbroken"


def sh(line, **environment):
    """A line of the shell, as whoever starts a command from elsewhere writes it."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"],
        env=_environment() | environment, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("streams") / "data"
    assert sh(f"{UNBROKEN} app create 'Café ☃' --data {directory}").returncode == 0
    return f"--data {shlex.quote(str(directory))}"


COMMANDS = ["app list --json", "doctor", "audit head"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk_behind_the_output_is_a_sentence(data, command):
    done = sh(f"{UNBROKEN} {command} {data} >/dev/full")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert b"No space left" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_nobody_reads_ends_a_command_without_a_word(data, command):
    done = sh(f"{UNBROKEN} {command} {data} | true")
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("command", ["app list --json", "app list"])
def test_a_command_whose_streams_were_closed_does_its_work(data, command):
    assert sh(f"{UNBROKEN} {command} {data} <&- >&- 2>&-").returncode == 0


def test_an_import_of_nothing_is_a_sentence(data):
    done = sh(f"{UNBROKEN} import - {data} <&-")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


def test_what_the_locale_has_no_letter_for_is_shown_and_json_is_utf8(data):
    for command in ("app list", "doctor"):
        assert sh(f"{UNBROKEN} {command} {data}", PYTHONIOENCODING="latin-1").returncode == 0
    done = sh(f"{UNBROKEN} app list --json {data}", PYTHONIOENCODING="latin-1")
    assert json.loads(done.stdout)["apps"][0]["name"] == "Café ☃"


def test_a_directory_whose_name_is_no_text_is_named_in_json(tmp_path):
    done = sh(f"cd {tmp_path} && {UNBROKEN} app list --json --data $'d\\xff'")
    assert (done.returncode, json.loads(done.stderr)["errorCode"]) == (1, "CANNOT_START")


@pytest.mark.parametrize("streams", ["2>&-", "<&- >&- 2>&-", ">/dev/full 2>/dev/full"])
def test_a_server_serves_whatever_its_streams_are_and_ends_well(tmp_path, streams):
    port = free_port()
    with subprocess.Popen(
        ["bash", "-c", f"exec {UNBROKEN} serve --port {port} --data {tmp_path / 'data'} {streams}"], env=_environment()
    ) as process:
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
                for _ in range(250):  # more than one write of the log
                    assert client.get(f"http://127.0.0.1:{port}/health/live").status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def _environment():
    return {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
