"""What the platform tells a customer's server: one frozen type per answer. Instants are epoch milliseconds, UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Link:
    """An install now belongs to this user (linking.md, linking).

    Args:
        user_id: keep it beside the account if timelines are to be read; the same for every install of the account.
        link_id: names this link, for undoing it.
        state: of the install after the call: active, standby or superseded.
        state_reason: why it is not active, else None.
        dry_run: true if nothing was written.
        is_repeat: in a dry run, and of `find_link`: the install is linked to this account already, so that linking it
            would add nothing.
    """

    user_id: str
    link_id: str
    state: str
    state_reason: str | None
    dry_run: bool = False
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class AuthCode:
    """A code that an app may use once, within minutes, to register or link under one external id. Not shown."""

    code: str = field(repr=False)
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class User:
    """A person on the platform; `install_id` is the active install, if one is."""

    user_id: str
    app_id: str
    created_at_ms: int
    install_id: str | None
    external_id: str | None
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Activation:
    """An interval `[from_ms, to_ms)` in which an install was the active one; `to_ms` is None while it goes on."""

    activation_id: str
    from_ms: int
    to_ms: int | None


@dataclass(frozen=True, slots=True)
class Install:
    """One install of a user. `form` is phone or tablet, `device` the facts that its SDK reported.

    `attestation` is how much its device proved when it was linked, or None where the link call said nothing of it.
    """

    install_id: str
    form: str
    device: Mapping[str, Any]
    registered_at_ms: int
    state: str
    state_reason: str | None
    linked: bool
    link_id: str | None
    activations: Sequence[Activation]
    attestation: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    """One entry of the ledger, with who caused it and why."""

    fact_id: str
    position: int
    at_ms: int
    kind: str
    fields: Mapping[str, Any]
    actor: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one captured item: `outcome` is accepted, or why it is not on a timeline (linking.md)."""

    install_id: str
    payload_id: str
    captured_at_ms: int
    received_at_ms: int
    outcome: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RefusedLink:
    """A link call that was refused: by which row of the decision table, why, and what would have had to differ."""

    at_ms: int
    error_code: str
    row: str
    sentence: str
    otherwise: Sequence[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an install is, or was at `at_ms`, in its state: the rule that decided, on what, and in words.

    Args:
        refused_links: the last link calls for it that were refused, newest first.
    """

    install_id: str
    at_ms: int
    state: str
    linked: bool
    rule: str
    inputs: Mapping[str, Any]
    sentence: str
    refused_links: Sequence[RefusedLink] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof of an erasure: how much of what was deleted, and when. The same for every repeat.

    Args:
        signed: the receipt as the platform signed it; keep it in a file, `unbroken receipt verify` reads that.
    """

    receipt_id: str
    erased_at_ms: int
    deleted: Mapping[str, int]
    signed: str
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """A piece of a timeline.

    Args:
        type: Stationary or Transport; with `all_types` also OffTheGrid and Unknown.
        end_ms: None while it goes on.
        utc_offset_minutes: of the place's time zone at the start, to show local times.
        analysis_type: preliminary, or indepth once it is settled.
        install_id: of its first item, as `activation_id`.
        latitude: and the rest down to `significance`, only of a Stationary. Degrees WGS84, milliseconds.
        mode: and `distance_m`, only of a Transport.
    """

    event_id: str
    type: str
    start_ms: int
    end_ms: int | None
    utc_offset_minutes: int
    analysis_type: str
    install_id: str | None = None
    activation_id: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    duration_ms: int | None = None
    significance: str | None = None
    mode: str | None = None
    distance_m: float | None = None


@dataclass(frozen=True, slots=True)
class Waypoint:
    """Where a person was at `at_ms`; degrees WGS84, metres, metres per second."""

    at_ms: int
    latitude: float
    longitude: float
    accuracy_m: float | None = None
    altitude_m: float | None = None
    speed_m_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The way of one Transport: its waypoints, and the same as an encoded polyline."""

    waypoints: Sequence[Waypoint]
    encoded: str
