from __future__ import annotations

import asyncio
import logging
import threading

import httpx
import pytest
from starlette.applications import Starlette

from unbroken.backend import AsyncPlatform, InvalidConfig, LinkEndpoint
from unbroken.backend.errors import PlatformUnreachable
from unbroken.domain.errors import Unauthenticated

INSTALL = "a1" * 12
API_KEY = "unb_key_0123456789abcdef0123456789abcdef"
ACCOUNTS = {"alices-session": "alice"}


def signed_in(request):
    return ACCOUNTS.get(request.cookies.get("session", ""))


@pytest.fixture
def ask(fake):
    """Sends one request to an endpoint mounted under /linking, signed in as alice unless told otherwise."""

    def ask(method, path, *, authenticate=signed_in, session="alices-session", api_key=API_KEY, **request):
        async def run():
            async with AsyncPlatform("http://127.0.0.1:1", api_key=api_key, options=fake.options()) as platform:
                app = Starlette()
                app.mount("/linking", LinkEndpoint(platform, authenticate, platform_url="https://platform.example"))
                cookie = {"Cookie": f"session={session}"} if session else {}
                headers = cookie | dict(request.pop("headers", {}))
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="https://customer.example") as client:
                    return await client.request(method, path, headers=headers, **request)

        return asyncio.run(run())

    return ask


@pytest.fixture
def link(ask):
    def link(body, **request):
        return ask("POST", "/linking/install", json=body, **request)

    return link


# What it does


def test_an_install_is_linked_to_whoever_is_signed_in(link, fake):
    reply = link({"install_id": INSTALL, "link_ticket": "unb_ticket_1"})
    assert (reply.status_code, reply.json()) == (200, {"user_id": f"{7:024x}", "state": "active"})
    assert fake.linked == {INSTALL: "alice"}
    assert fake.bodies == [{"external_id": "alice", "link_ticket": "unb_ticket_1"}]


@pytest.mark.parametrize("body", [{"install_id": INSTALL}, {"install_id": INSTALL, "link_ticket": None}])
def test_a_ticket_may_be_left_out(link, fake, body):
    assert link(body).status_code == 200
    assert fake.bodies == [{"external_id": "alice"}]


def test_members_that_a_newer_app_sends_are_ignored(link):
    assert link({"install_id": INSTALL, "attestation": {"kind": "newer"}}).status_code == 200


def test_an_auth_code_is_for_whoever_is_signed_in(ask, fake):
    reply = ask("GET", "/linking/auth-code")
    assert reply.json() == {"auth_code": "unb_code_1", "platform_url": "https://platform.example"}
    assert fake.codes == {"unb_code_1": "alice"}


def test_no_answer_may_be_kept_on_the_way(ask):
    assert ask("GET", "/linking/auth-code").headers["Cache-Control"] == "no-store"


def test_authenticate_may_be_a_coroutine_function(link, fake):
    async def authenticate(request):
        return "bob"

    assert link({"install_id": INSTALL}, authenticate=authenticate).status_code == 200
    assert fake.linked == {INSTALL: "bob"}


def test_authenticate_may_return_an_awaitable(link, fake):
    async def later():
        return "bob"

    assert link({"install_id": INSTALL}, authenticate=lambda _: later()).status_code == 200
    assert fake.linked == {INSTALL: "bob"}


def test_an_authenticate_that_blocks_does_not_block_the_loop(link):
    threads = []

    def authenticate(request):
        threads.append(threading.current_thread())
        return "alice"

    link({"install_id": INSTALL}, authenticate=authenticate)
    assert threads != [threading.main_thread()]


def test_what_the_hosts_middleware_left_is_seen(link, fake):
    assert link({"install_id": INSTALL}, authenticate=lambda r: r.scope["app"] and r.method + r.path).status_code == 200
    assert fake.linked == {INSTALL: "POST/install"}


# What it refuses


