"""What scenarios say about a lab, each claim with a message that tells what was found instead."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from unbroken.sdk import InitError, InitIssue
from unbroken.testing.platform import CallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.testing.lab import Lab
    from unbroken.testing.person import Person
    from unbroken.testing.phone import VirtualPhone


def states(lab: Lab, person: Person) -> Counter[str]:
    """How many installs of a person are in each state."""
    return Counter(install["state"] for install in lab.installs(person))


def one_active(lab: Lab, person: Person, device: VirtualPhone) -> None:
    """The install on `device` is the only active one of `person` (law 2)."""
    active = [install["install_id"] for install in lab.installs(person) if install["state"] == "active"]
    assert active == [device.install_id], f"active installs of {person.name}: {active}, not {device.install_id}"
    never_two_at_once(lab, person)


def never_two_at_once(lab: Lab, person: Person) -> None:
    """No two activations of a person overlap, whatever their installs (law 2)."""
    activations = [activation for install in lab.installs(person) for activation in install["activations"]]
    spans = [(activation["from"], activation["to"]) for activation in sorted(activations, key=lambda a: a["from"])]
    for (_, ends), (begins, _) in pairwise(spans):
        assert ends is not None, f"an activation of {person.name} is open while another begins at {begins}"
        assert ends <= begins, f"two activations of {person.name} overlap: until {ends} and from {begins}"


def outcomes(lab: Lab, person: Person) -> Counter[str]:
    """How many items of a person had which outcome."""
    return Counter(item["outcome"] for item in lab.items(person))


def tiled(timeline: list[dict[str, Any]]) -> None:
    """The events follow each other without hole or overlap."""
    assert timeline, "the timeline is empty"
    for event, following in pairwise(timeline):
        assert event["end"] == following["start"], f"a break between {event} and {following}"


def kinds(timeline: list[dict[str, Any]]) -> list[str]:
    """The types of the events, in order of time."""
    return [event["type"] for event in timeline]


@contextmanager
def login_fails(issue: InitIssue) -> Iterator[None]:
    """The body is a login that fails with this issue."""
    try:
        yield
    except InitError as error:
        assert error.issue is issue, f"the login failed with {error.issue}, not {issue}: {error}"  # noqa: PT017 - shipped
    else:
        raise AssertionError(f"the login succeeded; it should have failed with {issue}")


@contextmanager
def refused(status: int, code: str) -> Iterator[None]:
    """The body is a call of the customer's server that is refused so."""
    try:
        yield
    except CallFailed as error:
        assert (error.status, error.code) == (status, code), f"refused otherwise: {error}"  # noqa: PT017 - shipped
    else:
        raise AssertionError(f"the call succeeded; it should have been refused with {status} {code}")
