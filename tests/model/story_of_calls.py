"""A story made of every call that changes who is who, told by a number to whatever platform is asked.

It keeps what a phone and a customer's server would keep, so the same story can be told to two platforms of one seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random  # noqa: TID251 - seeded by the number of the story, so that it can be told again
from typing import Any

from tests.model.api import DAY_MS, Api, App, Reply, bearer, iso, random_uuid

FACTS = [
    {"platform": "android", "screen_inches": 6.1},
    {"platform": "android", "screen_inches": 10.4},
    {"platform": "ios", "idiom": "phone"},
]
ADVANCES_MS = [1, 1_009, 61_007, 3_600_011, 9 * 3_600_000]
STEPS = [
    *("register", "link", "link", "link", "upload", "upload", "advance", "advance", "mint", "mint", "redeem"),
    *("register_with_code", "undo", "undo", "activate", "disable", "enable", "user_state", "rename", "renew"),
    *("metadata", "reset", "erase", "leak", "link_wrongly", "rehearse"),
]
INSTALLS_MAX = 8


@dataclass(eq=False)
class Phone:
    install_id: str
    user_id: str
    credential: str
    token: str


@dataclass(eq=False)
class Told:
    """A platform, and what it was told so far."""

    api: Api
    app: App
    random: Random = field(default_factory=Random)
    begin: int = 0
    number: int = 0
    calls: int = 0
    phones: list[Phone] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    answers: list[tuple[str, int, str | None]] = field(default_factory=list)

    def tell(self, number: int, begin: int, steps: int) -> None:
        """One story from its beginning."""
        self.random, self.begin, self.number, self.calls = Random(number), begin, number, 0
        self.phones, self.links, self.codes, self.answers = [], [], [], []
        self.api.now_ms = begin
        for name in ["register", "register", "mint", "register_with_code", *self.random.choices(STEPS, k=steps)]:
            reply = getattr(self, f"_{name}")()
            if reply is not None:
                self.answers.append((name, reply.status, reply.code))
        self.api.settle()

    def state(self) -> dict[str, bytes]:
        """Everything that a customer's server can read of this story's people, as it is sent."""
        window = {"from_": iso(self.begin - DAY_MS), "to": iso(self.api.now_ms + DAY_MS)}
        days = {"from_": window["from_"][:10], "to": window["to"][:10], "types": "all"}
        read: dict[str, bytes] = {}
        for user in sorted({phone.user_id for phone in self.phones}):
            read |= {
                f"/v2/users/{user}": self._read(f"/v2/users/{user}"),
                f"/v2/users/{user}/events": self._read(f"/v2/users/{user}/events", **days),
                f"/v3/users/{user}/installs": self._read(f"/v3/users/{user}/installs"),
                f"/v3/users/{user}/ledger": self._read(f"/v3/users/{user}/ledger", limit=1000),
                f"/v3/users/{user}/items": self._read(f"/v3/users/{user}/items", limit=1000, **window),
            }
        for which in range(3):
            read[self._person(which)] = self._read("/v3/users", external_id=self._person(which))
        return read

    def _read(self, path: str, **query: Any) -> bytes:
        reply = self.api.send("GET", path, self.app.bearer, **query)
        return reply.body if reply.status == 200 else f"{reply.status} {reply.code}".encode()

    # What is drawn

    def _person(self, which: int) -> str:
        return f"story {self.number} of {self.begin}: {which}"

    def _phone(self) -> Phone:
        return self.random.choice(self.phones)

    def _key(self) -> str:
        self.calls += 1
        return random_uuid("story", self.begin, self.number, self.calls)

    # The steps, each one call

    def _register(self) -> Reply | None:
        return self._registered(self.app.basic, None)

    def _register_with_code(self) -> Reply | None:
        return self._registered(None, self.random.choice(self.codes)) if self.codes else None

    def _registered(self, auth: str | None, code: str | None) -> Reply | None:
        facts = self.random.choice(FACTS)
        if len(self.phones) >= INSTALLS_MAX:
            return None
        reply = self.api.register(auth, facts, key=self._key(), code=code)
        if reply.status == 201:
            told = reply.json
            token = told["user_token"]["token"]
            self.phones.append(Phone(told["install_id"], told["user_id"], told["install_credential"], token))
        return reply

    def _link(self) -> Reply:
        phone, person = self._phone(), self._person(self.random.randrange(3))
        reply = self.api.link(self.app.bearer, phone.install_id, person, key=self._key())
        if reply.status == 200 and reply.json["link_id"] not in self.links:
            self.links.append(reply.json["link_id"])
        return reply

    def _link_wrongly(self) -> Reply:
        return self.api.link(self.app.bearer, self._phone().install_id, "null", key=self._key())

    def _rehearse(self) -> Reply:
        person = self._person(self.random.randrange(3))
        return self.api.link(self.app.bearer, self._phone().install_id, person, key=self._key(), dry_run=True)

    def _mint(self) -> Reply:
        reply = self.api.mint(self.app.bearer, self._person(self.random.randrange(3)), key=self._key())
        if reply.status == 200:
            self.codes.append(reply.json["authentication_code"])
        return reply

    def _redeem(self) -> Reply | None:
        if not self.codes:
            return None
        return self.api.redeem(self._phone().token, self.random.choice(self.codes), key=self._key())

    def _undo(self) -> Reply | None:
        if not self.links:
            return None
        reply = self.api.undo(self.app.bearer, self.random.choice(self.links), key=self._key())
        if reply.status == 200 and reply.json["undo_id"] not in self.links:
            self.links.append(reply.json["undo_id"])
        return reply

    def _activate(self) -> Reply:
        return self.api.send(
            "POST", f"/v3/installs/{self._phone().install_id}/activate", self.app.bearer, key=self._key()
        )

    def _disable(self) -> Reply:
        return self._install_state("disabled")

    def _enable(self) -> Reply:
        return self._install_state("active")

    def _install_state(self, state: str) -> Reply:
        path = f"/v3/installs/{self._phone().install_id}/state"
        return self.api.send("PUT", path, self.app.bearer, {"state": state})

    def _user_state(self) -> Reply:
        path = f"/v3/users/{self._phone().user_id}/state"
        return self.api.send("PUT", path, self.app.bearer, {"state": self.random.choice(["disabled", "active"])})

    def _rename(self) -> Reply:
        path = f"/v3/users/{self._phone().user_id}/external_id"
        return self.api.send("PUT", path, self.app.bearer, {"external_id": self._person(self.random.randrange(3))})

    def _renew(self) -> Reply:
        phone = self._phone()
        reply = self.api.tokens(phone.credential, key=self._key())
        if reply.status == 200:
            phone.credential, phone.token = reply.json["install_credential"], reply.json["user_token"]["token"]
        return reply

    def _upload(self) -> Reply:
        phone, at = self._phone(), self.api.now_ms
        items = [
            {"kind": "location", "t": at - 60_000 * n, "lat": 52.5 + self.random.random() / 50, "lon": 13.4, "acc": 9}
            for n in range(self.random.randrange(1, 12))
        ]
        return self.api.upload(phone.token, at, [(self._key(), items)])

    def _metadata(self) -> Reply:
        return self.api.metadata(self._phone().token, {"plan": self.random.choice(["free", "paid"])})

    def _reset(self) -> Reply | None:
        phone = self._phone()
        return self.api.reset(phone.credential) if self.random.random() < 0.4 else None

    def _erase(self) -> Reply | None:
        phone = self._phone()
        return self.api.erase(self.app.bearer, phone.user_id) if self.random.random() < 0.3 else None

    def _leak(self) -> Reply | None:
        """A code was found lying around: it is void from now on."""
        if not self.codes:
            return None
        body = {"tokens": [self.random.choice(self.codes), bearer("no secret")]}
        return self.api.send("POST", "/security/leaked-tokens", None, body)

    def _advance(self) -> None:
        self.api.now_ms += self.random.choice(ADVANCES_MS)
