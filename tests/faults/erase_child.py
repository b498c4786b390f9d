"""Erasures for test_erase_killed.py, killed at each statement (`killing.py`): `DIRECTORY USER_ID`."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.killing import at_each_statement

from unbroken.flow import erase

if __name__ == "__main__":
    at_each_statement(
        Path(sys.argv[1]), lambda context, caller: erase.erase(context, caller, sys.argv[2], dry_run=False)
    )
