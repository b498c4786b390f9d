"""Query parameters and headers: strict, and each error names what is wrong."""

from __future__ import annotations

import base64

import pytest


def query(send, text):
    return send("GET", f"/window?{text}")


def test_parameters_arrive_parsed(send):
    reply = query(send, "from=2026-11-23&at=2026-11-23T21:12:54Z&limit=1000&types=all&unknown=1")
    assert reply.json["query"] == {"from": "2026-11-23", "at": "1795468374000", "limit": "1000", "types": "all"}


def test_a_plus_sign_in_a_time_need_not_be_escaped(send):
    assert query(send, "from=2026-11-23&at=2026-11-23T21:12:54.000+00:00").json["query"]["at"] == "1795468374000"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "from"),
        ("from=", "from"),
        ("from=2026-13-01", "from"),
        ("from=2026-1-1", "from"),
        ("from=20261123", "from"),
        ("from=2026-11-23T00:00:00Z", "from"),
        ("from=2026-02-30", "from"),
        ("from=%D9%A2026-11-23", "from"),
        ("from=2026-11-23&from=2026-11-23", "from"),
        ("from=2026-11-23&at=2026-11-23", "at"),
        ("from=2026-11-23&at=2026-11-23T21:12:54", "at"),
        ("from=2026-11-23&at=now", "at"),
        ("from=2026-11-23&at=1800-01-01T00:00:00Z", "at"),
        ("from=2026-11-23&limit=0", "limit"),
        ("from=2026-11-23&limit=1001", "limit"),
        ("from=2026-11-23&limit=-1", "limit"),
        ("from=2026-11-23&limit=1.5", "limit"),
        ("from=2026-11-23&limit=1e3", "limit"),
        ("from=2026-11-23&limit=%D9%A1", "limit"),
        ("from=2026-11-23&limit=" + "9" * 5000, "limit"),
        ("from=2026-11-23&types=some", "types"),
        ("from=2026-11-23&types=%ff", "types"),
        ("from=2026-11-23&types=%", "types"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(send, text, path):
    reply = query(send, text)
    assert (reply.status, reply.code, reply.paths) == (400, "INVALID_REQUEST", [path])


@pytest.mark.parametrize(("text", "value"), [("", "False"), ("?dry_run=true", "True"), ("?dry_run=false", "False")])
def test_a_dry_run_is_asked_for_in_one_way(send, text, value):
    assert send("POST", f"/dry{text}").json["query"] == {"dry_run": value}


@pytest.mark.parametrize("text", ["dry_run=1", "dry_run=TRUE", "dry_run=", "dry_run"])
def test_anything_else_is_no_dry_run_and_no_real_one_either(send, text):
    assert send("POST", f"/dry?{text}").status == 400


def test_a_dry_run_of_a_call_that_has_none_changes_nothing(world):
    async def step(opened):
        return await opened.api.send("POST", "/wet?dry_run=true"), opened.api.calls

    reply, calls = world(step)
    assert (reply.status, reply.paths, calls) == (400, ["dry_run"], [])
    assert reply.json["message"] == "dry_run is not taken by this call."


def test_an_upload_has_no_dry_run_either(world):
    async def step(opened):
        app, platform = await opened.app(), opened.platform
        device = b'{"device":{"platform":"ios"},"sdk":{"name":"x","version":"1"}}'
        basic = base64.b64encode(f"{app.app_id.hex()}:{app.app_secret}".encode()).decode()
        install = await platform.send("POST", "/sdk/installs", device, {"Authorization": f"Basic {basic}"})
        headers = {"Authorization": f"Bearer {install.json['user_token']['token']}"}
        body = b'{"sent_at":1,"payloads":[{"payload_id":"0193f7a2-5c1e-4b3a-9d24-6f0e8a1b2c3d","items":[]}]}'
        return [
            await platform.send("POST", f"/sdk/payloads{query}", body, headers)
            for query in ("?dry_run=true", "?dry_run=false", "?a=%", "?x=1", "")
        ]

    dry, not_dry, broken, unknown, plain = world(step)
    assert (dry.status, dry.paths) == (not_dry.status, not_dry.paths) == (400, ["dry_run"])
    assert broken.status == 400
    assert (unknown.status, plain.status) == (202, 202)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "a" * 256, "a\tb", "\x7f"])
def test_an_idempotency_key_is_1_to_255_visible_characters(send, key):
    reply = send("POST", "/echo", b"1", {"Idempotency-Key": key})
    assert (reply.status, reply.paths) == (400, ["Idempotency-Key"])


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Content-Type", "Content-Encoding"])
def test_a_header_that_decides_must_not_be_there_twice(send, name):
    reply = send("POST", "/echo", b"1", [(name, "a"), (name, "b")])
    assert (reply.status, reply.paths) == (400, [name.lower()])


def test_other_headers_may_repeat(send):
    assert send("POST", "/echo", b"1", [("Accept", "a"), ("Accept", "b")]).status == 200


def test_the_same_request_in_another_form_is_the_same_for_idempotency(world):
    async def step(opened):
        for body in (b'{"a":1,"b":2}', b' { "b" : 2, "a" : 1 } ', b'{"a":1,"b":3}'):
            await opened.api.send("POST", "/echo", body, {"Idempotency-Key": "k"})
        return [call.body_hash for call in opened.api.calls]

    first, same, other = world(step)
    assert first == same != other
