"""Recorded days driven through the platform: deliveries in order of arrival in, timelines out.

The data lies beside the checkout (`../shared/data/traces`) or where `UNBROKEN_SHARED` says; it is not part of the
product. Times of the traces are epoch seconds. A lab's clock only moves forward, so each day is moved by whole weeks
to later than all before, and its timeline is moved back.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.model.api import DAY_MS, PHONE, TABLET, WEEK_MS, Api, App, from_iso, random_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("UNBROKEN_SHARED", CHECKOUT.parent / "shared"))
TRACES = SHARED / "data" / "traces"
ACTIVITIES = {
    "still": "still",
    "walking": "walking",
    "on_foot": "walking",
    "running": "running",
    "on_bicycle": "cycling",
    "in_vehicle": "automotive",
}
CONFIDENCES = {"low": 0.3, "medium": 0.6, "high": 1.0}

Delivery = dict[str, Any]


def sessions() -> Iterator[dict[str, Any]]:
    """The labelled phone-days."""
    for path in sorted(TRACES.glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as lines:
            yield from map(json.loads, lines)


def ms(seconds: float) -> int:
    return round(seconds * 1000)


def items_of(fixes: list[list[Any]], activities: list[list[Any]]) -> list[dict[str, Any]]:
    """Samples of a trace as items of http-api.md."""
    return [fix_item(*fix) for fix in fixes] + [activity_item(*activity) for activity in activities]


def fix_item(t: float, lat: float, lon: float, acc_m: float | None, speed_mps: float | None) -> dict[str, Any]:
    item = {"kind": "location", "t": ms(t), "lat": lat, "lon": lon}
    return item | {name: value for name, value in (("acc", acc_m), ("speed", speed_mps)) if value is not None}


def activity_item(t: float, label: str, confidence: float | str) -> dict[str, Any]:
    sure = CONFIDENCES.get(confidence, 0.5) if isinstance(confidence, str) else confidence / 100
    return {"kind": "activity", "t": ms(t), "type": ACTIVITIES.get(label, "unknown"), "confidence": sure}


@dataclass(eq=False)
class Recorder:
    """One lab that has days driven through it, one person a day."""

    api: Api
    app: App
    registered: int = 0
    people: int = 0
    uploads: int = 0
    credentials: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, tuple[int, str]] = field(default_factory=dict)
    install_ids: dict[str, str] = field(default_factory=dict)

    def drive(self, deliveries: list[Delivery], not_before: int = 0) -> tuple[str, list[dict[str, Any]]]:
        """Play one day.

        Args:
            deliveries: as scenario.py writes them, in order of arrival.
            not_before: an instant of the lab that the day must lie after, so that two labs move it alike.

        Returns:
            The user id, and the timeline in the day's own time.
        """
        self.people += 1
        first, last = ms(deliveries[0]["at"]) - 2_000, ms(deliveries[-1]["at"])
        weeks = -(-(max(self.api.now_ms, not_before) + DAY_MS - first) // WEEK_MS)
        shift = max(0, weeks) * WEEK_MS
        user_id = ""
        for at, delivery in self.with_registrations(deliveries):
            self.api.now_ms = max(self.api.now_ms, at + shift)
            user_id = self.step(delivery, shift) or user_id
        self.api.now_ms = max(self.api.now_ms, last + shift) + DAY_MS
        self.api.settle()
        return user_id, self.timeline(user_id, first + shift, last + shift, shift)

    @staticmethod
    def with_registrations(deliveries: list[Delivery]) -> list[tuple[int, Delivery]]:
        """An install is registered one second before its link."""
        steps = [(ms(delivery["at"]), delivery) for delivery in deliveries]
        links = [delivery for delivery in deliveries if delivery["op"] == "link"]
        steps += [(ms(delivery["at"]) - 1_000, delivery | {"op": "register"}) for delivery in links]
        return sorted(steps, key=lambda step: step[0])

    def step(self, delivery: Delivery, shift: int) -> str | None:
        if delivery["op"] == "register":
            self.register(delivery["install"], delivery["device"])
        elif delivery["op"] == "link":
            reply = self.api.link(self.app.bearer, self.install_ids[delivery["install"]], f"person-{self.people}")
            assert reply.status == 200, reply
            return str(reply.json["id"])
        else:
            self.upload(delivery, shift)
        return None

    def register(self, install: str, device: str) -> None:
        self.registered += 1
        reply = self.api.register(self.app.basic, PHONE if device == "phone" else TABLET)
        assert reply.status == 201, reply
        self.install_ids[install] = reply.json["install_id"]
        self.keep(install, reply.json)

    def keep(self, install: str, told: dict[str, Any]) -> None:
        self.credentials[install] = told["install_credential"]
        self.tokens[install] = self.api.now_ms, told["user_token"]["token"]

    def upload(self, delivery: Delivery, shift: int) -> None:
        install = delivery["install"]
        if self.api.now_ms - self.tokens[install][0] > 2 * DAY_MS:
            renewed = self.api.tokens(self.credentials[install])
            assert renewed.status == 200, renewed
            self.keep(install, renewed.json)
        items = items_of(delivery["fixes"], delivery["activities"])
        for item in items:
            item["t"] += shift
        self.uploads += 1
        name = random_uuid(self.people, delivery.get("payload_id", self.uploads))
        reply = self.api.upload(self.tokens[install][1], self.api.now_ms, [(name, items)])
        assert reply.status == 202, reply
        assert reply.json["results"][0]["invalid"] == [], reply

    def timeline(self, user_id: str, from_ms: int, to_ms: int, shift: int) -> list[dict[str, Any]]:
        reply = self.api.events(self.app.bearer, user_id, from_ms, to_ms)
        assert reply.status == 200, reply
        return [moved_back(event, shift) for event in reply.json]


def moved_back(event: dict[str, Any], shift: int) -> dict[str, Any]:
    end = event["end"]
    times = {"start": from_iso(event["start"]) - shift, "end": None if end is None else from_iso(end) - shift}
    return event | times
