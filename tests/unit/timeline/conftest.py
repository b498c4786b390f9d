"""Makes the stories importable by the tests beside it as `timeline_stories`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_spec = importlib.util.spec_from_file_location("timeline_stories", Path(__file__).with_name("stories.py"))
assert _spec is not None
assert _spec.loader is not None
_stories = importlib.util.module_from_spec(_spec)
sys.modules["timeline_stories"] = _stories
_spec.loader.exec_module(_stories)
