"""The example backend with one change: it says that it has linked, and has not. For `test_example.py`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import unbroken.backend


class LyingEndpoint:
    """Answers as the real one would, and asks the platform for nothing."""

    def __init__(self, platform, authenticate):
        pass

    async def __call__(self, _scope, _receive, send):
        body = b'{"user_id": "00000000000000000000000a", "state": "active"}'
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    unbroken.backend.LinkEndpoint = LyingEndpoint
    example = Path(__file__).parents[2] / "examples" / "backend.py"
    sys.argv[0] = str(example)
    runpy.run_path(str(example), run_name="__main__")
