"""Ways to make the kit name another account than that of the session, in every framework.

Each ends in alice's link or in none.
"""

from __future__ import annotations

import json

import httpx
import pytest
from tests.unit.backend.conftest import FakePlatform
from tests.unit.backend.devices import APP_ID, policy, prove
from tests.unit.backend.frameworks import FRAMEWORKS, serving

INSTALL = "a1" * 12
API_KEY = "unb_key_0123456789abcdef0123456789abcdef"
SESSIONS = {"alices": "alice", "victims": "victim"}
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
COOKIE = ("Cookie", "session=alices")
PLAIN = {"install_id": INSTALL}


def body(**members):
    return json.dumps(PLAIN | members).encode()


def post(content=None, headers=(JSON, COOKIE), path="/linking/install"):
    return "POST", path, list(headers), content if content is not None else body()


def with_header(name, value="victim"):
    return post(headers=[JSON, COOKIE, (name, value)])


MEMBERS = [
    *("external_id", "externalId", "external-id", "EXTERNAL_ID", "external_id ", "user_id", "user", "account"),
    *("account_id", "username", "email", "sub", "authenticate", "session", "cookies", "Cookie", "X-User", "person_id"),
    *("__proto__", "constructor", "id", "link", "dry_run", "attestation"),
]
HEADERS = [
    *("X-User", "X-User-Id", "X-Account", "X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Auth-User"),
    *("X-External-Id", "External-Id", "From", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override"),
    *("X-Session", "Session", "Authorization", "X-Authenticated-Userid", "Idempotency-Key", "Lab-Time", "Cookie2"),
]

ATTEMPTS = {
    **{f"a member {name!r}": post(body(**{name: "victim"})) for name in MEMBERS},
    **{f"an object as {name!r}": post(body(**{name: {"external_id": "victim"}})) for name in MEMBERS[:8]},
    **{f"a header {name}": with_header(name) for name in HEADERS},
    "nested beside": post(body(body={"external_id": "victim", "install_id": INSTALL})),
    "an install that is an object": post(json.dumps({"install_id": {"external_id": "victim"}}).encode()),
    "an install that is a list": post(json.dumps({"install_id": [INSTALL, "victim"]}).encode()),
    "a list of bodies": post(json.dumps([PLAIN, PLAIN | {"external_id": "victim"}]).encode()),
    "two bodies": post(body() + b"\n" + body(external_id="victim")),
    "an install twice": post(b'{"install_id": "%b", "install_id": "victim"}' % INSTALL.encode()),
    "an account twice": post(b'{"install_id": "%b", "x": 1, "external_id": "a", "external_id": "victim"}' % b"a1"),
    "twice, escaped": post(b'{"install_id": "%b", "install_\\u0069d": "victim"}' % INSTALL.encode()),
    "twice, nested": post(b'{"install_id": "%b", "x": {"a": 1, "a": 2}}' % INSTALL.encode()),
    "an account in the install id": post(json.dumps({"install_id": f'{INSTALL}","external_id":"victim'}).encode()),
    "a path in the install id": post(json.dumps({"install_id": f"{INSTALL}/link?external_id=victim&"}).encode()),
    "an escaped path in the install id": post(json.dumps({"install_id": "..%2f..%2fusers%2fauth-code"}).encode()),
    "a null byte in the install id": post(json.dumps({"install_id": f"{INSTALL}\0victim"}).encode()),
    "an account in the ticket": post(body(link_ticket='x","external_id":"victim')),
    "a header in the ticket": post(body(link_ticket="x\r\nX-User: victim")),
    "a ticket that is an object": post(body(link_ticket={"external_id": "victim"})),
    "the query": post(path="/linking/install?external_id=victim&user=victim&session=victims"),
    "the query, as a cookie": post(path="/linking/install?Cookie=session%3Dvictims"),
    "the path": post(path="/linking/install/victim"),
    "a parameter of the path": post(path="/linking/install;external_id=victim"),
    "an escaped query in the path": post(path="/linking/install%3Fexternal_id=victim"),
    "dots in the path": post(path="/linking/victim/../install"),
    "the other call": ("GET", "/linking/auth-code?external_id=victim", [COOKIE], b""),
    "the other call with a body": ("GET", "/linking/auth-code", [COOKIE, JSON], b'{"external_id": "victim"}'),
    "the other call's path": ("GET", "/linking/auth-code/victim", [COOKIE], b""),
    "a second cookie of that name": post(headers=[JSON, ("Cookie", "session=alices; session=victims")]),
    "a second cookie before it": post(headers=[JSON, ("Cookie", "session=victims; session=alices")]),
    "a second cookie header": post(headers=[JSON, COOKIE, ("Cookie", "session=victims")]),
    "a cookie in another case": post(headers=[JSON, COOKIE, ("Cookie", "SESSION=victims")]),
    "a cookie with spaces": post(headers=[JSON, ("Cookie", "session=alices; session =victims")]),
    "a cookie behind a no-break space": post(headers=[JSON, (b"Cookie", b"\xa0session=victims")]),
    "a cookie behind one, and alice's": post(headers=[JSON, (b"Cookie", b"session=alices; \xa0session=victims")]),
    "a cookie of the account": post(headers=[JSON, ("Cookie", "session=alices; user=victim; external_id=victim")]),
    "a cookie split by a comma": post(headers=[JSON, ("Cookie", "session=alices, session=victims")]),
    "a quoted cookie": post(headers=[JSON, ("Cookie", 'session=alices; x="; session=victims"')]),
    "no session but a header": post(headers=[JSON, ("X-User", "victim")]),
    "no session but a member": post(body(session="victims", external_id="victim"), headers=[JSON]),
    "a form": post(b"install_id=a1&external_id=victim", [FORM, COOKIE]),
    "a form that says JSON": post(b"install_id=a1&external_id=victim"),
    "a form made to look like JSON": post(body(external_id="victim="), [("Content-Type", "text/plain"), COOKIE]),
    "two content types": post(body(external_id="victim"), [JSON, ("Content-Type", "text/plain"), COOKIE]),
    "another charset": post(body(x="victim").decode().encode("utf-16"), [("Content-Type", "application/json"), COOKIE]),
    "multipart": post(b'--x\r\nContent-Disposition: form-data; name="external_id"\r\n\r\nvictim\r\n--x--', [
        ("Content-Type", "multipart/form-data; boundary=x"), COOKIE]),
    "gzip": post(body(external_id="victim"), [JSON, COOKIE, ("Content-Encoding", "gzip")]),
    "another method": ("PUT", "/linking/install", [JSON, COOKIE], body(external_id="victim")),
    "a method in the query": ("GET", "/linking/install?_method=POST", [JSON, COOKIE], body(external_id="victim")),
}  # fmt: skip


def by_session(request):
    return SESSIONS.get(request.cookies.get("session", ""))


class Host:
    """A customer's server that is asked many times, and the platform that it is told to ask."""

    def __init__(self, framework, **settings):
        self.fake = FakePlatform()
        self._serving = serving(
            framework,
            "http://127.0.0.1:1",
            by_session,
            api_key=API_KEY,
            options=self.fake.options(transport=httpx.MockTransport(self._handle)),
            limit=None,
            **settings,
        )
        self._url = self._serving.__enter__()

    def _handle(self, request):
        return self.fake.handle(request)

    def attempt(self, method, path, headers, content):
        """One request, to a platform that nothing was told yet."""
        self.fake = FakePlatform()
        with httpx.Client(base_url=self._url, trust_env=False) as client:
            return client.request(method, path, headers=headers, content=content)

    def challenge(self):
        """One for alice and her install."""
        with httpx.Client(base_url=self._url, trust_env=False) as client:
            query = {"install_id": INSTALL, "account": "victim"}
            reply = client.get("/linking/challenge", params=query, headers=dict([COOKIE, ("X-User", "victim")]))
        return reply.raise_for_status().json()["challenge"]

    def close(self):
        self._serving.__exit__(None, None, None)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def host(request):
    host = Host(request.param)
    yield host
    host.close()


@pytest.mark.parametrize("request_", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_no_request_names_another_account_than_its_session(host, request_):
    reply = host.attempt(*request_)
    fake = host.fake
    assert fake.accounts_named() <= {"alice"}
    assert fake.linked.keys() <= {INSTALL}
    assert (reply.status_code == 200) == bool(fake.accounts_named())
    assert "victim" not in [name for body in fake.bodies for name in body.values()]


def test_the_attempts_would_be_seen_if_they_worked(host):
    assert host.attempt(*post(headers=[JSON, ("Cookie", "session=victims")])).status_code == 200
    assert host.fake.accounts_named() == {"victim"}
    assert len(ATTEMPTS) >= 80


@pytest.mark.parametrize("name", ["external_id", "externalId", "External-Id", "user_id", "account", "email", "sub"])
def test_an_account_in_the_body_is_refused_so_that_whoever_sent_it_hears_of_it(host, name):
    reply = host.attempt(*post(body(**{name: "alice"})))
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "INVALID_REQUEST")
    assert reply.json()["errors"][0]["path"] == name
    assert host.fake.requests == []


# The same where devices must prove themselves: alice's phone does


@pytest.fixture(scope="module", params=["starlette", "flask"])
def proven(request):
    host = Host(request.param, attestation=policy(), app_id=APP_ID, challenge_limit=None)
    yield host
    host.close()


def with_proof(proof, method, path, headers, content):
    """The attempt, with a proof as its first member."""
    if content.startswith(b"{"):
        content = b'{"attestation": %b, %b' % (json.dumps(proof).encode(), content[1:])
    return method, path, headers, content


@pytest.mark.parametrize("request_", ATTEMPTS.values(), ids=ATTEMPTS.keys())
def test_no_proof_links_another_account_than_its_session(proven, request_):
    request_ = with_proof(prove(proven.challenge(), INSTALL), *request_)
    reply = proven.attempt(*request_)
    fake = proven.fake
    assert fake.accounts_named() <= {"alice"}
    assert fake.linked.keys() <= {INSTALL}
    assert (reply.status_code == 200) == bool(fake.accounts_named())
    assert "victim" not in [name for body in fake.bodies for name in body.values()]
    assert all(body["attestation"]["level"] == "app_attest" for body in fake.bodies if "attestation" in body)


@pytest.mark.parametrize(("session", "status", "named"), [("alices", 200, {"alice"}), ("victims", 403, set())])
def test_a_proof_is_of_the_account_that_the_challenge_was_for(proven, session, status, named):
    proof = prove(proven.challenge(), INSTALL)
    reply = proven.attempt(*with_proof(proof, *post(headers=[JSON, ("Cookie", f"session={session}")])))
    assert (reply.status_code, proven.fake.accounts_named()) == (status, named)
