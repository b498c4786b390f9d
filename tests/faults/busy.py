"""A busy story: every power of the ledger used once, so that every table has rows that say something."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from tests.model.api import random_uuid

from unbroken import wire
from unbroken.credentials import body_hash
from unbroken.domain.errors import Refusal
from unbroken.flow import authenticate, codes, erase, erase_part, link, operate, profile, register, rename, tokens
from unbroken.flow.operate import Order
from unbroken.flow.repeat import Repeatable
from unbroken.testing.in_process import Phone

if TYPE_CHECKING:
    from unbroken.testing.in_process import InProcess

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
TABLET = wire.Device("android", screen_inches=10.1)
BRUSSELS = wire.Device("ios", model="iPhone15,2", time_zone="Europe/Brussels")


@dataclass
class Busy:
    """Who is there when it is over: persons by name, phones by name."""

    suffix: str = ""
    users: dict[str, str] = field(default_factory=dict)
    phones: dict[str, Phone] = field(default_factory=dict)

    def named(self, name: str) -> str:
        """What a person of this story is called outside of it."""
        return name + self.suffix


def captured(from_ms: int, hours: int, east: float = 0.0) -> list[dict[str, Any]]:
    """Two hours at a place, one on the way, again; what was felt; and something of the customer's own."""
    items: list[dict[str, Any]] = [{"kind": "custom", "t": from_ms, "name": "opened", "data": {"n": 1}}]
    for minute in range(0, hours * 60, 10):
        hour, t = minute // 60, from_ms + minute * MINUTE
        north = 0.02 * (hour % 3) + 0.02 * (hour % 3 == 2) * (minute % 60) / 60
        items.append({"kind": "location", "t": t, "lat": 51 + north, "lon": 4 + east, "acc": 10})
        items.append({"kind": "activity", "t": t + 1, "type": "walking", "confidence": 0.8})
    return items


async def live(platform: InProcess, suffix: str = "") -> Busy:
    """Live through it; afterwards everything but one upload is processed. A `suffix` makes other people of them."""
    busy = Busy(suffix)
    await anna(platform, busy)
    await ben(platform, busy)
    await carl_and_dora(platform, busy)
    await eve_is_erased(platform, busy)
    await fred_in_part(platform, busy)
    await platform.settle()
    await platform.upload(busy.phones["anna"], captured(platform.clock.now_ms() - HOUR, 1))
    return busy


def later(platform: InProcess, by_ms: int) -> int:
    """Let time pass; what it is then."""
    platform.clock.advance_to(platform.clock.now_ms() + by_ms)
    return platform.clock.now_ms()


async def anna(platform: InProcess, busy: Busy) -> None:
    """A phone, then a newer one and a tablet; late data that changes what was told; two clocks."""
    start_ms = platform.clock.now_ms()
    first = await platform.register(BRUSSELS)
    busy.users["anna"] = (await platform.link(first, busy.named("anna"))).id
    for day in range(3):
        later(platform, DAY)
        await platform.upload(first, captured(start_ms + day * DAY, 10))
    await platform.settle()
    await platform.upload(first, captured(start_ms + 11 * HOUR, 3, 0.3))
    await platform.upload(first, captured(start_ms + 4 * HOUR, 1, 0.2))
    await platform.settle()
    second = await platform.register()
    await platform.link(second, busy.named("anna"))
    for phone in (first, second):
        for name in ("bert", "null"):
            with suppress(Refusal):
                await platform.link(phone, name)
    await platform.link(await platform.register(TABLET), busy.named("anna"))
    now_ms = later(platform, 12 * HOUR)
    items = captured(now_ms - 10 * HOUR, 6, 0.1)
    await platform.upload(second, items, sent_at=now_ms - 2 * MINUTE)
    await platform.upload(second, [*items[:4], {"kind": "location", "t": "never"}], sent_at=now_ms)
    await platform.upload(first, captured(now_ms - 10 * HOUR, 1))
    await platform.settle()
    busy.phones["anna"], busy.phones["anna's first"] = second, first


