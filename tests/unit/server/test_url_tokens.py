"""A credential in a URL: refused, and void where it is an API key."""

from __future__ import annotations

import pytest

from unbroken.domain.app import Scope


async def key_and_its_state(opened):
    app = await opened.app()
    key = await opened.key(app.app_id, *Scope)

    async def status():
        reply = await opened.platform.send("GET", "/v3/users?external_id=a", b"", {"authorization": f"Bearer {key}"})
        return reply.status

    return key, status


@pytest.mark.parametrize(
    "target",
    [
        "/v3/users?external_id=a&key={key}",
        "/v3/users?external_id={key}",
        "/v3/users?{key}",
        "/v2/users/{key}/link",
        "/{key}",
        "/sdk/payloads?api_key={key}",
        "/v3/users?key=%75nb%5fkey{rest}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_api_key_in_a_url_is_refused_and_void(world, log_output, method, target):
    async def step(opened):
        key, status = await key_and_its_state(opened)
        assert await status() == 404  # nobody is called so
        at = target.format(key=key, rest=key.removeprefix("unb_key"))
        reply = await opened.platform.send(method, at)
        assert (reply.status, reply.code) == (400, "TOKEN_IN_URL")
        assert key not in reply.body.decode()
        assert await status() == 401
        assert key not in log_output.getvalue()
        assert "secret in a URL" in log_output.getvalue()

    world(step)


def test_a_forged_key_in_a_url_is_refused_and_revokes_nothing(world, log_output):
    async def step(opened):
        from unbroken.credentials import Kind, read_opaque, write_opaque

        key, status = await key_and_its_state(opened)
        forged = write_opaque(Kind.API_KEY, read_opaque(key).subject, b"x" * 32)
        unknown = write_opaque(Kind.API_KEY, b"y" * 12, b"x" * 32)
        for text in (forged, unknown, key[:-1] + ("0" if key[-1] != "0" else "1")):
            reply = await opened.platform.send("GET", f"/v3/users?external_id={text}")
            assert (reply.status, reply.code) == (400, "TOKEN_IN_URL")
        assert await status() == 404
        assert "secret in a URL" not in log_output.getvalue()

    world(step)


@pytest.mark.parametrize("kind", ["app", "code", "inst", "user", "tick"])
def test_no_other_credential_is_taken_in_a_url_either(world, kind):
    async def step(opened):
        reply = await opened.platform.send("GET", f"/v3/users?external_id=unb_{kind}_{'a' * 60}")
        assert (reply.status, reply.code) == (400, "TOKEN_IN_URL")

    world(step)


@pytest.mark.parametrize("external_id", ["unb_", "unb_key_short", "my-unb_key", "unb_other_" + "a" * 60])
def test_what_only_looks_a_little_like_one_is_an_external_id(world, external_id):
    async def step(opened):
        key, _ = await key_and_its_state(opened)
        reply = await opened.platform.send(
            "GET", f"/v3/users?external_id={external_id}", b"", {"authorization": f"Bearer {key}"}
        )
        assert reply.status == 404
        assert reply.code != "TOKEN_IN_URL"

    world(step)
