"""Every call that the platform can answer, those of a lab included, without a platform that runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from unbroken.server import health, lab, table
from unbroken.server.metrics import Metrics
from unbroken.server.readiness import Readiness

if TYPE_CHECKING:
    from unbroken.server.route import Route

_NO_WORKER: Final[Any] = None
"""Rows are described here, never called."""

CALLS: Final[list[Route]] = [*table.api(), *health.routes(Readiness({}), Metrics()), *lab.routes(_NO_WORKER)]


def anchor(route: Route) -> str:
    """Where its heading is, as GitHub and other renderers make it of `METHOD /path`."""
    return re.sub(r"[^a-z0-9_ -]", "", route.name.lower()).replace(" ", "-")
