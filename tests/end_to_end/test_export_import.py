"""A person moves from one platform to another, by HTTP and by the command line; a million items cost no memory."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import subprocess
import sys
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tests.model.api import App, Connection, create_app
from tests.unit.flow.test_archive import exported, lines, same_person, sealed

from unbroken.testing.in_process import PAYLOAD_ID, START_MS, InProcess
from unbroken.testing.process import PlatformProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ITEMS_AT_ONCE = 500
LIMIT_KIB = 64 << 10

PEAK = """
import sys
from unbroken.cli import main
try:
    main()
finally:
    sys.stdout.flush()
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")), file=sys.stderr)
"""
"""Runs a command and tells the most memory that its process ever held."""


def command(data: Path, *words: str, stdout: Any = subprocess.PIPE) -> tuple[bytes, int]:
    """What a command prints, and its peak of resident memory in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *words, "--data", str(data)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout or b"", int(done.stderr.split(b"VmHWM:")[1].split()[0])


def upload(number: int, count: int) -> bytes:
    items = [
        {
            "kind": "location",
            "t": START_MS + (number * count + n) * 30_000,
            "lat": round(51 + (number * 7919 + n * 104_729) % 1_000_003 / 1e7, 7),
            "lon": round(4 + (number * 104_729 + n * 7919) % 1_000_003 / 1e7, 7),
            "acc": n % 37,
        }
        for n in range(count)
    ]
    sent_at = START_MS + number * count * 30_000
    return json.dumps({"sent_at": sent_at, "payloads": [{"payload_id": PAYLOAD_ID, "items": items}]}).encode()


async def template(directory: Path) -> bytes:
    async with InProcess(directory) as platform:
        phone = await platform.register()
        user_id = (await platform.link(phone, "anna")).id
        await platform.upload(phone, [])
        return await exported(platform, user_id)


def generate(path: Path, small: bytes, items: int) -> None:
    """The archive of a person with so many items, whose timeline waits to be computed."""
    told = [line for line in small.splitlines()[:-1] if not line.startswith((b'{"kind":"payload"', b'{"kind":"event"'))]
    count = items // ITEMS_AT_ONCE
    header = {**json.loads(told[0]), "payloads": count, "timeline_is_complete": False}
    told[0] = json.dumps(header, separators=(",", ":")).encode()
    install_id = lines(small, "install")[0]["install_id"]
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(line: bytes) -> None:
            digest.update(line + b"\n")
            file.write(line + b"\n")

        for line in told:
            write(line)
        for number in range(count):
            received_at = START_MS + number * ITEMS_AT_ONCE * 30_000
            head = b'{"kind":"payload","install_id":"%s","received_at":%d,"offset_ms":0,"body":'
            write(head % (install_id.encode(), received_at) + upload(number, ITEMS_AT_ONCE) + b"}")
        end = {"kind": "end", "lines": len(told) + count, "sha256": digest.hexdigest()}
        file.write(json.dumps(end, separators=(",", ":")).encode() + b"\n")


def move(directory: Path, small: bytes, items: int) -> tuple[int, int]:
    """The peaks of an import and an export of a person with so many items; what comes out is what went in."""
    directory.mkdir()
    file, out = directory / "in.jsonl", directory / "out.jsonl"
    generate(file, small, items)
    made, _ = command(directory / "data", "app", "create", "moved", "--json")
    app_id = json.loads(made)["app_id"]
    _, importing = command(directory / "data", "import", str(file), "--app", app_id)
    with out.open("wb") as stdout:
        _, exporting = command(directory / "data", "export", lines(small, "header")[0]["user_id"], stdout=stdout)
    with file.open("rb") as before, out.open("rb") as after:
        for was, is_ in zip(before, after, strict=True):
            if not was.startswith((b'{"kind":"header"', b'{"kind":"end"')):
                assert was == is_
    return importing, exporting


def stays_small(directory: Path, items: int) -> None:
    small = asyncio.run(template(directory))
    few, many = move(directory / "few", small, ITEMS_AT_ONCE), move(directory / "many", small, items)
    more = [big - little for big, little in zip(many, few, strict=True)]
    print(f"\n{items} items: import {more[0] / 1024:.1f} MiB more, export {more[1] / 1024:.1f} MiB more")
    assert max(more) < LIMIT_KIB


def test_sixty_thousand_items_cost_less_than_64_mib(tmp_path):
    stays_small(tmp_path, 60_000)


@pytest.mark.prove
def test_a_million_items_cost_less_than_64_mib(tmp_path):
    stays_small(tmp_path, 1_000_000)


