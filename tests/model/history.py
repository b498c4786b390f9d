"""One history: a few people and their devices in one app, played on the server and on the naive model at once.

Each step asks both and compares. The clock of the lab only moves forward, so a history begins a week after all earlier
ones; external ids carry its number. Answers that the design pages leave open are written down in the model, not here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.model import naive
from tests.model.api import DAY_MS, WEEK_MS, Api, App, Reply, bearer, from_iso, random_uuid
from tests.model.readings import Device, Readings

if TYPE_CHECKING:
    from tests.model.tables import Tables

DEVICES = [
    {"platform": "android", "screen_inches": 6.1},
    {"platform": "android", "screen_inches": 7.0},
    {"platform": "ios", "idiom": "phone"},
    {"platform": "ios", "model": "iPad14,1"},
    {"platform": "other"},
]
NOT_KEPT = {401, 403, 429}


@dataclass(eq=False)
class Kept:
    """A call with an idempotency key whose reply must come again."""

    path: str
    body: dict[str, Any]
    key: str
    at: int
    reply: Reply
    install: naive.Install | None


class Laboratory:
    """One server and its apps; the time no history has used yet."""

    def __init__(self, api: Api, apps: dict[str, App], tables: Tables) -> None:
        self.api = api
        self.apps = apps
        self.tables = tables
        self.histories = 0
        self.seen: Counter[str] = Counter()
        self.free_from = 200_000 * DAY_MS // WEEK_MS // 10 * WEEK_MS

    def new_history(self, name: str) -> History:
        self.histories += 1
        self.free_from = (max(self.free_from, self.api.now_ms) // WEEK_MS + 2) * WEEK_MS
        return History(self, self.apps[name], self.free_from)


class History(Readings):
    """Both platforms side by side; every method is one call and its comparison."""

    def __init__(self, laboratory: Laboratory, app: App, begin: int) -> None:
        self.api, self.app, self.foreign, self.begin = laboratory.api, app, laboratory.apps["foreign"], begin
        self.number, self.seen, self.tables = laboratory.histories, laboratory.seen, laboratory.tables
        self.api.now_ms = begin
        chosen = app.policies
        policy = naive.Policy()
        policy.linking = chosen.get("linking", policy.linking)
        policy.link_ticket = chosen.get("link_ticket", policy.link_ticket)
        policy.link_burst = int(chosen.get("link_burst", policy.link_burst))
        policy.late_window_days = int(chosen.get("late_window_days", policy.late_window_days))
        policy.late_after_handover_hours = int(chosen.get("late_after_handover_hours", 0))
        self.model = naive.App(policy)
        self.devices: list[Device] = []
        self.codes: list[tuple[str, naive.Code]] = []
        self.tickets: list[tuple[str, naive.Ticket]] = []
        self.kept: list[Kept] = []
        self.known_ids: set[str] = set()
        self.calls = 0

    def advance(self, by_ms: int) -> None:
        if self.now + by_ms - self.begin < 80 * DAY_MS:  # short of the retention: what it removes is another test
            self.api.now_ms += by_ms

    def new_key(self) -> str:
        self.calls += 1
        return random_uuid(self.number, self.calls, self.begin)

    # Registering

    def register(self, device: dict[str, Any], *, with_key: bool, code: tuple[str, naive.Code | None] | None) -> None:
        key = self.new_key() if with_key else None
        self._register(device, key, code)

    def register_again(self, device: Device, facts: dict[str, Any]) -> None:
        """The same key once more, whatever the body."""
        if device.install.state == "deleted":
            code = next(((text, code) for text, code in self.codes if text == device.code), None)
            key, device.key = device.key, None
            self._register(facts, key, code)
            return
        reply = self._register_call(facts, device.key, device.code)
        self._compare_registered(reply, device.install)
        device.spent.append((device.credential, None, self.now))
        self._store_credentials(device, reply)

    def _register(self, facts: dict[str, Any], key: str | None, code: tuple[str, naive.Code | None] | None) -> None:
        text, known = code or (None, None)
        reply = self._register_call(facts, key, text)
        answer = naive.register(self.model, facts, self.now, known, by_code=code is not None)
        self.compare(reply, answer)
        if answer.install is None:
            return
        install = answer.install
        self._bind(install, reply)
        device = Device(install, "", "", 0, key, text)
        self._compare_registered(reply, install)
        self._store_credentials(device, reply)
        self.devices.append(device)

    def _register_call(self, facts: dict[str, Any], key: str | None, code: str | None) -> Reply:
        return self.api.register(self.app.basic if code is None else None, facts, key=key, code=code)

    def _bind(self, install: naive.Install, reply: Reply) -> None:
        """Take the ids the platform has chosen; new ones must be new."""
        install.id = reply.json["install_id"]
        assert install.id not in self.known_ids, f"an install id was given out twice: {reply}"
        self.known_ids.add(install.id)
        own = install.own_user
        own.id = reply.json["user_id"] if install.user is own else self._own_user_id(install)
        assert own.id not in self.known_ids, f"a user id was given out twice: {reply}"
        self.known_ids.add(own.id)

    def _own_user_id(self, install: naive.Install) -> str:
        """Of an install that a code has put to another user at once, only the ledger tells the own one."""
        facts = self.api.ledger(self.app.bearer, install.user.id)
        registered = [fact["fields"] for fact in facts if fact["kind"] == "registered"]
        return str(next(fields["user_id"] for fields in registered if fields["install_id"] == install.id))

    def _compare_registered(self, reply: Reply, install: naive.Install) -> None:
        assert reply.status == 201, reply
        self._compare_state(reply, install)
        assert reply.json["config"]["linking"] == self.model.policy.linking

    def _store_credentials(self, device: Device, reply: Reply) -> None:
        assert reply.json["install_credential"] != device.credential
        device.credential = reply.json["install_credential"]
        device.token, device.token_at = reply.json["user_token"]["token"], self.now

    # Linking

    def link(
        self, device: Device, external_id: object, *, with_key: bool, ticket: tuple[str, naive.Ticket] | None,
        rehearse: bool,
    ) -> None:  # fmt: skip
        text, known = ticket or (None, None)
        key = self.new_key() if with_key else None
        install = device.install
        if rehearse:
            self._rehearse_link(install, external_id, text, known)
        reply = self.api.link(self.app.bearer, install.id, external_id, key=key, ticket=text)
        answer = naive.link(self.model, install, external_id, self.now, ticket=known)
        self.compare(reply, answer)
        if reply.status == 200:
            self._compare_linked(reply, answer)
        if key is not None and reply.status not in NOT_KEPT:
            body = {"external_id": external_id} | ({"link_ticket": text} if text is not None else {})
            self.kept.append(Kept(f"/v2/users/{install.id}/link", body, key, self.now, reply, install))

    def _rehearse_link(
        self, install: naive.Install, external_id: object, text: str | None, ticket: naive.Ticket | None
    ) -> None:
        reply = self.api.link(self.app.bearer, install.id, external_id, ticket=text, dry_run=True)
        answer = naive.link(self.model, install, external_id, self.now, ticket=ticket, dry_run=True)
        self.compare(reply, answer)
        if reply.status == 200:
            assert reply.json["dry_run"] is True
            assert answer.user is not None
            assert (reply.json["id"], reply.json["state"]) == (answer.user.id, answer.state), reply

    def _compare_linked(self, reply: Reply, answer: naive.Answer) -> None:
        told = reply.json
        assert answer.user is not None
        assert told["id"] == told["person_id"] == answer.user.id, (reply, answer.user.id)
        assert told["state"] == answer.state, (reply, answer.state)
        assert (told["state_reason"] is None) == (told["state"] == "active"), reply
        assert "dry_run" not in told
        self.compare_link_id(told["link_id"], answer.link)

    def link_as_foreign(self, device: Device, external_id: object) -> None:
        reply = self.api.link(self.foreign.bearer, device.install.id, external_id)
        self.compare(reply, naive.link(naive.App(), device.install, external_id, self.now))

    def link_unknown(self, install_id: str, external_id: object) -> None:
        reply = self.api.link(self.app.bearer, install_id, external_id)
        self.compare(reply, naive.link(self.model, None, external_id, self.now))

    def link_with_app_credentials(self, device: Device, external_id: str) -> None:
        """Law 3: nothing that an app can hold links."""
        codes = [bearer(text) for text, _ in self.codes[:1]]
        for auth in [self.app.basic, bearer(device.token), bearer(device.credential), *codes, None]:
            reply = self.api.link(auth, device.install.id, external_id)
            assert reply.status in {401, 403, 410}, (auth, reply)
            assert reply.code in {"UNAUTHENTICATED", "FORBIDDEN_CREDENTIAL", "INSTALL_DELETED"}, (auth, reply)

    def repeat(self, kept: Kept, *, other_body: bool) -> None:
        """The same idempotency key again, within its 24 hours."""
        if self.now - kept.at > DAY_MS or kept.install is None or kept.install.erased:
            return
        body = kept.body | {"external_id": self.person(0) + "-other"} if other_body else kept.body
        reply = self.api.send("POST", kept.path, self.app.bearer, body, key=kept.key)
        if other_body:
            assert (reply.status, reply.code) == (409, "IDEMPOTENCY_KEY_REUSED"), reply
        else:
            first, again = [{**told.json, "ref": None} for told in (kept.reply, reply)]
            assert (reply.status, again) == (kept.reply.status, first), (kept.reply, reply)

    # Codes and tickets

    def mint(self, external_id: object, *, with_key: bool) -> None:
        key = self.new_key() if with_key else None
        reply = self.api.mint(self.app.bearer, external_id, key=key)
        answer, code = naive.mint(self.model, external_id, self.now)
        self.compare(reply, answer)
        if code is None:
            return
        self._store_code(reply, code)
        if key is not None and self.number % 2:
            again = self.api.mint(self.app.bearer, external_id, key=key)
            assert again.status == 200, again
            self.codes.pop()  # its text is void now
            self._store_code(again, code)

    def _store_code(self, reply: Reply, code: naive.Code) -> None:
        assert from_iso(reply.json["expires_at"]) == code.expires_at, reply
        text = reply.json["authentication_code"]
        assert text.startswith("unb_code_")
        assert text not in [known for known, _ in self.codes]
        self.codes.append((text, code))

    def redeem(self, device: Device, code: tuple[str, naive.Code | None]) -> None:
        reply = self.api.redeem(device.token, code[0])
        answer = self._token_refused(device) or naive.redeem(device.install, code[1], self.now)
        self.compare(reply, answer)
        if reply.status == 200:
            self._compare_state(reply, device.install)

    def ask_ticket(self, device: Device) -> None:
        reply = self.look_at(device)
        if reply is not None and "link_ticket" in reply.json:
            text = reply.json["link_ticket"]
            self.tickets.append((text, naive.Ticket(device.install, self.now + naive.TICKET_LIFE_MS)))

    # Tokens

    def refresh(self, device: Device, *, with_key: bool) -> None:
        key = self.new_key() if with_key else None
        reply = self.api.tokens(device.credential, key=key)
        if device.install.state == "deleted":
            self.compare(reply, naive.refuse(410, "INSTALL_DELETED"))
            return
        assert reply.status == 200, reply
        device.spent.append((device.credential, key, self.now))
        self._store_credentials(device, reply)

    def refresh_again(self, device: Device) -> None:
        """The last refresh once more: with its key a lost reply, without it a clone."""
        credential, key, at = device.spent[-1]
        if self.now - at > DAY_MS:
            return
        reply = self.api.tokens(credential, key=key)
        if device.install.state == "deleted":
            assert (reply.status, reply.code) in {(410, "INSTALL_DELETED"), (409, "INSTALL_CLONED")}, reply
        elif key is None:
            self.compare(reply, naive.refuse(409, "INSTALL_CLONED"))
        else:
            assert reply.status == 200, reply
            device.spent.insert(0, (device.credential, None, self.now))
            self._store_credentials(device, reply)

    def clone(self, device: Device, which: int) -> None:
        """A spent credential with a key of its own."""
        if not device.spent or device.install.state == "deleted":
            return
        credential, _, _ = device.spent[which % len(device.spent)]
        for reply in (self.api.tokens(credential, key=self.new_key()), self.api.reset(credential)):
            self.compare(reply, naive.refuse(409, "INSTALL_CLONED"))

    # Uploading

    def upload(self, device: Device, payloads: list[list[dict[str, Any]]], skew_ms: int, *, broken: bool) -> None:
        """Payloads of items as the device wrote them; `skew_ms` is how far its clock is ahead."""
        named = [(self.new_key(), items) for items in payloads]
        bad: list[dict[str, Any]] = [{"kind": "location", "t": self.now, "lat": 91, "lon": 0}, {"kind": "no"}]
        sent = [(name, bad[:1] + items + bad[1:] if broken else items) for name, items in named]
        reply = self.api.upload(device.token, self.now + skew_ms, sent)
        refused = self._token_refused(device)
        answers = [
            refused or naive.receive(device.install, self.now, self.now + skew_ms, name, items)
            for name, items in named
        ]  # fmt: skip
        self.compare(reply, answers[0])
        if reply.status != 202:
            return
        device.sent += [item for items in payloads for item in items]
        for (name, items), result in zip(sent, reply.json["results"], strict=True):
            assert (result["payload_id"], result["outcome"]) == (name, "stored"), reply
            indexes = [wrong["index"] for wrong in result["invalid"]]
            assert indexes == ([0, len(items) - 1] if broken else []), reply
        assert reply.json["state"] == device.install.state, (reply, device.install.state)
        assert (reply.json["state_reason"] is None) == (reply.json["state"] == "active"), reply

    # Reset, erasure, metadata

    def reset(self, device: Device) -> None:
        reply = self.api.reset(device.credential)
        at = self.now if device.install.state == "deleted" else self._reset_at(device.install)
        self.compare(reply, naive.reset(device.install, at))

    def _reset_at(self, install: naive.Install) -> int:
        facts = self.api.ledger(self.app.bearer, install.user.id)
        resets = [fact for fact in facts if fact["kind"] == "reset" and fact["fields"]["install_id"] == install.id]
        assert len(resets) == 1, facts
        earliest, latest = naive.reset_between(install, self.now)
        at = from_iso(resets[0]["at"])
        assert earliest <= at <= latest, (at, earliest, latest)
        return at

    def erase(self, user: naive.User, *, by: Device | None, rehearse: bool) -> None:
        """By the customer's key, or by a device with its token."""
        if by is not None:
            self._erase_by_token(user, by)
            return
        if rehearse:
            reply = self.api.erase(self.app.bearer, user.id, dry_run=True)
            assert reply.status == 200, reply
            assert reply.json["dry_run"] is True, reply
        reply = self.api.erase(self.app.bearer, user.id)
        answer = naive.erase(user, self.now)
        self.compare(reply, answer)
        self._compare_receipt(reply, naive.current(user))

    def _erase_by_token(self, user: naive.User, device: Device) -> None:
        reply = self.api.erase(bearer(device.token), user.id)
        answer = self._token_refused(device) or naive.erase_with_token(device.install, user)
        self.compare(reply, answer)
        if reply.status == 200:
            naive.erase(user, self.now)
            self._compare_receipt(reply, naive.current(user))

    def _compare_receipt(self, reply: Reply, user: naive.User) -> None:
        user.receipt_id = user.receipt_id or reply.body.decode()
        assert reply.body.decode() == user.receipt_id, "a repeated erasure gives the same receipt"

    def write_metadata(self, device: Device, values: dict[str, str]) -> None:
        reply = self.api.metadata(device.token, values)
        answer = self._token_refused(device) or naive.write_with_token(device.install)
        if answer.status == 200:
            assert reply.status in {200, 204}, reply
            device.install.user.metadata |= values
        else:
            self.compare(reply, answer)
