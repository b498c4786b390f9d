"""Errors: one table, one shape, and nothing of the inside in them."""

from __future__ import annotations

import pytest

from unbroken.domain import errors
from unbroken.server import problems


def test_every_refusal_has_exactly_one_status():
    assert set(problems.STATUS) == set(errors.leaves())


def test_the_status_of_each_refusal_leads_clients_back_to_it():
    for leaf, status in problems.STATUS.items():
        assert errors.by_code(leaf.code, status) is leaf


def test_a_deleted_install_is_gone_for_itself_and_forbidden_to_link():
    assert problems.STATUS[errors.InstallGone] == 410
    assert problems.STATUS[errors.InstallDeleted] == 403


def test_422_is_never_used():
    assert 422 not in problems.STATUS.values()


def test_a_refusal_names_path_hint_and_when_to_come_back():
    refusal = errors.LinkBurst(hint="Wait.", details=(("external_id", "too many"),), retry_after_s=7)
    body = problems.body_of(refusal, "r")
    assert body == (
        b'{"message":"Too many installs were linked to this external id within a day.","errorCode":"LINK_BURST",'
        b'"ref":"r","hint":"Wait.","errors":[{"path":"external_id","message":"too many"}]}'
    )
    assert problems.headers_of(refusal, b"x") == [(b"retry-after", b"7")]


def test_what_nobody_expected_is_an_internal_error_that_tells_nothing(send):
    reply = send("POST", "/fail")
    assert (reply.status, reply.code) == (500, "INTERNAL")
    assert b"broke" not in reply.body


def test_what_nobody_expected_is_logged_with_its_traceback_and_without_credentials(send, log_output):
    reply = send("POST", "/fail")
    (line,) = log_output.getvalue().splitlines()
    assert "ZeroDivisionError" in line
    assert reply.json["ref"] in line
    assert "unb_key_" not in line


def test_a_store_that_cannot_store_is_unavailable_for_a_while(send):
    reply = send("POST", "/full")
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "UNAVAILABLE", "1")


def test_a_reply_without_a_body_has_none(send):
    reply = send("POST", "/nothing")
    assert (reply.status, reply.body, reply.headers["x-extra"]) == (204, b"", "1")
    assert "content-type" not in reply.headers


@pytest.mark.parametrize("path", ["/nope", "/fail", "/full", "/echo"])
def test_every_error_has_the_same_shape(send, path):
    reply = send("POST", path, b"{")
    assert {"message", "errorCode", "ref"} <= set(reply.json)
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
