"""The description of the API: every row in it, every reference sound, every status with an example."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re

import pytest

from unbroken.domain import errors
from unbroken.server import openapi, problems, schema_pages, table
from unbroken.server.route import Credential


@pytest.fixture(scope="module")
def document():
    return json.loads(json.dumps(openapi.document(table.api(), lab=True)))


def test_the_page_to_try_it_may_run_its_own_script_and_nothing_else():
    (page,) = (route for route in schema_pages.routes([], lab=False) if route.path == "/schema")
    answer = asyncio.run(page.handler(None, None))
    policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>".encode(), answer.value, re.DOTALL)
        assert policy[f"{kind}-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
    assert b" style=" not in answer.value
    assert not re.search(rb"\son\w+=\"", answer.value)


def operations(document):
    for calls in document["paths"].values():
        yield from calls.values()


def test_every_row_of_the_table_is_described_once(document):
    described = {(method.upper(), path) for path, calls in document["paths"].items() for method in calls}
    assert described == {(route.method, route.path) for route in table.api()}
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere(document):
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names
    assert names <= set(document["components"]["schemas"])


def test_every_status_has_an_example(document):
    for operation in operations(document):
        for status, response in operation["responses"].items():
            for media in response.get("content", {}).values():
                assert "example" in media or media["examples"], (operation["operationId"], status)


def test_every_reply_promises_its_request_id(document):
    for operation in operations(document):
        assert all("X-Request-Id" in response["headers"] for response in operation["responses"].values())


def test_every_error_stands_under_the_status_of_the_table(document):
    for operation in operations(document):
        for status, response in operation["responses"].items():
            for code in response.get("content", {}).get("application/json", {}).get("examples", {}):
                leaf = errors.by_code(code, int(status))
                assert leaf is not None
                assert problems.STATUS[leaf] == int(status)


def test_who_may_call_is_said_of_every_call(document):
    by_id = {operation["operationId"]: operation for operation in operations(document)}
    for route in table.api():
        security = by_id[openapi._operation_id(route)]["security"]
        assert bool(security) is (route.credential is not Credential.NONE)


def test_every_parameter_of_a_path_is_declared(document):
    for path, calls in document["paths"].items():
        for operation in calls.values():
            declared = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


def test_lab_time_is_a_parameter_in_a_lab_only():
    def calls_that_take_it(*, lab):
        described = openapi.document(table.api(), lab=lab)
        return [
            operation["operationId"]
            for operation in operations(described)
            if any((each["in"], each["name"]) == ("header", "Lab-Time") for each in operation["parameters"])
        ]

    assert calls_that_take_it(lab=False) == []
    assert len(calls_that_take_it(lab=True)) == len(table.api())


def test_the_page_needs_no_network(tmp_path):
    page = next(route for route in schema_pages.routes(table.api(), lab=False) if route.path == "/schema")
    import asyncio

    html = asyncio.run(page.handler(None, None)).value.decode()
    assert not re.search(r"https?://", html)
    assert "openapi.json" in html
