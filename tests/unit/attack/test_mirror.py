"""The mirror looks at every call there is, and sees a difference where there is one."""

from __future__ import annotations

import pytest

from unbroken.attack.chapters.mirror import ROWS
from unbroken.attack.exchange import Reply
from unbroken.attack.likeness import bare, mirrored
from unbroken.attack.operations import read_operations
from unbroken.attack.world import Device, Person
from unbroken.server import health, openapi, table
from unbroken.server.metrics import Metrics
from unbroken.server.readiness import Readiness

VICTIM = Person(Device("a" * 24, "b" * 24, "unb_inst_x", "unb_user_x"), "victim-1", "c" * 24, "d" * 24, "canary-1")
KNOWN_PARAMETERS = {"user_id", "install_id", "link_id", "event_id"}


def operations():
    routes = [*table.api(), *health.routes(Readiness({}), Metrics())]
    return read_operations(openapi.document(routes, lab=False))


def test_every_call_of_the_platform_has_a_row_in_the_mirror():
    served = {operation.name for operation in operations()}
    assert served - ROWS.keys() == set(), "add a row to attack/chapters/mirror.py: what does another app see of it?"
    assert ROWS.keys() - served == set(), "these calls are no more"


def test_a_call_without_a_mirror_says_who_looks_at_it():
    for operation in operations():
        assert set(operation.parameters) <= KNOWN_PARAMETERS, "say in attack/world.py what stands for it"
        assert bool(ROWS[operation.name].told) is not bool(operation.parameters), operation.name


def test_the_document_says_what_the_table_says():
    rows = {route.name: route for route in table.api() if not route.hidden}
    found = {operation.name: operation for operation in operations()}
    for name, route in rows.items():
        assert found[name].scope == (route.scope or "")
        assert (found[name].body is None) is (route.request is None)


def refusal(status=404, code="NOT_FOUND", ref="0" * 8 + "-0000-4000-8000-" + "0" * 12, more="", headers=()):
    body = f'{{"message":"m","errorCode":"{code}","ref":"{ref}"{more}}}'.encode()
    return Reply(status, (("x-request-id", ref), ("content-type", "application/json"), *headers), body)


def test_two_refusals_that_differ_in_their_ref_only_are_one():
    other = refusal(ref="1" * 8 + "-1111-4111-8111-" + "1" * 12)
    assert mirrored(refusal(), other, VICTIM).held
    assert bare(refusal()) == bare(other)


@pytest.mark.parametrize(
    "theirs",
    [
        refusal(403, "FORBIDDEN_SCOPE"),
        refusal(code="GONE"),
        refusal(more=',"hint":"It is of another app."'),
        refusal(headers=(("x-more", "1"),)),
        refusal(more=f',"hint":"{VICTIM.device.user_id}"'),
        refusal(more=f',"hint":"{VICTIM.canary}"'),
        Reply(200, (), b"{}"),
        Reply(500, (), b"{}"),
    ],
)
def test_any_other_difference_is_seen(theirs):
    assert not mirrored(theirs, refusal(), VICTIM).held
