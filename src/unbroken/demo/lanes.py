"""What each install did, read from a run's outcome: when it was active, what it captured, what arrived late. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from unbroken import wire

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.demo.run import Outcome

LATE_MS: Final = 30 * 60_000
"""An item that took longer than this from capture to receipt is shown as late."""

_SAME_UPLOAD_MS: Final = 120_000


@dataclass(frozen=True, slots=True)
class Captured:
    """One item: epoch milliseconds, and for a location where it was."""

    at_ms: int
    received_ms: int
    outcome: str
    lat: float | None = None
    lon: float | None = None
    acc_m: float | None = None


@dataclass(frozen=True, slots=True)
class LateUpload:
    """Items that waited on the device, and when they came in."""

    first_ms: int
    last_ms: int
    received_ms: int
    count: int


@dataclass(frozen=True, slots=True)
class Lane:
    """One install. `activations` are from and to, the last possibly open (None)."""

    install_id: str
    name: str
    form: str
    state: str
    registered_ms: int
    activations: tuple[tuple[int, int | None], ...]
    captured: tuple[Captured, ...]

    @property
    def outcomes(self) -> Counter[str]:
        """How many items had which outcome."""
        return Counter(item.outcome for item in self.captured)

    @property
    def late_uploads(self) -> list[LateUpload]:
        """Uploads that came in late and counted, one for each time of arrival."""
        late = [i for i in self.captured if i.outcome == "accepted" and i.received_ms - i.at_ms > LATE_MS]
        late.sort(key=lambda item: item.received_ms)
        groups = (list(group) for _, group in groupby(late, key=lambda item: item.received_ms // _SAME_UPLOAD_MS))
        return [
            LateUpload(min(i.at_ms for i in g), max(i.at_ms for i in g), max(i.received_ms for i in g), len(g))
            for g in groups
        ]


def lanes_of(outcome: Outcome) -> list[Lane]:
    """The lanes of a run, in order of appearance."""
    captured: dict[str, list[Captured]] = {}
    for item in outcome.items:
        captured.setdefault(item["install_id"], []).append(_captured(item))
    by_id = {install["install_id"]: install for install in outcome.installs}
    return [
        _lane(by_id[install_id], name, captured.get(install_id, []))
        for install_id, name in outcome.names.items()
        if install_id in by_id
    ]


def at_ms(text: str) -> int:
    """Epoch milliseconds of a time as the platform writes it."""
    instant = wire.parse_iso(text)
    assert instant is not None, text
    return instant


def _lane(install: Mapping[str, Any], name: str, captured: Sequence[Captured]) -> Lane:
    spans = [(at_ms(a["from"]), at_ms(a["to"]) if a["to"] else None) for a in install["activations"]]
    return Lane(
        install_id=install["install_id"],
        name=name,
        form=install["form"],
        state=install["state"],
        registered_ms=at_ms(install["registered_at"]),
        activations=tuple(sorted(spans, key=lambda span: span[0])),
        captured=tuple(sorted(captured, key=lambda item: item.at_ms)),
    )


def _captured(view: Mapping[str, Any]) -> Captured:
    item = view["item"]
    where = (item["lat"], item["lon"], item.get("acc")) if item["kind"] == "location" else (None, None, None)
    return Captured(at_ms(view["captured_at"]), at_ms(view["received_at"]), view["outcome"], *where)
