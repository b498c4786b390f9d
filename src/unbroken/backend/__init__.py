"""The backend kit: what a customer's server needs to link installs, and to read and erase people.

    platform = Platform(base_url, api_key=os.environ["UNBROKEN_API_KEY"])
    platform.link(install_id, external_id=account.id, link_ticket=ticket)

`LinkEndpoint` (`asgi.py`) is the part an app talks to, ready to be mounted; `django.py` and `flask.py` are the same for
those frameworks, and are loaded by nobody who does not name them. Nothing of the platform's server is loaded.
"""

from __future__ import annotations

from unbroken.backend.asgi import LinkEndpoint
from unbroken.backend.client import AsyncPlatform, AsyncUsers, Platform, Users
from unbroken.backend.connection import Options
from unbroken.backend.endpoint import Settings
from unbroken.backend.errors import (
    BackendError,
    InvalidConfig,
    PlatformError,
    PlatformUnreachable,
    ReplyNotUnderstood,
)
from unbroken.backend.pace import Limit, Pace
from unbroken.backend.request import Request
from unbroken.backend.results import (
    Activation,
    AuthCode,
    Event,
    Explanation,
    Fact,
    Install,
    Item,
    Link,
    Receipt,
    RefusedLink,
    Trajectory,
    User,
    Waypoint,
)
from unbroken.backend.retry import Retry
from unbroken.wire import Attested

__all__ = [
    "Activation",
    "AsyncPlatform",
    "AsyncUsers",
    "Attested",
    "AuthCode",
    "BackendError",
    "Event",
    "Explanation",
    "Fact",
    "Install",
    "InvalidConfig",
    "Item",
    "Limit",
    "Link",
    "LinkEndpoint",
    "Options",
    "Pace",
    "Platform",
    "PlatformError",
    "PlatformUnreachable",
    "Receipt",
    "RefusedLink",
    "ReplyNotUnderstood",
    "Request",
    "Retry",
    "Settings",
    "Trajectory",
    "User",
    "Users",
    "Waypoint",
]
