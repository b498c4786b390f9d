"""Importing the SDK brings nothing of the server (sdk.md: it installs without the server's dependencies).

How long it takes is measured by the bench, not tested: machines are noisy.
"""

from __future__ import annotations

import subprocess
import sys

FOREIGN = (
    "httpx",
    "asyncio",
    "starlette",
    "uvicorn",
    "zstandard",
    "structlog",
    "prometheus_client",
    "cryptography",
    "keyring",
    "ssl",
)
OURS = ("unbroken.server", "unbroken.flow", "unbroken.store", "unbroken.log", "unbroken.cli", "unbroken.testing")


def run(program):
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_importing_the_sdk_loads_no_http_client_and_nothing_of_the_server():
    loaded = run("import sys, unbroken.sdk; print(*sys.modules)").split()
    assert "unbroken.sdk.blocking" in loaded
    assert not [name for name in loaded if name in FOREIGN or name.startswith(OURS)]
