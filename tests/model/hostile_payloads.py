"""People whose phones lie: what they send is replayed, torn out of order, doubled, dated back and ahead, and forged.

One round is a history of the model: a few people change phones, and every phone, also the one in the drawer, goes on
sending. The naive model hears what the platform may believe, and judges it by capture time; forged uploads it never
hears of.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random  # noqa: TID251 - seeded by the number of the round, so that it can be played again
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.model import naive
from tests.model.api import DAY_MS, from_iso
from tests.model.history import DEVICES, History

if TYPE_CHECKING:
    from tests.model.api import App
    from tests.model.history import Laboratory
    from tests.model.readings import Device

PAYLOADS_MAX = 32
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
STAGES = 5
SKEWS_MS = [0, 0, 0, 0, 12_000, 40_300, -7_200_400, 3 * DAY_MS]
WAYS = ["fresh"] * 6 + ["late", "replayed", "doubled", "same id", "back", "back", "ahead", "stolen", "moved"]
FORGED = ["cut", "flipped", "relabelled", "credential", "key", "foreign", "none"]


class Payload(NamedTuple):
    """What a phone made once, and may send again."""

    name: str
    items: list[dict[str, Any]]


class Round(History):
    """One history; `sent` counts payloads by the way they were made."""

    def __init__(self, laboratory: Laboratory, app: App, begin: int) -> None:
        super().__init__(laboratory, app, begin)
        self.random = Random(self.number)
        self.sent: Counter[str] = Counter()
        self.made: list[tuple[Device, Payload]] = []
        self.held: list[tuple[Device, Payload]] = []

    def play(self, payloads: int) -> None:
        for _ in range(STAGES):
            self._change_phones()
            for _ in range(payloads // STAGES // PAYLOADS_MAX):
                self._send_upload(self.random.choice(self.devices))
                self._send_forged()
                self.advance(self.random.choice([1, 997, 61_007]))
            self.advance(self.random.randrange(HOUR_MS, 5 * HOUR_MS))
        self.look_at_everything()
        self.look_at_laws()

    def _change_phones(self) -> None:
        """One of two people gets a phone or a tablet more; now and then the active phone is reset first."""
        if self.devices and self.random.random() < 0.2:
            self.reset(self.random.choice(self.devices))
        for person in range(2):
            if self.random.random() < 0.8 or len(self.devices) < 2:
                self.register(self.random.choice(DEVICES), with_key=False, code=None)
                self.advance(self.random.choice([1, 30_011]))
                name = self.person(person)
                self.link(self.devices[-1], name, with_key=False, ticket=None, rehearse=False)
                self.advance(MINUTE_MS)

    # Uploads that the platform may take

    def _send_upload(self, device: Device) -> None:
        skew_ms = self.random.choice(SKEWS_MS)
        named = [self._payload(device, skew_ms) for _ in range(PAYLOADS_MAX)]
        self.random.shuffle(named)
        reply = self.api.upload(device.token, self.now + skew_ms, [(one.name, one.items) for one in named])
        refused = self._token_refused(device)
        answers = [
            refused or naive.receive(device.install, self.now, self.now + skew_ms, one.name, one.items) for one in named
        ]
        self.compare(reply, answers[0])

    def _payload(self, device: Device, skew_ms: int) -> Payload:
        way = self.random.choice(WAYS)
        self.sent[way] += 1
        if way in {"replayed", "doubled", "same id"}:
            return self._again(device, way, skew_ms)
        if way == "late" and self.held:
            return self._of(self.held.pop(self.random.randrange(len(self.held))))
        if way == "stolen" and self.made:  # another phone's payload, as it was
            return self._of(self.random.choice(self.made))
        made = Payload(self.new_key(), self._items(way, skew_ms))
        self.made.append((device, made))
        if way == "late":
            self.held.append((device, made))
        return made

    def _of(self, one: tuple[Device, Payload]) -> Payload:
        return one[1]

    def _again(self, device: Device, way: str, skew_ms: int) -> Payload:
        own = [payload for owner, payload in self.made if owner is device]
        if not own:
            return Payload(self.new_key(), self._items("fresh", skew_ms))
        first = self.random.choice(own)
        if way == "replayed":
            return first
        if way == "doubled":
            return Payload(self.new_key(), [dict(reversed(item.items())) for item in first.items])
        return Payload(first.name, self._items("fresh", skew_ms))

    def _items(self, way: str, skew_ms: int) -> list[dict[str, Any]]:
        return [self._item(self._captured_at(way) + skew_ms) for _ in range(self.random.randrange(1, 4))]

    def _captured_at(self, way: str) -> int:
        """By the true clock. What is moved stands within a millisecond of a fact: of a switch, mostly."""
        if way == "back":
            longest = self.random.choice([HOUR_MS, DAY_MS, 29 * DAY_MS, 35 * DAY_MS])
            return self.now - self.random.randrange(longest)
        if way == "ahead":
            return self.now + self.random.choice([599_000, 600_001, HOUR_MS, 35 * DAY_MS])
        if way == "moved":
            return self.random.choice(self.model.facts)[0] + self.random.randrange(-1, 2)
        return self.now - self.random.randrange(MINUTE_MS)

    def _item(self, t: int) -> dict[str, Any]:
        lat, lon = self.random.randrange(5200, 5300) / 100, self.random.randrange(1300, 1400) / 100
        return {"kind": "location", "t": t, "lat": lat, "lon": lon, "acc": 10.5}

    # Uploads that it must not take

    def _send_forged(self) -> None:
        """Nothing of it counts: the model never hears of it."""
        victim, way = self.random.choice(self.devices), self.random.choice(FORGED)
        named = [(self.new_key(), self._items("fresh", 0)) for _ in range(PAYLOADS_MAX)]
        reply = self.api.upload(self._forged(victim, way), self.now, named)
        assert reply.status in {401, 403, 410}, (way, reply)
        self.sent[f"forged: {way}"] += PAYLOADS_MAX

    def _forged(self, victim: Device, way: str) -> str:
        """Not the victim's token, and like it."""
        token = victim.token
        place = self.random.randrange(len("unb_user_"), len(token))
        other = {
            "cut": token[:place],
            "flipped": token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :],
            "relabelled": token.replace("unb_user_", "unb_tick_"),
            "credential": victim.credential,
            "key": self.foreign.api_key,
            "foreign": self.foreign.app_secret,
            "none": "unb_user_" + "0" * 64,
        }
        return other[way]

    # The laws, as the platform tells what became of it all

    def look_at_laws(self) -> None:
        """One active install at every instant (I3), and nothing counts that was captured outside of it (I5)."""
        for user in self.model.users:
            if user.joined is None and not user.erased:
                self._look_at_laws_of(user)

    def _look_at_laws_of(self, user: naive.User) -> None:
        views = self.api.installs(self.app.bearer, user.id).json["installs"]
        spans = sorted(
            (from_iso(span["from"]), from_iso(span["to"]) if span["to"] else self.now + DAY_MS, view["install_id"])
            for view in views
            for span in view["activations"]
        )
        for (_, end, _), (start, _, _) in pairwise(spans):
            assert end <= start, ("two installs are active at once", spans)
        told = self.api.items(self.app.bearer, user.id, self.begin - 40 * DAY_MS, self.now + 40 * DAY_MS)
        counted = [view for view in told if view["outcome"] == "accepted"]
        for view in counted:
            at = from_iso(view["captured_at"])
            assert any(start <= at < end and install == view["install_id"] for start, end, install in spans), view
        self.sent["counted items"] += len(counted)
