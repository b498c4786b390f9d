"""What a customer's server reads of users, installs and the ledger."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from unbroken.wire.device import Device


class Profile(Struct, frozen=True, tag="User", tag_field="type"):
    """GET /v2/users/{user_id}."""

    id: str
    created_at: str
    application_id: str
    install_id: str | None
    external_id: str | None
    metadata: dict[str, str]


class ActivationView(Struct, frozen=True, rename={"from_": "from"}):
    """An interval in which an install was the active one; `to` is null while it goes on."""

    activation_id: str
    from_: str
    to: str | None


class InstallView(Struct, frozen=True):
    """One install of a user, as an operator sees it; `attestation` is the level that its link came with, if any."""

    install_id: str
    form: str
    device: Device
    registered_at: str
    state: str
    state_reason: str | None
    linked: bool
    link_id: str | None
    activations: list[ActivationView]
    attestation: str | None = None


class InstallList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/installs."""

    installs: list[InstallView]
    next_cursor: str | None = None


class FactView(Struct, frozen=True):
    """One fact of the ledger."""

    fact_id: str
    position: int
    at: str
    kind: str
    fields: dict[str, Any]
    actor: str
    reason: str | None


class FactList(Struct, frozen=True, omit_defaults=True):
    """GET /v3/users/{user_id}/ledger."""

    facts: list[FactView]
    next_cursor: str | None = None
