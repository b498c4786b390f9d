"""Run by Python itself when it starts, in every process of a test run on a bad road: this directory is on its path.

So a server gets the road whoever starts it and however: a test, the lab, the demo in a process of its own, a platform
that was broken on purpose. Nothing of what they start has to know.
"""

import sys
from pathlib import Path

if "serve" in sys.orig_argv:
    sys.path.append(str(Path(__file__).parents[3]))
    from tests.road.chosen import build

    build()
