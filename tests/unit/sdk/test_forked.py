"""A process that forks while its SDK is open goes on with it; the child is refused, and harms nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_what_a_forked_child_does_with_the_sdk_harms_nothing(tmp_path):
    program = [sys.executable, "-m", "tests.unit.sdk.forking_app", str(tmp_path / "device")]
    run = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
