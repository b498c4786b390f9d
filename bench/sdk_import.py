"""What an app pays for importing the SDK."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

_OF_A_SERVER: Final = (
    *("starlette", "uvicorn", "uvloop", "zstandard", "structlog", "prometheus_client", "typer", "rich"),
    *("unbroken.server", "unbroken.flow", "unbroken.store", "unbroken.log", "unbroken.cli"),
)
_PROGRAM: Final = (
    "import sys, time; t = time.perf_counter(); import unbroken.sdk;"
    " print((time.perf_counter() - t) * 1000, *sys.modules)"
)


def measure() -> tuple[float, list[str]]:
    """How many milliseconds importing takes, the best of five, and what of a server it loaded."""
    runs = [
        subprocess.run([sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True).stdout.split()
        for _ in range(5)
    ]
    return min(float(ms) for ms, *_ in runs), [name for name in runs[0][1:] if name.startswith(_OF_A_SERVER)]
