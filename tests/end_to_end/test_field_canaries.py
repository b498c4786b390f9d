"""Every field of every call, from the table of routes: no log shows what is said there, no refusal tells of us."""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import pairwise
from urllib.parse import quote

import httpx
import msgspec
import pytest
from tests.end_to_end.test_log_canaries import ESCAPES, MARK, SECRETS, basic_of

from unbroken import wire
from unbroken.domain.app import Scope
from unbroken.server import table
from unbroken.server.route import Credential
from unbroken.testing.process import PlatformProcess


def places(info, at=()):
    """Where a text can be put into a body of this type, whatever belongs there: the way to each place."""
    match info:
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                yield from places(field.type, (*at, field.encode_name))
        case msgspec.inspect.ListType(item_type=item):
            yield from places(item, (*at, 0))
        case msgspec.inspect.UnionType(types=types):
            for each in types:
                yield from places(each, at)
        case msgspec.inspect.DictType():
            yield (*at, "x")
        case _:
            yield at


def bodies(route, words):
    """The example of a call with the words in one place each, as a value or, once, as a name."""
    example = {} if route.example_request is None else json.loads(wire.encode(route.example_request))
    for way in dict.fromkeys(places(msgspec.inspect.type_info(route.request))):
        body = deepcopy(example)
        inner = body
        for here, after in pairwise(way):
            empty = [{}] if after == 0 else {}
            inner = inner[here] if isinstance(here, int) else inner.setdefault(here, empty)
        if isinstance(inner, dict | list):
            inner[way[-1]] = words
            yield body
    yield example | {words: words}


def asked(route, phone, words):
    """Requests that say the words in one place each: path, query, key and body."""
    ids = {"install_id": phone["install_id"], "user_id": phone["user_id"], "event_id": "a" * 26, "link_id": "a" * 24}
    names = [name for name in ids if f"{{{name}}}" in route.path]
    good = route.path.format(**ids)
    for name in names:
        yield good.replace(ids[name], quote(words)), {}
    for query in route.query:
        yield good, {"params": {query.name: words}}
    yield good, {"headers": {"Idempotency-Key": quote(words, safe=" ")}}
    if route.request is not None:
        for body in bodies(route, words):
            yield good, {"json": body}


def header_for(route, app, key, phone):
    match route.credential:
        case Credential.APP_SECRET_OR_CODE:
            return {"Authorization": basic_of(app)}
        case Credential.INSTALL_CREDENTIAL:
            return {"Authorization": f"Bearer {phone['install_credential']}"}
        case Credential.USER_TOKEN:
            return {"Authorization": f"Bearer {phone['user_token']['token']}"}
        case Credential.NONE:
            return {}
    return {"Authorization": f"Bearer {key['api_key']}"}


@pytest.fixture(scope="module")
def everywhere(tmp_path_factory):
    """What the platform wrote, how many requests it was sent, what it refused, and every secret that was in use."""
    process = PlatformProcess(tmp_path_factory.mktemp("everywhere") / "data", lab=False)
    sent, refusals, secrets = 0, [], [*SECRETS]
    with process, httpx.Client(base_url=process.base_url, timeout=60) as client:
        app = process.command("app", "create", "Shop")
        scopes = [word for scope in Scope for word in ("--scope", scope)]
        key = process.command("key", "create", "--app", app["app_id"], "--name", "all", *scopes)
        secrets += [app["app_secret"], key["api_key"]]
        phone = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
        for route in table.api():
            for secret in SECRETS:
                made = client.post("/sdk/installs", json=phone, headers={"Authorization": basic_of(app)}).json()
                secrets += [made["install_credential"], made["user_token"]["token"]]
                header = header_for(route, app, key, made)
                sent += 1
                for path, said in asked(route, made, f"{MARK}{ESCAPES} {secret}"):
                    reply = client.request(route.method, path, **said | {"headers": header | said.get("headers", {})})
                    assert reply.status_code < 500, (route.name, said, reply.text)
                    sent += 1
                    if reply.status_code >= 400:
                        refusals.append((secret, reply))
    return (
        [line for line in process.output().splitlines() if not line.startswith("Unbroken listens")],
        sent,
        refusals,
        secrets,
    )


def requests_in(lines):
    events = [json.loads(line) for line in lines]
    return [one for one in events if one["event"] == "request" and "/health/" not in one["route"]]


@pytest.mark.counts_requests("a line for each request is what it counts")
def test_every_field_of_every_call_is_one_line(everywhere):
    lines, sent, _, _ = everywhere
    assert len(requests_in(lines)) == sent > 900


def test_no_line_about_any_call_shows_a_field_of_it(everywhere):
    lines, _, _, secrets = everywhere
    assert {route.name for route in table.api()} <= {one["route"] for one in requests_in(lines)}
    text = "\n".join(lines)
    assert not [secret for secret in secrets if secret in text or secret[12:40] in text]
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert MARK not in text


def test_a_refusal_has_a_request_id_and_nothing_of_the_inside(everywhere):
    _, _, refusals, _ = everywhere
    assert len(refusals) > 400
    for secret, reply in refusals:
        told = reply.json()
        assert told.keys() <= {"message", "errorCode", "ref", "hint", "errors"}
        assert told["ref"] == reply.headers["x-request-id"]
        assert secret not in reply.text
        assert not [word for word in ("Traceback", "site-packages", ".py", "sqlite", "msgspec") if word in reply.text]
