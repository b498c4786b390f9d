"""Why an install, an item or an event is as it is."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field


class Counterfactual(Struct, frozen=True, rename={"if_": "if", "then": "then"}):
    """What would have had to differ (`form`, `registered_at`, or a fact left out), and the state it would give."""

    if_: dict[str, Any]
    then: str
    sentence: str


class RefusedLink(Struct, frozen=True):
    """A link call that was refused: which row of the decision table, on what, and what alone would have had to differ.

    `row` is `code` where the authentication code was not taken; `actor` is who called.
    """

    at: str
    error_code: str
    row: str
    sentence: str
    inputs: dict[str, Any]
    policy_version: int
    actor: str
    counterfactuals: list[Counterfactual]


class Explanation(Struct, frozen=True):
    """GET /v3/installs/{install_id}/explain.

    `policy_version` is the position of the change of policy in force, 0 for the defaults; `link` what the install's
    link was decided on: the row of the decision table and what it looked at. `refused_links` are the last 20 link calls
    that were refused, newest first.
    """

    install_id: str
    at: str
    state: str
    linked: bool
    rule: str
    inputs: dict[str, Any]
    sentence: str
    policy_version: int = 0
    link: dict[str, Any] | None = None
    counterfactuals: list[Counterfactual] = field(default_factory=list)
    refused_links: list[RefusedLink] = field(default_factory=list)


class ItemCount(Struct, frozen=True):
    """How many items of an install had an outcome."""

    install_id: str
    outcome: str
    count: int


class EventExplanation(Struct, frozen=True):
    """GET /v3/users/{user_id}/events/{event_id}/explain; `successor` stands where a removed event stood."""

    event_id: str
    revision: int
    type: str | None
    sentence: str
    items: list[ItemCount]
    successor: str | None


class ItemView(Struct, frozen=True):
    """What became of one item."""

    install_id: str
    payload_id: str
    captured_at: str
    received_at: str
    outcome: str
    item: msgspec.Raw


class ItemList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/items."""

    items: list[ItemView]
    next_cursor: str | None = None
