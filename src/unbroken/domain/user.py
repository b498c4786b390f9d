"""A user: a person on the platform, who owns one timeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from unbroken.domain.ids import ExternalId, InstallId, UserId


class User(NamedTuple):
    """What the ledger says of one user.

    Args:
        external_id: the customer's identifier it carries, None while nobody named it.
        holder: the install that is meant to be the active one, None where there is none.
        redirect: the user that its id stands for since its own install joined that one (linking.md, retired).
        named_at: the time of the last fact that names it or its external id.
        touched_at: the time of the last fact that changed anything about it; no later fact may lie before it.
    """

    user_id: UserId
    created_at: int
    named_at: int
    touched_at: int
    external_id: ExternalId | None = None
    holder: InstallId | None = None
    is_disabled: bool = False
    redirect: UserId | None = None
