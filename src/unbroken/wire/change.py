"""What a customer's server changes, and what it is answered: links, undo, names, states."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

Reason = Annotated[str, Meta(max_length=500, pattern="^[^\\x00]*$")]
"""In the operator's words; no database keeps U+0000 in a text."""


Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
"""A SHA-256 in hex."""

Word = Annotated[str, Meta(pattern=r"\A[a-z0-9_]{1,40}\Z")]
"""One of a list that may be longer in a newer backend kit."""


class Attested(Struct, frozen=True, omit_defaults=True):
    """What the customer's server found of the device (docs/how-to/link-from-your-backend.md).

    Args:
        level: how much the device proved; `none` where it proved nothing.
        kind: the kind of evidence, if there was any.
        reason: why the evidence was not taken, where it was not.
        challenge_digest: SHA-256 of the challenge that was answered; taken once in an app. Only with `proof_digest`.
        proof_digest: SHA-256 of the proof, likewise.
    """

    level: Word
    kind: Word | None = None
    reason: Word | None = None
    challenge_digest: Digest | None = None
    proof_digest: Digest | None = None

    def __post_init__(self) -> None:
        if (self.challenge_digest is None) != (self.proof_digest is None):
            raise ValueError("challenge_digest and proof_digest come together")


class Link(Struct, frozen=True):
    """POST /v2/users/{install_id}/link. The external id is checked by row 1, not here.

    `repeat_only` asks whether the install is linked to that account already: nothing is linked, and no more looked at.
    """

    external_id: Any = None
    link_ticket: str | None = None
    attestation: Attested | None = None
    repeat_only: bool = False


class MintCode(Struct, frozen=True):
    """POST /users/auth-code."""

    external_id: Any = None


class Linked(Struct, frozen=True, omit_defaults=True):
    """The reply of a link; `person_id` is the same as `id`, for older clients.

    A dry run tells what would differ, or by `is_repeat` that the link is there already.
    """

    id: str
    person_id: str
    link_id: str
    state: str
    state_reason: str | None = field()
    dry_run: bool = False
    is_repeat: bool = False
    summary: Summary | None = None


class InstallChange(Struct, frozen=True):
    """How one install stands before and after a change."""

    install_id: str
    user_before: str
    user_after: str
    state_before: str
    state_after: str


class ActivationChange(Struct, frozen=True, rename={"from_": "from"}):
    """An activation that a change gives or takes."""

    change: Literal["gained", "lost"]
    install_id: str
    user_id: str
    from_: str
    to: str | None


class DayChange(Struct, frozen=True):
    """How many events a user's timeline gains and loses on one day, UTC; `moved` come from or go to another user."""

    user_id: str
    day: str
    gained: int
    lost: int
    moved: int


class Summary(Struct, frozen=True):
    """What would differ, or differs, by a change."""

    installs: list[InstallChange]
    activations: list[ActivationChange]
    days: list[DayChange]


class Undone(Struct, frozen=True, omit_defaults=True):
    """POST /v3/links/{link_id}/undo: the user of the link's account, and the install's own."""

    undo_id: str
    link_id: str
    user_id: str
    own_user_id: str
    summary: Summary
    dry_run: bool = False


class Rename(Struct, frozen=True):
    """PUT /v3/users/{user_id}/external_id. `release_old` frees the older ids for others."""

    external_id: Any = None
    release_old: bool = False
    reason: Reason | None = None


class SetState(Struct, frozen=True):
    """PUT /v3/users/{user_id}/state and /v3/installs/{install_id}/state."""

    state: Literal["enabled", "disabled"]
    reason: Reason | None = None


class Why(Struct, frozen=True):
    """A body that only says why."""

    reason: Reason | None = None


class Changed(Struct, frozen=True, omit_defaults=True):
    """The reply of a change that an operator or the customer's server makes on purpose."""

    user_id: str
    install_id: str | None = field()
    state: str
    state_reason: str | None
    summary: Summary
    dry_run: bool = False


class Renamed(Struct, frozen=True, omit_defaults=True):
    """The reply of a rename: every external id that links to the user now, the present one first."""

    id: str
    external_id: str
    external_ids: list[str]
    dry_run: bool = False


class AuthCode(Struct, frozen=True):
    """The reply of POST /users/auth-code."""

    authentication_code: str
    expires_at: str