# Over HTTP


@contextmanager
def exporting(platform: PlatformProcess, app: App, user_id: str) -> Iterator[http.client.HTTPResponse]:
    """The export as a client reads it that takes what it wants, when it wants."""
    host, port = platform.base_url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        headers = {"Authorization": f"Bearer {app.api_key}"}
        connection.request("GET", f"/v3/users/{user_id}/export", headers=headers)
        with connection.getresponse() as reply:
            yield reply
    finally:
        connection.close()


def read(platform: PlatformProcess, app: App, user_id: str) -> bytes:
    with exporting(platform, app, user_id) as reply:
        assert reply.status == 200
        return reply.read()


def a_person(platform: PlatformProcess, app: App, uploads: int) -> str:
    """Somebody with so many uploads of 2,000 items; more than sockets buffer, from some sixty on."""
    with closing(Connection(platform.base_url)) as connection:
        device = {"device": {"platform": "android"}, "sdk": {"name": "test", "version": "1"}}
        made = connection.call("POST", "/sdk/installs", json.dumps(device).encode(), {"Authorization": app.basic}).json
        token = {"Authorization": f"Bearer {made['user_token']['token']}"}
        for number in range(uploads):
            reply = connection.call("POST", "/sdk/payloads", upload(number, 2_000), token)
            assert reply.status == 202, reply
    return str(made["user_id"])


def settle(platform: PlatformProcess) -> None:
    with closing(Connection(platform.base_url)) as connection:
        assert connection.call("POST", "/lab/settle").status == 204


def test_the_stream_and_the_command_give_the_same_and_another_platform_takes_it(tmp_path):
    with PlatformProcess(tmp_path / "from") as here, PlatformProcess(tmp_path / "to") as there:
        app, other = create_app(here, "from"), create_app(there, "to")
        user_id = a_person(here, app, 3)
        settle(here)
        with exporting(here, app, user_id) as reply:
            assert (reply.status, reply.getheader("content-type")) == (200, "application/x-ndjson")
            assert reply.getheader("transfer-encoding") == "chunked"
            streamed = reply.read()
        printed, _ = command(tmp_path / "from", "export", user_id)
        assert printed == streamed
        kept = lines(streamed, "payload")  # as often as they came
        assert len({json.dumps(one["body"]) for one in kept}) == 3

        (tmp_path / "person.jsonl").write_bytes(streamed)
        told = there.command("import", str(tmp_path / "person.jsonl"), "--app", other.app_id)
        assert told == {"application_id": other.app_id, "users": [user_id], "were_there": [], "payloads": len(kept)}
        settle(there)
        assert same_person(read(there, other, user_id)) == same_person(streamed)
        again = there.command("import", str(tmp_path / "person.jsonl"), "--app", other.app_id)
        assert again["were_there"] == [user_id]
        for platform, asked, status in ((there, "f" * 24, 404), (here, user_id, 401)):
            with exporting(platform, other, asked) as reply:
                assert reply.status == status


def test_a_person_erased_in_the_middle_leaves_no_whole_reply(tmp_path):
    with PlatformProcess(tmp_path / "data") as platform, closing(Connection(platform.base_url)) as connection:
        app = create_app(platform, "app")
        user_id = a_person(platform, app, 80)
        with exporting(platform, app, user_id) as reply:
            assert reply.read(1_000).startswith(b'{"kind":"header"')
            gone = connection.call("DELETE", f"/users/{user_id}", None, {"Authorization": f"Bearer {app.api_key}"})
            assert gone.status == 200
            with pytest.raises(http.client.IncompleteRead) as broken:
                reply.read()
        assert b'{"kind":"end"' not in broken.value.partial[-200:]
        assert connection.call("GET", "/health/ready").status == 200


def test_callers_that_go_away_cost_nothing(tmp_path):
    with PlatformProcess(tmp_path / "data") as platform:
        app = create_app(platform, "app")
        user_id = a_person(platform, app, 80)
        for _ in range(20):
            with exporting(platform, app, user_id) as reply:
                assert reply.read(1_000)
        assert lines(read(platform, app, user_id), "end")
        assert "error" not in platform.output().lower()


def test_a_file_that_is_none_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "broken.jsonl").write_bytes(sealed(b"{}"))
    with PlatformProcess(tmp_path / "data") as platform:
        create_app(platform, "app")
        done = subprocess.run(
            [sys.executable, "-m", "unbroken", "import", str(tmp_path / "broken.jsonl"), "--data", str(platform.data)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, "Line 1: This is no archive of a person.\n")
