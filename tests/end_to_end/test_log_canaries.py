"""What a caller sends, wherever, ends no line of the log, steers no terminal and shows no credential."""

from __future__ import annotations

import json
import socket
from base64 import b64encode
from urllib.parse import quote

import httpx
import pytest

from unbroken.credentials import Kind, write_opaque
from unbroken.testing.process import PlatformProcess

ESCAPES = "\r\n\x1b]0;owned\x07\x9b2J\u202e\u2028"
SECRETS = [write_opaque(kind, b"s" * 12, b"x" * 32) for kind in Kind]
MARK = "canary"


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """What the platform wrote, and how many requests it was sent."""
    process = PlatformProcess(tmp_path_factory.mktemp("canaries") / "data", lab=False)
    with process:
        app = process.command("app", "create", "Shop")
        with httpx.Client(base_url=process.base_url, timeout=30) as client:
            sent = sum(tell(client, app, f"{MARK}{ESCAPES} {secret}") for secret in SECRETS)
        for secret in SECRETS:
            raw(process, secret)
    return [line for line in process.output().splitlines() if not line.startswith("Unbroken listens")], sent


def tell(client, app, words):
    """Say it in every place where something can be said; how many requests that took."""
    basic = basic_of(app)
    phone = {
        "device": {"platform": "android", "model": words, "os_version": words},
        "sdk": {"name": words, "version": "1"},
    }
    token = client.post("/sdk/installs", json=phone, headers={"Authorization": basic}).json()["user_token"]["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    header = quote(words, safe=" _-")
    replies = [
        client.get(f"/{quote(words)}"),
        client.get(f"/v2/users/{quote(words)}", headers=bearer),
        client.get(f"/v3/users?external_id={quote(words)}&{quote(words)}=1", headers=bearer),
        client.get("/sdk/install", headers={"Authorization": f"Bearer {header}"}),
        client.get("/sdk/install", headers={"Authorization": header, "Cookie": header, "User-Agent": header}),
        client.get("/sdk/install", headers={"Authorization": "Basic " + b64encode(words.encode()).decode()}),
        client.get("/sdk/install", headers=bearer | {"Host": "x", "X-Request-Id": header, "X-Forwarded-For": header}),
        client.post("/sdk/installs", json={words: words}, headers={"Authorization": basic}),
        client.post("/sdk/installs", content=words.encode(), headers={"Content-Type": header}),
        client.post("/sdk/installs", content=words.encode(), headers={"Content-Encoding": header}),
        client.post("/sdk/installs", json=phone, headers={"Authorization": basic, "Idempotency-Key": header}),
        client.post("/sdk/link", json={"authentication_code": words}, headers=bearer),
        client.post("/sdk/payloads", json={words: words}, headers=bearer),
        client.put("/sdk/metadata", json={words: words, "x": words * 20}, headers=bearer),
        client.request("PATCH", f"/sdk/{quote(words)}"),
    ]
    assert all(reply.status_code < 500 for reply in replies), [reply.text for reply in replies]
    return 1 + len(replies)


def basic_of(app):
    return "Basic " + b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()


def raw(process, secret):
    """What is no HTTP."""
    with socket.create_connection(("127.0.0.1", int(process.base_url.rsplit(":", 1)[1])), 10) as caller:
        caller.sendall(f"{MARK} {secret}\x1b]0;owned\x07 HTTP/1.1\r\n{secret}: \x9b\r\n\r\n".encode("latin-1"))
        assert b" 400 " in caller.recv(4096)


@pytest.mark.counts_requests("a line for each request is what it counts")
def test_each_line_is_one_event_and_each_request_one_line(output):
    lines, sent = output
    events = [json.loads(line) for line in lines]
    assert sum(event["event"] == "request" and "/health/" not in event["route"] for event in events) == sent


def test_no_line_shows_a_credential_or_steers_a_terminal(output):
    text = "\n".join(output[0])
    assert not [secret for secret in SECRETS if secret in text or secret[12:40] in text]
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert MARK not in text
