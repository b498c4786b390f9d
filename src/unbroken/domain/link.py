"""May this install be linked to this external id? The decision table of linking.md, as data.

The first row that matches decides. A row is a condition in words, the same condition as code, and an answer: a refusal,
or an effect. The table in `docs/` is generated from here. What an effect does to the ledger is in `ledger/fold.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.domain import errors
from unbroken.domain.app import Linking, LinkTicket, UsedInstall
from unbroken.domain.install import State

if TYPE_CHECKING:
    from collections.abc import Callable


class Whose(Enum):
    """Which external id an install is linked to, seen from the one that is asked for."""

    NOBODY = "unlinked"
    SAME = "linked to E"
    OTHER = "linked to another external id"


class Ticket(Enum):
    """The install's own proof that it asks; a code, redeemed by the install itself, is such a proof."""

    ABSENT = "absent"
    VALID = "valid"
    INVALID = "invalid"


class Effect(StrEnum):
    """What a link call does where it is not refused."""

    NONE = "nothing: the call is a repeat"
    CARRY = "the install's user carries the external id"
    JOIN = "the install joins the user; its own user is retired"
    JOIN_AND_CLAIM = "as a join, and what was captured before moves along"
    JOIN_AND_DROP = "as a join, and what was captured before is kept aside"


class Situation(NamedTuple):
    """Everything a link call is decided on: install I, external id E, and the user U that carries E.

    Args:
        external_id_is_valid: E passed row 1.
        install_exists: in any app; where it does not, what is said of it is meaningless.
        same_app: I is of the key's app.
        state: of I; DISABLED too where the user it belongs to is disabled.
        whose: which external id I is linked to.
        person_exists: there is a U.
        person_is_disabled: U is disabled.
        is_pristine: no payload of I was ever acknowledged.
        is_replayed: the challenge, or the device's proof, that the call rests on was used before.
        links_within_a_day: installs linked to E in the last 24 hours.
    """

    external_id_is_valid: bool
    install_exists: bool
    same_app: bool
    linking: Linking
    state: State
    whose: Whose
    person_exists: bool
    person_is_disabled: bool
    is_pristine: bool
    used_install: UsedInstall
    ticket: Ticket = Ticket.VALID
    link_ticket: LinkTicket = LinkTicket.OPTIONAL
    is_replayed: bool = False
    links_within_a_day: int = 0
    link_burst: int = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in linking.md, the condition in words and as code, and the answer."""

    number: str
    condition: str
    holds: Callable[[Situation], bool]
    answer: Effect | type[errors.Refusal]


ROWS: Final = (
    Row("1", "E is not a valid external id, or is a placeholder",
        lambda s: not s.external_id_is_valid, errors.InvalidExternalId),
    Row("2", "no such install (a malformed id is one)",
        lambda s: not s.install_exists, errors.InstallNotFound),
    Row("3", "I is of another app than the key",
        lambda s: not s.same_app, errors.InstallDoesNotBelongToApp),
    Row("4", "user linking is off for the app",
        lambda s: s.linking is Linking.OFF, errors.UserlinkingNotConfigured),
    Row("5", "I is deleted (reset, erased)",
        lambda s: s.state is State.DELETED, errors.InstallDeleted),
    Row("6", "I, or the user it belongs to, is disabled",
        lambda s: s.state is State.DISABLED, errors.InstallDisabled),
    Row("7", "I is linked to another external id than E",
        lambda s: s.whose is Whose.OTHER, errors.InstallLinkedToOtherUser),
    Row("8", "I is linked to E and is superseded",
        lambda s: s.whose is Whose.SAME and s.state is State.SUPERSEDED, errors.InstallDeactivated),
    Row("9", "I is linked to E",
        lambda s: s.whose is Whose.SAME, Effect.NONE),
    Row("ticket", "the link ticket is not valid for I, or missing where the app requires one",
        lambda s: s.ticket is Ticket.INVALID or (s.ticket is Ticket.ABSENT and s.link_ticket is LinkTicket.REQUIRED),
        errors.InvalidLinkTicket),
    Row("attestation", "the challenge or the proof that the call rests on was used before",
        lambda s: s.is_replayed, errors.AttestationReplayed),
    Row("burst", "as many installs as the app allows were linked to E within 24 hours",
        lambda s: s.links_within_a_day >= s.link_burst, errors.LinkBurst),
    Row("10", "I unlinked, no U",
        lambda s: not s.person_exists, Effect.CARRY),
    Row("11", "I unlinked, U exists and is disabled",
        lambda s: s.person_is_disabled, errors.UserDisabled),
    Row("12", "I unlinked, U exists, O is pristine",
        lambda s: s.is_pristine and s.used_install is not UsedInstall.CLAIM, Effect.JOIN),
    Row("12 (claim)", "same, under the policy `used_install = claim`: what O captured may arrive later",
        lambda s: s.is_pristine, Effect.JOIN_AND_CLAIM),
    Row("13", "I unlinked, U exists, O is not pristine, `used_install = refuse`",
        lambda s: s.used_install is UsedInstall.REFUSE, errors.CannotLinkExistingPersonToOtherPerson),
    Row("14", "same, `used_install = claim`",
        lambda s: s.used_install is UsedInstall.CLAIM, Effect.JOIN_AND_CLAIM),
    Row("15", "same, `used_install = drop`",
        lambda s: s.used_install is UsedInstall.DROP, Effect.JOIN_AND_DROP),
)  # fmt: skip
"""linking.md, "Linking an install I to an external id E"; ticket and burst stand where it says: after row 9."""

_FROM: Final = {row.number: ROWS[place:] for place, row in enumerate(ROWS)}


def decide_link(situation: Situation, *, start: str = "1") -> Row:
    """The row that decides: its answer is a refusal or an effect.

    Args:
        situation: what is known.
        start: the first row to look at; the fold decides again "from row 5 on".
    """
    for row in _FROM[start]:
        if row.holds(situation):
            return row
    raise AssertionError("the last rows cover what is left")
