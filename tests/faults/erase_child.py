"""Erasures for test_erase_killed.py, killed at each statement (`killing.py`): `PLACE EVERY USER_ID`."""

from __future__ import annotations

import sys

from tests.faults.killing import at_each_statement
from tests.faults.place import told

from unbroken.flow import erase

if __name__ == "__main__":
    place, (every, user_id) = told(sys.argv[1:])
    at_each_statement(place, int(every), lambda context, caller: erase.erase(context, caller, user_id, dry_run=False))
