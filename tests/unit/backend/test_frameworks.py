"""What an app is answered, in every framework, on a real socket: accounts, limits, challenges and proofs."""

from __future__ import annotations

import base64
import hashlib
import json
from contextlib import ExitStack

import httpx
import pytest
from flask import Flask, request
from tests.unit.backend.conftest import API_KEY, FakePlatform
from tests.unit.backend.devices import APP_ID, policy, prove
from tests.unit.backend.frameworks import ASYNC, BLOCKING, FRAMEWORKS, serving

from unbroken.backend import AsyncPlatform, InvalidConfig, LinkEndpoint, Pace, Platform
from unbroken.backend.attestation import Mode
from unbroken.backend.django import link_urls
from unbroken.backend.flask import link_blueprint
from unbroken.clock import ManualClock

INSTALL, OTHER_INSTALL = "a1" * 12, "b2" * 12
ACCOUNTS = {"alices-session": "alice", "bobs-session": "bob"}
NOW_MS = 1_800_000_000_000


def signed_in(request):
    return ACCOUNTS.get(request.cookies.get("session", ""))


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture
def clock():
    return ManualClock(NOW_MS)


@pytest.fixture
def open_app(framework, fake, clock):
    """Opens a customer's server, and gives what sends one request to it, signed in as alice unless told otherwise."""
    with ExitStack() as opened:

        def open_app(*, authenticate=signed_in, api_key=API_KEY, **settings):
            options = fake.options(clock=clock)
            server = serving(
                framework, "http://127.0.0.1:1", authenticate, api_key=api_key, options=options, **settings
            )
            client = opened.enter_context(httpx.Client(base_url=opened.enter_context(server), trust_env=False))

            def ask(method, path, *, session="alices-session", **request):
                cookie = {"Cookie": f"session={session}"} if session else {}
                headers = cookie | dict(request.pop("headers", {}))
                return client.request(method, f"/linking{path}", headers=headers, **request)

            return ask

        yield open_app


@pytest.fixture
def proven(open_app):
    """An app that enforces proofs, and a device that asks it for a challenge."""
    ask = open_app(attestation=policy(), app_id=APP_ID)

    def challenge(install_id=INSTALL, **more):
        reply = ask("GET", "/challenge", params={"install_id": install_id}, **more)
        assert reply.status_code == 200, reply.text
        assert reply.json()["expires_in_s"] == 120
        return reply.json()["challenge"]

    def link(attestation, install_id=INSTALL, **more):
        body = json.dumps({"install_id": install_id, "attestation": attestation})  # also what is no Unicode
        return ask("POST", "/install", content=body, headers={"Content-Type": "application/json"}, **more)

    return challenge, link


def reason_of(reply):
    assert (reply.status_code, reply.json()["errorCode"]) == (403, "ATTESTATION_REFUSED")
    (error,) = reply.json()["errors"]
    assert error["path"] == "attestation"
    return error["message"]


# Every face does the same


def test_an_install_is_linked_to_whoever_is_signed_in(open_app, fake):
    ask = open_app()
    reply = ask("POST", "/install", json={"install_id": INSTALL, "link_ticket": "unb_ticket_1"})
    assert (reply.status_code, reply.json()) == (200, {"user_id": f"{7:024x}", "state": "active"})
    assert fake.bodies == [{"external_id": "alice", "link_ticket": "unb_ticket_1"}]
    assert (reply.headers["Cache-Control"], reply.headers["Content-Type"]) == ("no-store", "application/json")


def test_an_auth_code_is_for_whoever_is_signed_in(open_app, fake):
    reply = open_app(platform_url="https://platform.example")("GET", "/auth-code", session="bobs-session")
    assert reply.json() == {"auth_code": "unb_code_1", "platform_url": "https://platform.example"}
    assert fake.codes == {"unb_code_1": "bob"}


def test_what_is_no_call_of_an_app_links_nothing(open_app, fake):
    ask = open_app()
    body = {"install_id": INSTALL}
    refused = {
        401: ask("POST", "/install", json=body, session=None),
        405: ask("PUT", "/install", json=body),
        404: ask("POST", "/install/x", json=body),
        415: ask("POST", "/install", data=body),
        400: ask("POST", "/install", json={**body, "external_id": "bob"}),
        413: ask("POST", "/install", content=b" " * (64 * 1024 + 1), headers={"Content-Type": "application/json"}),
    }
    assert {status: reply.status_code for status, reply in refused.items()} == {status: status for status in refused}
    assert all(reply.json()["errorCode"] and reply.json()["ref"] for reply in refused.values())
    assert refused[405].headers["Allow"] == "POST"
    assert fake.requests == []


