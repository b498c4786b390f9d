"""Paths and methods: what matches, and what a caller learns where nothing does."""

from __future__ import annotations

import pytest


def test_a_literal_segment_goes_before_a_parameter(send):
    assert send("GET", "/things/me").json["path"] == {}
    assert send("GET", "/things/you").json["path"] == {"thing_id": "you"}


def test_parameters_are_percent_decoded(send):
    reply = send("GET", "/things/a%2Fb/parts/%C3%A9")
    assert reply.json["path"] == {"thing_id": "a/b", "part": "é"}


@pytest.mark.parametrize("name", ["0199ab3f", "a.b_c~d:e-f", "..", "x" * 180, "x" * 220, "x" * 1000, "a@b", "a+b"])
def test_a_parameter_that_escapes_nothing_is_what_stands_there(send, name):
    assert send("GET", f"/things/{name}").json["path"] == {"thing_id": name}


@pytest.mark.parametrize(
    "path",
    ["/", "/nope", "/things", "/things/", "/things/x/", "//things/x", "/things/%00", "/things/%", "/things/%zz",
     "/things/%ff", "/things/a%0Ab", "/things/" + "x" * 1001, "/THINGS/me"],
)  # fmt: skip
def test_a_path_that_is_none_is_not_found(send, path):
    reply = send("GET", path)
    assert (reply.status, reply.code) == (404, "NOT_FOUND")


def test_a_wrong_method_names_the_right_ones(send):
    reply = send("PUT", "/things/x")
    assert (reply.status, reply.code, reply.headers["allow"]) == (405, "METHOD_NOT_ALLOWED", "DELETE, GET, HEAD")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "BREW"])
def test_methods_that_nothing_knows_are_refused_with_what_is_known(send, method):
    reply = send(method, "/dry")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_head_goes_where_get_goes(send):
    assert send("HEAD", "/things/x").status == 200
    assert send("HEAD", "/dry").status == 405


def test_each_reply_has_a_request_id_of_its_own_and_errors_repeat_it(send):
    first, second = send("GET", "/nope"), send("GET", "/nope")
    assert first.headers["x-request-id"] == first.json["ref"]
    assert first.json["ref"] != second.json["ref"]
    assert send("GET", "/things/x").headers["x-request-id"]
