"""What the attacks are tried on: people of two throw-away apps, made through the platform's own calls."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from unbroken.attack.attack import Unjudged
from unbroken.attack.exchange import asking

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from unbroken.attack.exchange import Caller, Reply
    from unbroken.attack.operations import Operation
    from unbroken.clock import Clock
    from unbroken.consent import Pass
    from unbroken.randomness import Randomness

REGISTER: Final[dict[str, Any]] = {
    "device": {"platform": "android", "screen_inches": 6.1, "time_zone": "Europe/Brussels"},
    "sdk": {"name": "attack", "version": "1"},
}
_EVENT_TRIES: Final = 100
_EVENT_PAUSE_S: Final = 0.1


@dataclass(slots=True)
class Device:
    """An install, and what its SDK would hold."""

    install_id: str
    user_id: str
    credential: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def bearer(self) -> str:
        """The user token as `Authorization` carries it."""
        return f"Bearer {self.token}"


@dataclass(slots=True)
class Person:
    """An account with a linked phone that has uploaded.

    Args:
        canary: stands in the metadata, and nowhere else in the world.
    """

    device: Device
    external_id: str
    link_id: str
    event_id: str
    canary: str

    @property
    def ids(self) -> dict[str, str]:
        """What the parameters of paths stand for."""
        device = self.device
        return {
            "user_id": device.user_id,
            "install_id": device.install_id,
            "link_id": self.link_id,
            "event_id": self.event_id,
        }

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What no reply to anybody else may hold."""
        named = (*self.ids.values(), self.external_id, self.canary, self.device.token, self.device.credential)
        return tuple(text.encode() for text in named)


class Tenant:
    """One of the two apps, and how its honest callers talk."""

    def __init__(self, caller: Caller, given: Pass, clock: Clock, randomness: Randomness) -> None:
        self.given = given
        self._caller, self._clock, self._randomness = caller, clock, randomness

    def key(self, name: str = "all") -> str:
        """A key as `Authorization` carries it."""
        return f"Bearer {self.given.keys[name]}"

    @property
    def basic(self) -> str:
        """App id and secret as `Authorization` carries them."""
        return basic(self.given.app_id, self.given.app_secret)

    async def register(self, code: str | None = None, *, install_key: str | None = None, **headers: str) -> Device:
        """A new install; with a code it is linked, with a key it signs what it spends."""
        further = {"authentication_code": code, "install_key": install_key}
        body = REGISTER | {name: value for name, value in further.items() if value}
        authorization = None if code else self.basic
        return device_of(await self._done(asking("POST", "/sdk/installs", authorization, body, **headers)))

    async def link(self, device: Device, external_id: str) -> str:
        """Link as the customer's server would; the id of the link."""
        target = f"/v2/users/{device.install_id}/link"
        said = await self._done(asking("POST", target, self.key(), {"external_id": external_id}))
        device.user_id = said["id"]
        return str(said["link_id"])

    async def linked(self, external_id: str) -> Device:
        """A new install that is linked."""
        device = await self.register()
        await self.link(device, external_id)
        return device

    async def state(self, device: Device) -> dict[str, Any]:
        """What an install is told of itself."""
        return dict(await self._done(asking("GET", "/sdk/install", device.bearer)))

    async def mint(self, external_id: str) -> str:
        """A code for an account."""
        return str((await self._done(asking("POST", "/users/auth-code", self.key(), {"external_id": external_id})))
                   ["authentication_code"])  # fmt: skip

    async def carrier(self, external_id: str) -> str | None:
        """Who carries an external id now; None where nobody does."""
        target = f"/v3/users?external_id={quote(external_id, safe='')}"
        reply = await self._caller.send(asking("GET", target, self.key()))
        return str(reply.json["id"]) if reply.status == 200 else None

    def upload(self) -> dict[str, Any]:
        """The body of an upload: nine minutes at one place."""
        now_ms = self._clock.now_ms()
        at = {"kind": "location", "lat": 51.05, "lon": 3.72, "acc": 10}
        items = [at | {"t": now_ms + 1000 * second} for second in range(2, 540, 30)]
        return {"sent_at": now_ms, "payloads": [{"payload_id": self._randomness.uuid(now_ms), "items": items}]}

    async def person(self, external_id: str) -> Person:
        """Somebody with a linked phone, metadata and an event."""
        device = await self.register()
        link_id = await self.link(device, external_id)
        canary = self._randomness.secret(12).hex()
        await self._done(asking("PUT", "/sdk/metadata", device.bearer, {"note": canary}))
        await self._done(asking("POST", "/sdk/payloads", device.bearer, self.upload()))
        return Person(device, external_id, link_id, await self._first_event(device), canary)

    async def _first_event(self, device: Device) -> str:
        target = f"/v2/users/{device.user_id}/events?types=all"
        for _ in range(_EVENT_TRIES):
            events = await self._done(asking("GET", target, self.key()))
            if events:
                return str(events[0]["event_id"])
            await asyncio.sleep(_EVENT_PAUSE_S)
        raise Unjudged("No event came of an upload: is a worker running?")

    async def _done(self, request: Any) -> Any:
        reply: Reply = await self._caller.send(request)
        if reply.status >= 300:
            raise Unjudged(f"{request.method} {request.target.partition('?')[0]} of an honest caller answered {reply}.")
        return reply.json


@dataclass(frozen=True, slots=True)
class World:
    """Everything an attack can take hold of. App A attacks, app B is attacked.

    Args:
        me: a person of app A, the attacker's own.
        neighbour: another person of app A.
        victim: a person of app B.
        patience_s: how long a slow attack waits for the platform to lose its own patience.
        pairs: how many pairs are timed.
    """

    caller: Caller
    operations: Sequence[Operation]
    a: Tenant
    b: Tenant
    me: Person
    neighbour: Person
    victim: Person
    randomness: Randomness
    clock: Clock
    patience_s: float
    pairs: int

    def word(self, beginning: str) -> str:
        """A new external id."""
        return f"{beginning}-{self.randomness.secret(6).hex()}"

    def unknown(self, ids: Mapping[str, str]) -> dict[str, str]:
        """Ids that look like these and never were: the same time, other chance."""
        return {
            name: text[:8] + self.randomness.secret(len(text) // 2).hex()[: len(text) - 8] for name, text in ids.items()
        }

    def operation(self, name: str) -> Operation:
        """A call by its name.

        Raises:
            Unjudged: this platform has none.
        """
        for operation in self.operations:
            if operation.name == name:
                return operation
        raise Unjudged(f"This platform has no {name}.")


def basic(name: str, password: str) -> str:
    """HTTP Basic."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def device_of(said: Any) -> Device:
    """The install that a registration answered."""
    return Device(said["install_id"], said["user_id"], said["install_credential"], said["user_token"]["token"])
