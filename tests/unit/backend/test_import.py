from __future__ import annotations

import json
import subprocess
import sys

FOREIGN = (
    *("starlette", "uvicorn", "structlog", "unbroken.server", "unbroken.flow", "unbroken.sdk"),
    *("django", "flask", "werkzeug", "fastapi", "litestar", "cryptography"),
)


def test_the_kit_loads_nothing_of_a_server_or_of_the_sdk():
    code = "import json, sys, unbroken.backend; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert [name for name in json.loads(done.stdout) if name.startswith(FOREIGN)] == []
