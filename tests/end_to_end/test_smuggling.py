"""Requests on a raw socket that another reader may see otherwise: refused, or read as one. No second one comes out."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack

import httpx
import pytest
from tests.smuggling import CANARY, CORPUS, WHOLE

from unbroken.testing.process import PlatformProcess

WAIT_S = 20.0


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each request was answered, until the platform hung up; and how often the inner one was."""
    settings = dict.fromkeys(("head_timeout_s", "body_timeout_s", "keep_alive_s"), "1")
    with PlatformProcess(tmp_path_factory.mktemp("raw") / "data", lab=False, settings=settings) as platform:
        port = int(platform.base_url.rsplit(":", 1)[1])
        with ExitStack() as stack:
            sent = {}
            for name, request in (CORPUS | WHOLE).items():
                sent[name] = stack.enter_context(socket.create_connection(("127.0.0.1", port), WAIT_S))
                sent[name].sendall(request)
            answered = {name: whole(caller) for name, caller in sent.items()}
        answered[CANARY] = httpx.get(f"{platform.base_url}/metrics").content
        yield answered


def whole(caller):
    answer = b""
    try:
        while more := caller.recv(65_536):
            answer += more
    except ConnectionResetError:
        pass
    return answer


def statuses(answer):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize("name", CORPUS)
def test_what_may_be_read_in_two_ways_is_refused_or_read_as_one(answers, name):
    found = statuses(answers[name])
    assert len(found) <= 1
    assert set(found) <= {400, 401, 413}, answers[name]


REFUSED_BY_US = (
    "no host", "two hosts", "one host twice", "a host with a path", "a host with an account", "a host with a blank",
    "a host with a comma and a blank", "a host with another port than numbers", "more lines than anybody sends",
)  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_BY_US)
def test_what_the_parser_lets_pass_is_refused(answers, name):
    assert statuses(answers[name]) == [413 if name.startswith("more") else 400]


@pytest.mark.parametrize("name", WHOLE)
def test_what_is_odd_and_allowed_is_read_as_one(answers, name):
    assert len(statuses(answers[name])) == 1
    assert not set(statuses(answers[name])) & {500, 503}


def test_no_inner_request_came_out(answers):
    assert b"unbroken_requests_total" in answers[CANARY]
    assert f'route="{CANARY}"'.encode() not in answers[CANARY]
