"""What is read of a history after its steps and compared with the naive model: laws 1, 2, 4, 6, 7; of 8 what shows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tests.model import naive
from tests.model.api import DAY_MS, Api, App, Reply, bearer, from_iso, iso

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable

    from tests.model.tables import Tables


@dataclass(eq=False)
class Device:
    """What one installation of the SDK has on its disk."""

    install: naive.Install
    credential: str
    token: str
    token_at: int
    key: str | None = None
    code: str | None = None
    spent: list[tuple[str, str | None, int]] = field(default_factory=list)  # credential, key it was spent with, when
    sent: list[dict[str, Any]] = field(default_factory=list)


class Readings:
    """A server and a model that should agree; nothing here changes either."""

    api: Api
    app: App
    foreign: App
    model: naive.App
    devices: list[Device]
    known_ids: set[str]
    number: int
    seen: Counter[str]
    begin: int
    tables: Tables

    @property
    def now(self) -> int:
        return self.api.now_ms

    def person(self, which: int) -> str:
        """An external id of this history; the last one needs normalising."""
        return f"h{self.number}-" + ["ann", "bob", "zoe\u0301", "zo\u00e9"][which % 4]

    def compare(self, reply: Reply, answer: naive.Answer) -> None:
        assert reply.status in {answer.status, *answer.also}, (reply, answer)
        if answer.link is not None:
            self.seen["row 12" if answer.link.joined else "row 10"] += 1
        if reply.status >= 400:
            told = reply.json
            self.seen[told["errorCode"]] += 1
            assert told["errorCode"] in answer.codes, (reply, answer)
            assert told["ref"] == reply.headers["x-request-id"], reply
            assert told["message"], reply

    def look_at(self, device: Device) -> Reply | None:
        """GET /sdk/install."""
        reply = self.api.own_state(device.token)
        gone = naive.refuse(410, "INSTALL_DELETED") if device.install.state == "deleted" else None
        refused = self._token_refused(device) or gone
        if refused is not None:
            self.compare(reply, refused)
            return None
        assert reply.status == 200, reply
        self._compare_state(reply, device.install)
        wants_ticket = not device.install.linked and self.model.policy.linking != "off"
        assert ("link_ticket" in reply.json) == wants_ticket, reply
        return reply

    def read_with_token(self, device: Device, target: naive.User) -> None:
        answer = self._token_refused(device) or naive.read_with_token(device.install, target)
        for path in (f"/v2/users/{target.id}", f"/v2/users/{target.id}/events"):
            query = {"from_": iso(self.begin)[:10], "to": iso(self.now)[:10]} if path.endswith("events") else {}
            reply = self.api.send("GET", path, bearer(device.token), **query)
            self.compare(reply, answer)
        mine = self._token_refused(device) or naive.read_with_token(device.install, device.install.user)
        reply = self.api.profile(bearer(device.token), "me")
        self.compare(reply, mine)
        if reply.status == 200:
            self._compare_profile(reply, device.install.user)

    def look_at_user(self, user: naive.User) -> None:
        """Profile and installs, asked by any id that stands for the user."""
        answer = naive.read_with_key(self.model, user)
        reply = self.api.installs(self.app.bearer, user.id)
        self.compare(reply, answer)
        profile = self.api.profile(self.app.bearer, user.id)
        self.compare(profile, answer)
        self.compare(self.api.profile(self.foreign.bearer, user.id), naive.refuse(404, "NOT_FOUND"))
        if reply.status == 200:
            self._compare_installs(reply, naive.current(user))
            self._compare_profile(profile, naive.current(user))

    def _compare_profile(self, reply: Reply, user: naive.User) -> None:
        told = reply.json
        assert told == {
            "type": "User",
            "id": user.id,
            "created_at": iso(user.created_at),
            "application_id": self.app.app_id,
            "install_id": user.holder.id if user.holder is not None else None,
            "external_id": user.external_id,
            "metadata": user.metadata,
        }, (told, user)

    def _compare_installs(self, reply: Reply, user: naive.User) -> None:
        told = {view["install_id"]: view for view in reply.json["installs"]}
        mine = naive.installs_of(user)
        assert set(told) == {install.id for install in mine}, reply
        for install in mine:
            view = told[install.id]
            self.seen[f"is {install.state}"] += 1
            assert (view["form"], view["state"]) == (install.form, install.state), (view, install)
            assert (view["state_reason"] is None) == (view["state"] == "active"), view
            self.compare_link_id(view["link_id"], install.link)
            assert [(from_iso(a["from"]), a["to"] and from_iso(a["to"])) for a in view["activations"]] == [
                (a.start, a.end) for a in user.activations if a.install is install
            ], (view, install)

    def compare_link_id(self, told: str | None, link: naive.Link | None) -> None:
        """A link keeps its id; the first time it is told, it must be new."""
        if link is not None and not link.id:
            assert told is not None
            assert told not in self.known_ids, "a link id was given out twice"
            self.known_ids.add(told)
            link.id = told
        assert told == (None if link is None else link.id), (told, link)

    def look_at_everything(self) -> None:
        """Laws 1, 2, 4, 6, 7 and what can be seen of 8, for every user of this history."""
        self.api.settle()
        for user in self.model.users:
            self.look_at_user(user)
            if user.joined is None and not user.erased:
                self._compare_items(user)
                self._compare_ledger(user)
                self._compare_events(user)
        for device in self.devices:
            self.look_at(device)
            self._compare_explanations(device.install)
        for which in range(3):
            self._compare_found(self.person(which))
        self.look_at_tables(self.devices)

    def look_at_tables(self, devices: Iterable[Device]) -> None:
        """They are what the ledger's fold says: `unbroken verify` finds nothing."""
        installs = [device.install.id for device in devices]
        self.seen["is the fold"] += self.tables.assert_are_the_fold(self.app.app_id, installs)

    def _compare_found(self, external_id: str) -> None:
        reply = self.api.find(self.app.bearer, external_id)
        user = naive.carrier(self.model, str(naive.as_kept(external_id)))
        self.compare(reply, naive.read_with_key(self.model, user))
        if user is not None:
            self._compare_profile(reply, user)

    def _compare_items(self, user: naive.User) -> None:
        expected = [judged for install in naive.installs_of(user) for judged in naive.judged(install)]
        told = self.api.items(self.app.bearer, user.id, self.begin - 40 * DAY_MS, self.now + 40 * DAY_MS)
        assert len(told) == len(expected), ([view["item"] for view in told], expected)
        by_item = {(view["install_id"], json.dumps(view["item"], sort_keys=True)): view for view in told}
        for judged in expected:
            view = by_item[judged.install.id, json.dumps(judged.item, sort_keys=True)]
            assert view["outcome"] in judged.outcomes, (view, judged)
            assert view["payload_id"] in judged.payload_ids, (view, judged)
            self.seen[view["outcome"]] += 1
            assert from_iso(view["captured_at"]) == judged.captured_at, (view, judged)
            assert from_iso(view["received_at"]) == judged.received_at, (view, judged)

    def _compare_ledger(self, user: naive.User) -> None:
        facts = self.api.ledger(self.app.bearer, user.id)
        positions = [fact["position"] for fact in facts]
        assert positions == sorted(set(positions)), facts
        told = [(from_iso(fact["at"]), fact["kind"]) for fact in facts]
        known = {"registered", "linked", "reset"}
        expected = [(at, kind) for at, kind, install in self.model.facts if install.user is user]
        assert sorted(fact for fact in told if fact[1] in known) == sorted(expected), (told, expected)

    def _compare_events(self, user: naive.User) -> None:
        window = self.begin - 40 * DAY_MS, self.now + 2 * DAY_MS
        reply = self.api.events(self.app.bearer, user.id, *window)
        assert reply.status == 200, reply
        assert self.api.events(self.app.bearer, user.id, *window).body == reply.body
        all_judged = [judged for install in naive.installs_of(user) for judged in naive.judged(install)]
        accepted = sorted(judged.captured_at for judged in all_judged if judged.outcomes == {"accepted"})
        events = sorted(reply.json, key=lambda event: from_iso(event["start"]))
        if not accepted:
            assert events == [], reply
        for event, following in pairwise(events):
            assert from_iso(event["end"]) == from_iso(following["start"]), "events tile the time"
        for event in events:
            assert accepted[0] <= from_iso(event["start"]) <= accepted[-1], (event, accepted)
            assert event["end"] is None or from_iso(event["end"]) <= accepted[-1], (event, accepted)
            assert event["install_id"] in {install.id for install in naive.installs_of(user)}, event
        assert len({event["event_id"] for event in events}) == len(events), reply

    def _compare_explanations(self, install: naive.Install) -> None:
        if install.erased:
            return
        for at in [None, *[at for at, _, _ in install.past]]:
            reply = self.api.explain(self.app.bearer, install.id, at)
            assert reply.status == 200, reply
            state, linked = (install.state, install.linked) if at is None else naive.state_at(install, at)
            assert (reply.json["state"], reply.json["linked"]) == (state, linked), (reply, at, install.past)
            assert reply.json["sentence"], reply

    def _compare_state(self, reply: Reply, install: naive.Install) -> None:
        told = reply.json
        assert told["install_id"] == install.id, (reply, install.id)
        assert told["user_id"] == install.user.id, (reply, install.user.id)
        assert (told["state"], told["linked"]) == (install.state, install.linked), (reply, install)
        assert (told["state_reason"] is None) == (told["state"] == "active"), reply

    def _token_refused(self, device: Device) -> naive.Answer | None:
        if self.now < device.token_at + naive.TOKEN_LIFE_MS:
            return None
        gone = device.install.state == "deleted"
        codes = ("UNAUTHENTICATED", "INSTALL_DELETED") if gone else ("UNAUTHENTICATED",)
        return naive.Answer(401, codes, also=(410,) if gone else ())