@pytest.mark.parametrize("session", [None, "", "nobodys-session", "Alices-Session"])
@pytest.mark.parametrize("call", [("POST", "/linking/install"), ("GET", "/linking/auth-code")])
def test_nobody_signed_in_is_401_before_the_body_is_looked_at(ask, fake, session, call):
    reply = ask(*call, session=session, content=b"{" * 100)
    assert (reply.status_code, reply.json()["errorCode"]) == (401, "UNAUTHENTICATED")
    assert fake.requests == []


@pytest.mark.parametrize("account", [7, True, b"alice", ["alice"], {"id": "alice"}, 0, False])
def test_an_account_that_is_no_string_is_a_bug_and_links_nothing(link, fake, account):
    with pytest.raises(TypeError, match="external id is a string"):
        link({"install_id": INSTALL}, authenticate=lambda _: account)
    assert fake.requests == []


@pytest.mark.parametrize(
    "error",
    [OSError("no session store"), PlatformUnreachable("no session store"), Unauthenticated("no session store")],
    ids=["its own", "of the kit", "of the platform"],
)
def test_what_authenticate_raises_is_the_hosts_to_handle_and_links_nothing(link, fake, error):
    def authenticate(request):
        raise error

    with pytest.raises(type(error), match="no session store"):
        link({"install_id": INSTALL}, authenticate=authenticate)
    assert fake.requests == []


def test_nobody_is_asked_who_is_signed_in_for_what_is_no_call(ask):
    def authenticate(request):
        raise OSError("no session store")

    assert ask("PUT", "/linking/install", authenticate=authenticate).status_code == 405
    assert ask("POST", "/linking/installs", authenticate=authenticate).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/install", "POST"),
        ("PUT", "/install", "POST"),
        ("POST", "/auth-code", "GET"),
        ("HEAD", "/auth-code", "GET"),
        ("POST", "/challenge", "GET"),
    ],
)
def test_another_method_is_405(ask, fake, method, path, allow):
    reply = ask(method, f"/linking{path}")
    assert (reply.status_code, reply.headers["Allow"]) == (405, allow)
    assert fake.requests == []


