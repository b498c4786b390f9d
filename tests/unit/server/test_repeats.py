"""A key of a call that was refused: what is kept under it, and what is not (http-api.md, `Idempotency-Key`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.flow import policies, register
from unbroken.flow.authenticate import AppCaller

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PHONE = wire.Register(wire.Device("android"), wire.SdkVersion("test", "1"))


async def caller(opened: Any, path: str) -> tuple[Any, Callable[[str, object], Awaitable[Any]]]:
    """An app, and how its server calls a path under a key, naming an external id (or bytes, the whole body)."""
    app = await opened.app()
    phone = await register.register(opened.context, AppCaller(app), PHONE, None)
    api, token = opened.platform, await opened.key(app.app_id, Scope.USER_LINK)

    async def call(key: str, external_id: object) -> Any:
        body = external_id if isinstance(external_id, bytes) else json.dumps({"external_id": external_id}).encode()
        headers = {"authorization": f"Bearer {token}", "idempotency-key": key}
        return await api.send("POST", path.format(phone.install_id), body, headers)

    return app, call


both = pytest.mark.parametrize("path", ["/v2/users/{}/link", "/users/auth-code"])


@both
def test_a_refusal_that_is_kept_is_told_again_and_its_key_takes_no_other_body(world, path):
    async def step(opened):
        app, call = await caller(opened, path)
        told = [await call("m1", "null"), await call("m1", "zoe"), await call("m1", "null")]
        assert [(one.status, one.code) for one in told] == [
            (400, "INVALID_EXTERNAL_ID"), (409, "IDEMPOTENCY_KEY_REUSED"), (400, "INVALID_EXTERNAL_ID"),
        ]  # fmt: skip
        await policies.set_policy(opened.context, app.app_id, {"placeholders": "nobody"})
        assert (await call("m1", "null")).status == 400  # the first answer, whatever holds now
        assert (await call("m2", "null")).status == 200

    world(step)


@both
def test_a_call_that_may_end_otherwise_another_time_is_tried_again_with_its_key(world, path):
    async def step(opened):
        app, call = await caller(opened, path)
        await policies.set_policy(opened.context, app.app_id, {"linking": "off"})
        assert (await call("m1", "zoe")).status == 403
        await policies.set_policy(opened.context, app.app_id, {"linking": "on"})
        assert (await call("m1", "zoe")).status == 200

    world(step)


@both
def test_a_body_that_cannot_be_read_keeps_nothing_under_its_key(world, path):
    async def step(opened):
        _, call = await caller(opened, path)
        for unreadable in (b'{"external_id":', b'"zoe"', b"[]"):
            refused = await call("m1", unreadable)
            assert (refused.status, refused.code) == (400, "INVALID_REQUEST")
        assert (await call("m1", "zoe")).status == 200

    world(step)
