"""Which limits a request counts against, over the whole way that a request goes."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

from unbroken.clock import ManualClock
from unbroken.domain.app import Scope
from unbroken.domain.rate import Limit, Rate
from unbroken.flow import administer
from unbroken.flow.limits import Limits
from unbroken.server.addresses import Addresses
from unbroken.server.counting import Counting, limits_of, quotas_of
from unbroken.server.held_links import HeldLinks
from unbroken.server.settings import Settings

HERE, THERE = "203.0.113.7", "198.51.100.9"
NOW_MS, DAY_MS = 1_790_000_000_000, 86_400_000
FEW = Rate(per_minute=1)  # ten at once
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
UPLOAD = {
    "sent_at": 1,
    "payloads": [
        {
            "payload_id": "0193f7a2-5c1e-7b3a-9d24-6f0e8a1b2c3d",
            "items": [{"kind": "location", "t": 1, "lat": 51, "lon": 3}],
        }
    ],
}


class Shop:
    """An app with a key, and phones, on a platform with a few limits."""

    def __init__(self, opened, api, app, key):
        self.opened, self.api, self.app_id = opened, api, app.app_id
        self.basic = "Basic " + base64.b64encode(f"{app.app_id.hex()}:{app.app_secret}".encode()).decode()
        self.key = f"Bearer {key}"

    @classmethod
    async def open(cls, opened, api):
        app = await opened.app()
        return cls(opened, api, app, await opened.key(app.app_id, *Scope))

    async def register(self, client=None):
        return await self.post("/sdk/installs", PHONE, self.basic, client)

    async def phone(self):
        return "Bearer " + (await self.register()).json["user_token"]["token"]

    async def upload(self, token, client):
        return await self.post("/sdk/payloads", UPLOAD, token, client)

    async def guess(self, client):
        body = PHONE | {"authentication_code": "unb_code_" + "0" * 75}
        return await self.api.send("POST", "/sdk/installs", json.dumps(body).encode(), {}, client)

    async def post(self, path, body, authorization, client):
        headers = {"authorization": authorization, "content-type": "application/json"}
        return await self.api.send("POST", path, json.dumps(body).encode(), headers, client)

    async def ask(self, authorization, client, path="/v3/users?external_id=alice"):
        return await self.api.send("GET", path, b"", {"authorization": authorization}, client)


def with_limits(world, step, *limits, shops=1):
    async def whole(opened):
        opened.counting = Counting(Limits(dict.fromkeys(limits, FEW), seconds=lambda: 1.0), Addresses())
        api = opened.platform
        return await step(*[await Shop.open(opened, api) for _ in range(shops)])

    return world(whole)


async def statuses(calls):
    return [(await call).status for call in calls]


def test_an_install_that_calls_too_often_is_told_when_to_come_back_and_no_other_is(world):
    async def step(shop):
        flooding, calm = await shop.phone(), await shop.phone()
        assert await statuses(shop.upload(flooding, HERE) for _ in range(100)) == [202] * 10 + [429] * 90
        refused = await shop.ask(flooding, HERE, "/sdk/install")
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (429, "RATE_LIMITED", "60")
        assert "This install" in refused.json["message"]
        assert await statuses(shop.upload(calm, HERE) for _ in range(10)) == [202] * 10

    with_limits(world, step, Limit.INSTALL)


def test_an_app_at_ten_times_its_quota_leaves_another_one_behind_the_same_address_alone(world):
    async def step(flooding, calm):
        phones = [await flooding.phone() for _ in range(20)]
        assert await statuses(flooding.upload(phones[n % 20], HERE) for n in range(100)) == [202] * 10 + [429] * 90
        assert (await flooding.ask(flooding.key, HERE)).status == 429
        quiet = await calm.phone()
        assert await statuses(calm.upload(quiet, HERE) for _ in range(9)) == [202] * 9
        assert (await calm.ask(calm.key, HERE)).status == 404  # nobody is called alice

    with_limits(world, step, Limit.APP, Limit.ADDRESS, shops=2)


def test_the_key_of_a_customers_server_is_counted_by_itself_not_by_its_address(world):
    async def step(shop):
        assert set(await statuses(shop.ask("Bearer nonsense", HERE) for _ in range(10))) == {401}
        assert (await shop.ask("Bearer nonsense", HERE)).status == 429
        assert (await shop.ask("Bearer nonsense", THERE)).status == 401
        assert await statuses(shop.ask(shop.key, HERE) for _ in range(12)) == [404] * 10 + [429] * 2

    with_limits(world, step, Limit.ADDRESS, Limit.KEY)


def test_registrations_are_counted_by_app_and_by_address(world):
    async def step(one, other):
        assert await statuses(one.register(HERE) for _ in range(12)) == [201] * 10 + [429] * 2
        assert (await one.register(THERE)).status == 201
        assert (await other.register(HERE)).status == 201

    with_limits(world, step, Limit.ADDRESS_REGISTRATIONS, shops=2)


def test_registrations_of_an_app_from_everywhere_have_one_limit(world):
    async def step(one, other):
        assert await statuses(one.register(f"203.0.113.{n}") for n in range(12)) == [201] * 10 + [429] * 2
        assert (await other.register(HERE)).status == 201

    with_limits(world, step, Limit.APP_REGISTRATIONS, shops=2)


def test_who_guesses_codes_is_counted_by_address(world):
    async def step(shop):
        assert await statuses(shop.guess(HERE) for _ in range(12)) == [401] * 10 + [429] * 2

    with_limits(world, step, Limit.ADDRESS)


def test_a_stranger_who_guesses_stops_nobody_who_is_known_behind_the_same_address(world):
    async def step(shop, disabled):
        credential = (await shop.register()).json["install_credential"]
        lesser = "Bearer " + await shop.opened.key(shop.app_id, Scope.USER_LINK)
        expired, stopped = await shop.phone(), await disabled.phone()
        await administer.set_app_disabled(shop.opened.context, disabled.app_id, disabled=True)
        assert await statuses(shop.ask("Bearer nonsense", HERE) for _ in range(12)) == [401] * 10 + [429] * 2
        assert (await shop.guess(HERE)).code == "AUTH_CODE_UNKNOWN"
        assert (await shop.ask(lesser, HERE)).code == "FORBIDDEN_SCOPE"
        assert (await shop.upload(stopped, HERE)).code == "APP_DISABLED"
        shop.opened.context.clock.advance_to(NOW_MS + 4 * DAY_MS)
        assert (await shop.upload(expired, HERE)).code == "UNAUTHENTICATED"
        assert (await shop.post("/sdk/tokens", {}, f"Bearer {credential}", HERE)).status == 200

    with_limits(world, step, Limit.ADDRESS, shops=2)


def test_a_key_that_lacks_a_scope_is_refused_so_often_and_then_told_to_wait(world):
    async def step(shop):
        lesser = "Bearer " + await shop.opened.key(shop.app_id, Scope.USER_LINK)
        assert await statuses(shop.ask(lesser, HERE) for _ in range(12)) == [403] * 10 + [429] * 2

    with_limits(world, step, Limit.ADDRESS)


def test_a_made_up_install_credential_uses_up_nothing_of_the_install(world):
    async def step(shop):
        registered = (await shop.register()).json
        token = "Bearer " + registered["user_token"]["token"]
        from unbroken.credentials import Kind, write_opaque

        forged = write_opaque(Kind.INSTALL, bytes.fromhex(registered["install_id"]), b"x" * 32)
        assert set(await statuses(shop.post("/sdk/tokens", {}, f"Bearer {forged}", HERE) for _ in range(30))) == {401}
        assert (await shop.upload(token, HERE)).status == 202

    with_limits(world, step, Limit.INSTALL)


def test_callers_on_this_machine_have_no_limit(world):
    async def step(shop):
        token = await shop.phone()
        for client in ("127.0.0.1", "::1", None):
            assert set(await statuses(shop.upload(token, client) for _ in range(20))) == {202}

    with_limits(world, step, *Limit)


def test_limits_that_are_on_are_those_of_the_settings():
    limits = limits_of(Settings(limit_key=0, limit_app=7), lambda *_: None)
    assert {limit: callers.rate for limit, callers in limits._callers.items()} == {
        Limit.KEY_LINKS: Rate(1_200), Limit.APP: Rate(7), Limit.INSTALL: Rate(600), Limit.ADDRESS: Rate(6_000),
        Limit.APP_REGISTRATIONS: Rate(1_200), Limit.ADDRESS_REGISTRATIONS: Rate(60),
    }  # fmt: skip


# Link calls


def test_a_stolen_key_that_links_and_links_is_held_and_told_of_while_it_reads_and_another_key_links(world, log_output):
    async def step(shop):
        stolen, calm = ["Bearer " + await shop.opened.key(shop.app_id, *Scope) for _ in range(2)]
        installs = [(await shop.register()).json["install_id"] for _ in range(101)]
        opened_metrics = shop.api.metrics
        shop.opened.counting = Counting(
            Limits(
                {Limit.KEY_LINKS: FEW},
                seconds=lambda: 1.0,
                tell=HeldLinks(ManualClock(NOW_MS), opened_metrics).refused,
            ),
            Addresses(),
        )
        api = shop.opened.platform

        async def link(place, key):
            path = f"/v2/users/{installs[place]}/link"
            headers = {"authorization": key, "content-type": "application/json"}
            return await api.send("POST", path, json.dumps({"external_id": f"a-{place}"}).encode(), headers, HERE)

        replies = [await link(place, stolen) for place in range(100)]
        assert [reply.status for reply in replies] == [200] * 10 + [429] * 90
        assert (replies[-1].code, replies[-1].headers["retry-after"]) == ("RATE_LIMITED", "60")
        assert "Link calls with this API key are too many" in replies[-1].json["message"]
        body = json.dumps({"external_id": "a-1"}).encode()
        headers = {"authorization": stolen, "content-type": "application/json"}
        assert (await api.send("POST", "/users/auth-code", body, headers, HERE)).status == 429
        found = [await shop_ask(api, stolen, f"a-{place}") for place in range(100)]
        assert found == [200] * 10 + [404] * 90  # nothing of what was held was done
        assert (await link(100, calm)).status == 200
        assert opened_metrics.alarms["LINKS_HELD"] == 91

    async def shop_ask(api, key, account):
        path = f"/v3/users?external_id={account}"
        return (await api.send("GET", path, b"", {"authorization": key}, HERE)).status

    with_limits(world, step)
    held = [line for line in map(json.loads, log_output.getvalue().splitlines()) if line.get("code") == "LINKS_HELD"]
    assert len(held) == 1
    assert len(held[0]["key_id"]) == 24


def test_a_burst_of_installs_of_one_account_is_held_leaves_a_trace_and_counts_as_an_alarm(world):
    async def step(shop):
        api, alarms = shop.api, shop.api.metrics.alarms

        async def link(install_id, account):
            return await shop.post(f"/v2/users/{install_id}/link", {"external_id": account}, shop.key, HERE)

        installs = [(await shop.register()).json["install_id"] for _ in range(23)]
        replies = [await link(install_id, "anna") for install_id in installs[:22]]
        assert [reply.status for reply in replies] == [200] * 20 + [429] * 2
        assert {reply.code for reply in replies[20:]} == {"LINK_BURST"}
        assert (await link(installs[22], "ben")).status == 200
        assert alarms["LINK_BURST"] == 2
        explained = await api.send("GET", f"/v3/installs/{installs[21]}/explain", b"", {"authorization": shop.key})
        assert "LINK_BURST" in explained.body.decode()

    with_limits(world, step)


# Quotas


def test_a_key_and_an_app_that_have_used_up_their_day_wait_for_the_next_and_nobody_else_does(world):
    async def step(shop, other):
        wall = ManualClock(NOW_MS - NOW_MS % DAY_MS)
        context = shop.opened.context
        quotas = quotas_of(Settings(quota_key=5, quota_app=12), replace(context, wall=wall), refused, is_alone=True)
        shop.opened.counting = Counting(Limits({}), Addresses(), quotas)
        api = shop.opened.platform
        second = "Bearer " + await shop.opened.key(shop.app_id, *Scope)

        async def ask(key, client=HERE):
            return await api.send("GET", "/v3/users?external_id=nobody", b"", {"authorization": key}, client)

        assert [(await ask(shop.key)).status for _ in range(50)] == [404] * 5 + [429] * 45
        held = await ask(shop.key, THERE)
        assert (held.status, held.code, held.headers["retry-after"]) == (429, "RATE_LIMITED", "86400")
        assert "The quota of this API key is used up: 5 calls a day" in held.json["message"]
        assert [(await ask(second)).status for _ in range(5)] == [404] * 5
        token = "Bearer " + (await registered(api, shop, HERE)).json["user_token"]["token"]
        headers = {"authorization": token}
        asked = [(await api.send("GET", "/sdk/install", b"", headers, HERE)).status for _ in range(3)]
        assert asked == [200, 429, 429]  # the twelfth of the app: those of its keys and of its phones together
        assert {limit for limit, _ in told} == {Limit.KEY_QUOTA, Limit.APP_QUOTA}
        assert (await ask(other.key)).status == 404
        wall.advance_to(wall.now_ms() + DAY_MS)
        assert (await ask(shop.key)).status == 404

    told = []

    def refused(limit, who):
        told.append((limit, who))

    async def registered(api, shop, client):
        headers = {"authorization": shop.basic, "content-type": "application/json"}
        return await api.send("POST", "/sdk/installs", json.dumps(PHONE).encode(), headers, client)

    with_limits(world, step, shops=2)


def test_a_call_that_a_limit_refuses_costs_no_quota_and_one_that_a_quota_refuses_no_limit(world):
    async def step(shop):
        quotas = quotas_of(Settings(quota_key=12), shop.opened.context, lambda *_: None, is_alone=True)
        seconds = [1.0]
        limits = Limits({Limit.KEY: FEW}, seconds=lambda: seconds[0])
        shop.opened.counting = Counting(limits, Addresses(), quotas)
        api, headers = shop.opened.platform, {"authorization": shop.key}

        async def messages(count):
            path = "/v3/users?external_id=nobody"
            replies = [await api.send("GET", path, b"", headers, HERE) for _ in range(count)]
            return [reply.json["message"].split(":")[0] for reply in replies]

        assert (await messages(100))[10:] == ["This API key calls too often"] * 90
        seconds[0] += 600  # ten are allowed again
        assert (await messages(100))[2:] == ["The quota of this API key is used up"] * 98
        assert limits._callers[Limit.KEY].young[quotas_key(limits)].calls == 12

    def quotas_key(limits):
        (key_id,) = limits._callers[Limit.KEY].young
        return key_id

    with_limits(world, step)


def test_there_is_no_quota_unless_the_operator_sets_one(world):
    async def step(opened):
        assert quotas_of(Settings(), opened.context, lambda *_: None, is_alone=True) is None

    world(step)