@pytest.mark.parametrize(
    "path", ["/", "/install/", "/install/x", "/Install", "//install", "/challenges", "/auth-code/bob"]
)
def test_another_path_is_404(ask, fake, path):
    assert ask("POST", f"/linking{path}", json={"install_id": INSTALL}).status_code == 404
    assert fake.requests == []


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonp",
        "text/plain, application/json",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/ld+json",
    ],
)
def test_a_body_of_a_type_that_a_foreign_page_can_send_is_refused(ask, fake, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = ask("POST", "/linking/install", content=b'{"install_id": "%s"}' % INSTALL.encode(), headers=headers)
    assert (reply.status_code, reply.json()["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert fake.requests == []


@pytest.mark.parametrize(
    "content_type", ["application/json", 'Application/JSON ; charset="UTF-8"', "application/json;"]
)
def test_json_is_json_however_it_is_written(ask, content_type):
    content = b'{"install_id": "%s"}' % INSTALL.encode()
    assert ask("POST", "/linking/install", content=content, headers={"Content-Type": content_type}).status_code == 200


def test_an_encoded_body_is_refused(link):
    assert link({"install_id": INSTALL}, headers={"Content-Encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"install_id": null}',
        b'{"install_id": 7}',
        b'{"install_id": ["a"]}',
        b'{"install_id": "a", "link_ticket": 7}',
        b'{"install_id": "a", "link_ticket": ""}',
        b'{"install_id": "a", "link_ticket": "a b"}',
        b'{"install_id": "a", "link_ticket": "a\\n"}',
        b'{"install_id": "a", "link_ticket": "\\ud800"}',
        b'{"install_id": "a", "x": NaN}',
        b'{"install_id": "a"} {}',
        b"\xef\xbb\xbf{}",
        '{"install_id": "a"}'.encode("utf-16"),
        b'{"install_id": "\xff"}',
        b"[" * 16_000,
        b'{"install_id": "a", "x": ' + b"9" * 5_000 + b"}",
        b'{"install_id": "' + b"a" * 65 + b'"}',
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_body_that_is_not_of_the_form_is_400(ask, fake, content):
    reply = ask("POST", "/linking/install", content=content, headers={"Content-Type": "application/json"})
    assert (reply.status_code, reply.json()["errorCode"]) == (400, "INVALID_REQUEST")
    assert fake.requests == []


def test_a_body_beyond_the_limit_is_413_before_the_rest_is_read(fake):
    platform = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    endpoint = LinkEndpoint(platform, lambda _: "alice")
    asked, sent = [], []

    async def receive():
        asked.append(None)
        return {"type": "http.request", "body": b" " * 40_000, "more_body": True}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/install", "headers": headers}
    asyncio.run(endpoint(scope, receive, send))
    assert (sent[0]["status"], len(asked)) == (413, 2)


def test_an_app_that_hangs_up_links_nothing(fake):
    platform = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    sent = []

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/install", "headers": headers}
    asyncio.run(LinkEndpoint(platform, lambda _: "alice")(scope, receive, send))
    assert sent[0]["status"] == 400
    assert fake.requests == []


def test_a_websocket_is_closed(fake):
    platform = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    asyncio.run(LinkEndpoint(platform, lambda _: "alice")({"type": "websocket"}, receive, send))
    assert sent == [{"type": "websocket.close"}]


def test_a_platform_url_that_no_app_could_use_is_refused(fake):
    platform = AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options())
    with pytest.raises(InvalidConfig):
        LinkEndpoint(platform, signed_in, platform_url="http://platform.internal")


# What the platform says


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_EXTERNAL_ID"),
        (403, "INSTALL_LINKED_TO_OTHER_USER"),
        (403, "INVALID_LINK_TICKET"),
        (403, "USERLINKING_NOT_CONFIGURED"),
        (404, "INSTALL_NOT_FOUND"),
        (409, "CONFLICT"),
        (403, "APP_DISABLED"),
        (418, "OF_A_NEWER_PLATFORM"),
    ],
)
def test_a_refusal_of_the_platform_is_passed_on(link, fake, status, code):
    fake.refuse_next(status, code, hint="Do it so.")
    reply = link({"install_id": INSTALL})
    told = {"message": "It cannot be.", "errorCode": code, "ref": "ref-1", "hint": "Do it so."}
    assert (reply.status_code, reply.json()) == (status, told)


def test_a_held_burst_is_passed_on_with_its_time(link, fake):
    fake.refuse_next(429, "LINK_BURST", {"Retry-After": "600"})
    reply = link({"install_id": INSTALL})
    assert (reply.status_code, reply.headers["Retry-After"]) == (429, "600")


def test_a_bad_key_of_the_server_does_not_tell_the_app_to_sign_in_again(link, fake):
    reply = link({"install_id": INSTALL}, api_key="unb_key_revoked")
    assert (reply.status_code, reply.json()["errorCode"], reply.json()["ref"]) == (502, "UNAUTHENTICATED", "ref-1")


def test_a_platform_that_cannot_be_reached_is_503(link, fake, caplog):
    caplog.set_level(logging.WARNING)
    fake.fall_silent(9)
    reply = link({"install_id": INSTALL, "link_ticket": "unb_ticket_s3cret"})
    assert (reply.status_code, reply.json()["errorCode"]) == (503, "UNAVAILABLE")
    assert int(reply.headers["Retry-After"]) > 0
    assert reply.json()["ref"] in caplog.text
    assert "s3cret" not in caplog.text + reply.text


def test_something_else_than_the_platform_is_503_too(link, fake):
    fake.answers.append(httpx.Response(200, text="<h1>Welcome</h1>"))
    assert link({"install_id": INSTALL}).status_code == 503


def test_a_malformed_install_id_is_not_found_as_the_platform_would_say(link, fake):
    reply = link({"install_id": "../../users/auth-code?"})
    assert (reply.status_code, reply.json()["errorCode"]) == (404, "INSTALL_NOT_FOUND")
    assert fake.requests == []