def test_the_largest_body_is_taken_whole(open_app):
    body = json.dumps({"install_id": INSTALL}).encode()
    body += b" " * (64 * 1024 - len(body))
    reply = open_app()("POST", "/install", content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 200


def test_a_refusal_of_the_platform_is_passed_on(open_app, fake):
    fake.refuse_next(403, "INSTALL_LINKED_TO_OTHER_USER", hint="Do it so.")
    reply = open_app()("POST", "/install", json={"install_id": INSTALL})
    assert (reply.status_code, reply.json()["ref"], reply.json()["hint"]) == (403, "ref-1", "Do it so.")


def test_a_bad_key_of_the_server_does_not_tell_the_app_to_sign_in_again(open_app):
    reply = open_app(api_key="unb_key_revoked")("POST", "/install", json={"install_id": INSTALL})
    assert (reply.status_code, reply.json()["errorCode"]) == (502, "UNAUTHENTICATED")


@pytest.mark.parametrize("account", [7, b"alice", ["alice"], {"id": "alice"}])
def test_an_account_that_is_no_string_is_a_bug_and_links_nothing(open_app, fake, account):
    reply = open_app(authenticate=lambda _: account)("POST", "/install", json={"install_id": INSTALL})
    assert reply.status_code == 500
    assert fake.requests == []


def test_authenticate_sees_what_carries_a_session_and_never_the_body(open_app):
    seen = []

    def authenticate(request):
        seen.append(request)
        return "alice"

    ask = open_app(authenticate=authenticate)
    headers = {"Authorization": "Bearer a", "X-Two-Words": "b"}
    ask("POST", "/install", json={"install_id": INSTALL}, params={"t": "1"}, headers=headers)
    (request,) = seen
    assert (request.method, request.path, request.query) == ("POST", "/install", {"t": ["1"]})
    assert (request.headers["authorization"], request.headers["x-two-words"]) == ("Bearer a", "b")
    assert request.headers["content-type"] == "application/json"
    assert request.cookies == {"session": "alices-session"}
    assert request.client[0] == "127.0.0.1"
    assert request.client[1] > 0
    assert not {"wsgi.input", "werkzeug.request"} & request.scope.keys()


@pytest.mark.parametrize("framework", ["django under ASGI"], indirect=True)
def test_django_does_the_same_under_asgi(open_app, fake):
    ask = open_app()
    body = json.dumps({"install_id": INSTALL}).encode()
    headers = {"Content-Type": "application/json"}
    assert ask("POST", "/install", content=body + b" " * (64 * 1024 - len(body)), headers=headers).status_code == 200
    assert fake.linked == {INSTALL: "alice"}
    assert ask("POST", "/install", content=b" " * (64 * 1024 + 1), headers=headers).status_code == 413
    assert ask("POST", "/install", content=body, headers=headers, session=None).status_code == 401


@pytest.mark.parametrize(("size_bytes", "status"), [(0, 200), (64 * 1024, 200), (64 * 1024 + 1, 413)])
def test_a_flask_app_may_have_read_the_body_before(fake, size_bytes, status):
    app = Flask("customer")
    app.before_request(lambda: request.get_json(silent=True) and None)
    platform = Platform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    app.register_blueprint(link_blueprint(platform, lambda _: "alice"), url_prefix="/linking")
    body = json.dumps({"install_id": INSTALL}).ljust(size_bytes)
    assert app.test_client().post("/linking/install", data=body, content_type="application/json").status_code == status
    assert fake.linked == ({INSTALL: "alice"} if status == 200 else {})


# How often


def test_one_account_is_held_and_told_for_how_long_while_others_go_on(open_app, clock, fake):
    ask = open_app(limit=Pace(burst=2, every_s=7))
    replies = [ask("GET", "/auth-code") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert (replies[2].json()["errorCode"], replies[2].headers["Retry-After"]) == ("RATE_LIMITED", "7")
    assert ask("POST", "/install", json={"install_id": INSTALL}).status_code == 429
    assert ask("GET", "/auth-code", session="bobs-session").status_code == 200
    clock.advance_to(NOW_MS + 7000)
    assert ask("GET", "/auth-code").status_code == 200
    assert len(fake.codes) == 4


def test_the_limit_is_on_unless_it_is_switched_off(open_app):
    held, free = open_app(), open_app(limit=None)
    assert {held("GET", "/auth-code").status_code for _ in range(21)} == {200, 429}
    assert {free("GET", "/auth-code").status_code for _ in range(21)} == {200}


def test_challenges_have_a_limit_of_their_own(open_app, clock):
    asked = {"params": {"install_id": INSTALL}}
    proving = {"attestation": policy(), "app_id": APP_ID}
    ask = open_app(limit=None, **proving)
    replies = [ask("GET", "/challenge", **asked) for _ in range(21)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429]
    assert replies[-1].headers["Retry-After"] == "300"
    assert ask("GET", "/challenge", session="bobs-session", **asked).status_code == 200
    clock.advance_to(NOW_MS + 300_000)
    assert ask("GET", "/challenge", **asked).status_code == 200
    few = open_app(challenge_limit=Pace(burst=1), **proving)
    assert [few("GET", "/challenge", **asked).status_code for _ in range(2)] == [200, 429]
    free = open_app(limit=None, challenge_limit=None, **proving)
    assert {free("GET", "/challenge", **asked).status_code for _ in range(30)} == {200}


def test_a_shared_limit_is_asked_with_the_account(open_app, framework):
    asked = []

    class Plain:
        def wait_ms(self, account, now_ms):
            asked.append((account, now_ms))
            return 1500

    class Awaited(Plain):
        async def wait_ms(self, account, now_ms):
            return super().wait_ms(account, now_ms)

    for limit in (Plain(), Awaited()) if framework in ASYNC else (Plain(),):
        reply = open_app(limit=limit)("GET", "/auth-code")
        assert (reply.status_code, reply.headers["Retry-After"]) == (429, "2")
    assert set(asked) == {("alice", NOW_MS)}


@pytest.mark.parametrize("framework", BLOCKING, indirect=True)
def test_what_is_for_asyncio_is_refused_where_a_framework_blocks(open_app):
    async def later(*_):
        return "alice"

    class Awaited:
        wait_ms = later

    for settings in ({"authenticate": later}, {"limit": Awaited()}, {"challenge_limit": Awaited()}):
        with pytest.raises(InvalidConfig, match="plain function"):
            open_app(**settings)


def test_a_platform_of_the_other_kind_is_refused_when_a_face_is_set_up(fake):
    blocking = Platform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    awaited = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    with pytest.raises(InvalidConfig, match="AsyncPlatform"):
        LinkEndpoint(blocking, signed_in)
    for face in (link_urls, link_blueprint):
        with pytest.raises(InvalidConfig, match="blocks"):
            face(awaited, signed_in)


# Proofs


def test_a_device_that_proves_itself_is_linked_and_the_platform_is_told_what_it_proved(proven, fake):
    challenge, link = proven
    said = challenge()
    evidence = prove(said, INSTALL)
    assert link(evidence).status_code == 200
    signed = base64.b64decode(evidence["attestation"])
    assert fake.bodies[-1]["attestation"] == {
        "level": "app_attest",
        "kind": "app_attest",
        "challenge_digest": hashlib.sha256(base64.b64decode(said)).hexdigest(),
        "proof_digest": hashlib.sha256(signed).hexdigest(),
    }


def test_a_proof_is_worth_nothing_for_another_install_account_app_or_time(proven, clock, fake):
    challenge, link = proven
    said = challenge()
    evidence = prove(said, INSTALL)
    assert reason_of(link(evidence, OTHER_INSTALL)) == "binding_mismatch"
    assert reason_of(link(evidence, session="bobs-session")) == "binding_mismatch"
    assert reason_of(link(prove(said, INSTALL, app_id="cd" * 12))) == "binding_mismatch"
    assert reason_of(link(prove(said, OTHER_INSTALL))) == "binding_mismatch"
    bobs = challenge(session="bobs-session")
    assert reason_of(link(prove(bobs, INSTALL))) == "binding_mismatch"
    assert reason_of(link(evidence | {"challenge": challenge()})) == "binding_mismatch"
    clock.advance_to(NOW_MS + 120_000)
    assert reason_of(link(evidence)) == "too_old"
    assert fake.linked == {}


def test_a_link_that_is_there_is_answered_again_whatever_became_of_its_proof(proven, clock, fake):
    challenge, link = proven
    evidence = prove(challenge(), INSTALL)
    first = link(evidence)
    clock.advance_to(NOW_MS + 600_000)
    for again in (evidence, None, {"kind": "telepathy"}):
        reply = link(again)
        assert (reply.status_code, reply.content) == (200, first.content)
    assert len([request for request in fake.requests if "dry_run" not in request.url.params]) == 1
    assert reason_of(link(evidence, session="bobs-session")) == "binding_mismatch"
    assert reason_of(link(evidence, OTHER_INSTALL)) == "binding_mismatch"
    fake.refuse_next(403, "INSTALL_DELETED")
    assert reason_of(link(evidence)) == "too_old"
    fake.fall_silent(4)
    assert reason_of(link(evidence)) == "too_old"


@pytest.mark.parametrize(
    ("attestation", "reason"),
    [
        (None, "missing"),
        ({}, "binding_mismatch"),
        ("proof", "binding_mismatch"),
        ({"challenge": 7}, "binding_mismatch"),
        ({"challenge": "no base64!"}, "binding_mismatch"),
        ({"challenge": base64.b64encode(bytes(32)).decode()}, "binding_mismatch"),
    ],
)
def test_without_a_challenge_of_ours_nothing_is_linked(proven, fake, attestation, reason):
    _, link = proven
    assert reason_of(link(attestation)) == reason
    assert fake.linked == {}


def test_evidence_that_cannot_be_read_or_judged_links_nothing(proven, fake):
    challenge, link = proven
    assert reason_of(link({"challenge": challenge()})) == "malformed"
    assert reason_of(link({"kind": "telepathy", "challenge": challenge()})) == "malformed"
    unjudged = {"kind": "play_classic", "token": "a.b.c", "challenge": challenge()}
    assert reason_of(link(unjudged)) == "not_verifiable"
    assert fake.linked == {}


@pytest.mark.parametrize(
    ("attestation", "told"),
    [
        (None, {"level": "none", "reason": "missing"}),
        ({"kind": "app_attest"}, {"level": "none", "reason": "binding_mismatch"}),
    ],
)
def test_who_observes_links_anyway_and_tells_the_platform_why_there_is_no_proof(open_app, fake, attestation, told):
    ask = open_app(attestation=policy(Mode.OBSERVE), app_id=APP_ID)
    assert ask("POST", "/install", json={"install_id": INSTALL, "attestation": attestation}).status_code == 200
    assert fake.bodies == [{"external_id": "alice", "attestation": told}]


def test_where_proofs_are_enforced_no_code_is_given_that_would_need_none(open_app, fake):
    assert reason_of(open_app(attestation=policy(), app_id=APP_ID)("GET", "/auth-code")) == "missing"
    assert fake.codes == {}
    assert open_app(attestation=policy(Mode.OBSERVE), app_id=APP_ID)("GET", "/auth-code").status_code == 200


@pytest.mark.parametrize("settings", [{}, {"attestation": policy(Mode.OFF), "app_id": APP_ID}])
def test_who_asks_for_no_proof_looks_at_none_and_tells_the_platform_nothing(open_app, fake, settings):
    ask = open_app(**settings)
    is_asked = ask("GET", "/challenge", params={"install_id": INSTALL}).status_code == 200
    assert is_asked == bool(settings)
    body = {"install_id": INSTALL, "attestation": {"kind": "app_attest"}}
    assert ask("POST", "/install", json=body).status_code == 200
    assert fake.bodies == [{"external_id": "alice"}]


@pytest.mark.parametrize("install_id", ["", "a/b", "\ud800", "\U0001f600" * 64, "é" * 60, f"{INSTALL}\n"])
def test_what_can_be_no_install_is_none_whatever_is_proven(proven, fake, install_id):
    _, link = proven
    reply = link({"challenge": base64.b64encode(bytes(32)).decode()}, install_id)
    assert (reply.status_code, reply.json()["errorCode"]) == (404, "INSTALL_NOT_FOUND")
    assert fake.requests == []


@pytest.mark.parametrize("query", ["", "install_id=", f"install_id={INSTALL}&install_id={INSTALL}", "install_id=a/b"])
def test_a_challenge_is_for_one_install(open_app, query):
    reply = open_app(attestation=policy(), app_id=APP_ID)("GET", f"/challenge?{query}")
    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (400, "install_id")


def test_two_processes_know_the_challenges_of_each_other_unless_their_keys_differ(open_app):
    settings = {"attestation": policy(), "app_id": APP_ID}
    one, other, apart = open_app(**settings), open_app(**settings), open_app(**settings, challenge_key=b"k" * 32)
    said = one("GET", "/challenge", params={"install_id": INSTALL}).json()["challenge"]
    body = {"install_id": INSTALL, "attestation": prove(said, INSTALL)}
    assert reason_of(apart("POST", "/install", json=body)) == "binding_mismatch"
    assert other("POST", "/install", json=body).status_code == 200


@pytest.mark.parametrize(
    "settings",
    [
        {"attestation": policy()},
        {"attestation": policy(Mode.OFF)},
        {"attestation": policy(), "app_id": "the app"},
        {"attestation": policy(), "app_id": APP_ID, "challenge_key": b""},
        {"challenge_key": b"k" * 31},
        {"platform_url": ""},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings):
    fake = FakePlatform()
    platform = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    with pytest.raises(InvalidConfig):
        LinkEndpoint(platform, signed_in, **settings)


def test_a_setting_with_a_slip_in_its_name_is_refused_and_not_left_out(open_app):
    with pytest.raises(InvalidConfig, match="no setting atestation"):
        open_app(atestation=policy(), app_id=APP_ID)