async def ben(platform: InProcess, busy: Busy) -> None:
    """Registered with a key and a code, renewed, renamed, with metadata, disabled and enabled, and repeated calls."""
    context, key = platform.context, platform.key
    minted = await codes.mint(context, key, busy.named("ben@old"), None)
    body = wire.Register(
        wire.Device("android"), wire.SdkVersion("test", "1"), authentication_code=minted.authentication_code
    )
    made = await register.register(context, None, body, random_uuid(busy.named("ben")))
    caller = await authenticate.by_bearer(context, made.user_token.token)
    assert isinstance(caller, authenticate.InstallCaller)
    phone = Phone(caller, made)
    spent = await authenticate.by_bearer(context, made.install_credential)
    assert isinstance(spent, authenticate.CredentialCaller)
    await tokens.renew(context, spent, "again")
    await profile.merge_metadata(context, caller, {"colour": "green"})
    await codes.mint(context, key, busy.named("ben@old"), None)
    now_ms = later(platform, 5 * HOUR)
    await platform.upload(phone, captured(now_ms - 4 * HOUR, 4))
    await rename.rename(context, key, made.user_id, wire.Rename(busy.named("ben@new")), Order("he said so"))
    for wanted in ("disabled", "enabled"):
        later(platform, HOUR)
        await operate.set_user_state(context, key, made.user_id, wanted, Order())
    later(platform, HOUR)
    other = await platform.register()
    same = Repeatable(key.key_id, busy.named("key-1"), body_hash(b"{}"))
    challenge, proof = (sha256(busy.named(what).encode()).hexdigest() for what in ("challenge", "proof"))
    attested = wire.Attested("app_attest", "app_attest", challenge_digest=challenge, proof_digest=proof)
    body = wire.Link(busy.named("ben@old"), attestation=attested)
    await link.link(context, key, other.install_id, body, dry_run=False, same=same)
    later(platform, HOUR)
    await operate.activate(context, key, phone.install_id, Order("found it again"))
    later(platform, HOUR)
    await operate.set_install_state(context, key, other.install_id, "disabled", Order())
    busy.users["ben"], busy.phones["ben"] = made.user_id, phone


async def carl_and_dora(platform: InProcess, busy: Busy) -> None:
    """A wrong link, undone; the undo undone, and undone again; a used phone that is claimed; a reset."""
    carl, dora = await platform.register(), await platform.register()
    wrong = await platform.link(carl, busy.named("dora"))
    await platform.link(dora, busy.named("dora"))
    now_ms = later(platform, 6 * HOUR)
    await platform.upload(dora, captured(now_ms - 5 * HOUR, 3))
    await platform.settle()
    undone = await platform.undo(wrong.link_id)
    await platform.undo(undone.undo_id)
    await platform.undo(wrong.link_id)
    await platform.upload(carl, captured(now_ms - 4 * HOUR, 2))
    await platform.set_policy(used_install="claim", takeover="standby")
    later(platform, HOUR)
    await platform.settle()
    await platform.link(carl, busy.named("carl"))
    used = await platform.register()
    later(platform, HOUR)
    await platform.upload(used, captured(platform.clock.now_ms() - HOUR, 1))
    linked = await platform.link(used, busy.named("carl"))
    gone = await platform.register()
    later(platform, HOUR)
    credential = await authenticate.by_bearer(platform.context, gone.credential)
    assert isinstance(credential, authenticate.CredentialCaller)
    await tokens.reset(platform.context, credential)
    busy.users["carl"], busy.phones["carl"] = linked.id, used
    busy.users["dora"], busy.phones["dora"] = (await platform.link(dora, busy.named("dora"))).id, dora


async def eve_is_erased(platform: InProcess, busy: Busy) -> None:
    """Two installs, some data, and nothing of it left."""
    first, second = await platform.register(), await platform.register(TABLET)
    user_id = (await platform.link(first, busy.named("eve"))).id
    await platform.link(second, busy.named("eve"))
    later(platform, 3 * HOUR)
    await platform.upload(first, captured(platform.clock.now_ms() - 2 * HOUR, 2))
    await platform.settle()
    await erase.erase(platform.context, platform.key, user_id, dry_run=False)


async def fred_in_part(platform: InProcess, busy: Busy) -> None:
    """One of two installs erased, and an hour of the other."""
    first, second = await platform.register(), await platform.register()
    busy.users["fred"] = (await platform.link(first, busy.named("fred"))).id
    now_ms = later(platform, 4 * HOUR)
    await platform.upload(first, captured(now_ms - 3 * HOUR, 3))
    await platform.link(second, busy.named("fred"))
    now_ms = later(platform, 6 * HOUR)
    await platform.upload(second, captured(now_ms - 5 * HOUR, 4))
    await platform.settle()
    await erase_part.erase_install(platform.context, platform.key, first.install_id, dry_run=False)
    window = (now_ms - 4 * HOUR, now_ms - 3 * HOUR)
    await erase_part.erase_items(platform.context, platform.key, busy.users["fred"], *window, dry_run=False)
    busy.phones["fred"] = second


async def timelines(platform: InProcess, busy: Busy) -> dict[str, bytes]:
    """What is served of everybody."""
    return {name: await platform.timeline(user_id) for name, user_id in busy.users.items()}


def kinds(timeline: bytes) -> set[str]:
    """The types of events on it."""
    return {event["type"] for event in json.loads(timeline)}
