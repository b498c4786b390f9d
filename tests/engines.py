"""The engines: a suite of histories or faults runs on each of them, unchanged, and never learns which it is."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from unbroken.randomness import SystemRandomness
from unbroken.testing.nats import delete_stream, replicas_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgres"
CLUSTER: Final = "postgres with three NATS nodes"
ENGINES: Final = (SQLITE, POSTGRES, CLUSTER)


@dataclass
class Engine:
    """One of `ENGINES`, and the places on it that were given out.

    Args:
        name: which.
        request: whoever asks; by it servers are started when they are first needed.
    """

    name: str
    request: pytest.FixtureRequest
    _streams: list[str] = field(default_factory=list)

    def place(self) -> dict[str, str]:
        """The settings of a platform that nobody has used yet."""
        if self.name == SQLITE:
            return {}
        database: dict[str, str] = {"database_url": self._fixture("schemas").create()}
        if self.name == POSTGRES:
            return database
        self._streams.append(f"test-{SystemRandomness().secret(6).hex()}")
        nats_url: str = self._fixture("nats_url")
        nats = {"nats_url": nats_url, "nats_stream": self._streams[-1], "nats_max_mib": "64"}
        return database | nats | {"nats_replicas": str(replicas_at(nats_url))}

    def count(self, variable: str, usual: Mapping[str, int]) -> int:
        """How many there are to be: what the environment says, or else what is usual on this engine."""
        return int(os.environ.get(variable, usual[self.name]))

    def close(self) -> None:
        """Throw the streams away."""
        for stream in self._streams:
            asyncio.run(delete_stream(self._fixture("nats_url"), stream))

    def _fixture(self, name: str) -> Any:
        return self.request.getfixturevalue(name)
