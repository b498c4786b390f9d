"""Why a link call was refused, in plain words, and what alone would have had to differ by the decision table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import Linking, LinkTicket, UsedInstall
from unbroken.domain.install import State
from unbroken.domain.link import Effect, Row, Ticket, Whose, decide_link

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.domain.link import Situation

SENTENCES: Final = {
    "1": "The external id was not valid, or a placeholder.",
    "2": "There was no such install.",
    "3": "The install was of another app than the key.",
    "4": "User linking was off for the app.",
    "5": "The install was deleted: it had been reset or erased.",
    "6": "The install, or the user it belongs to, was disabled.",
    "7": "The install was linked to another external id already.",
    "8": "The install was linked to this external id already, and another install had become the active one.",
    "ticket": "The link ticket was not valid for this install, or there was none and the app requires one.",
    "attestation": "The challenge that the device was given, or the proof that it gave, had been used before.",
    "burst": "As many installs as the app allows had been linked to this external id within 24 hours.",
    "11": "The user of this external id was disabled.",
    "13": "The install had uploaded before it was linked, and this external id was somebody's already.",
}
"""By the number of the row that refused."""


@dataclass(frozen=True, slots=True)
class Otherwise:
    """One thing that would have had to differ for the call to be answered with success.

    Args:
        change: what differs, in the words of the decision table and of the policies.
        sentence: the same in plain words, with the row that would have decided.
    """

    change: dict[str, Any]
    sentence: str


def inputs_of(situation: Situation) -> dict[str, Any]:
    """What the decision looked at; it names nobody. Where the external id is not valid, it looked no further."""
    if not situation.external_id_is_valid:
        return {"external_id_is_valid": False}
    return {
        "state": situation.state.value,
        "whose": situation.whose.value,
        "person_exists": situation.person_exists,
        "person_is_disabled": situation.person_is_disabled,
        "is_pristine": situation.is_pristine,
        "linking": situation.linking.value,
        "used_install": situation.used_install.value,
        "ticket": situation.ticket.value,
        "link_ticket": situation.link_ticket.value,
        "is_replayed": situation.is_replayed,
        "links_within_a_day": situation.links_within_a_day,
        "link_burst": situation.link_burst,
    }


def otherwise(situation: Situation) -> list[Otherwise]:
    """What alone would have had to differ; nothing is told that the decision table does not say."""
    told: list[Otherwise] = []
    if not situation.external_id_is_valid:
        return told
    for change, words, changed in _candidates(situation):
        row = decide_link(changed)
        if isinstance(row.answer, Effect):
            told.append(Otherwise(change, f"{words}, {_outcome(row)}"))
    return told


def _outcome(row: Row) -> str:
    done = "the call would have repeated that link" if row.answer is Effect.NONE else "it would have been linked"
    return f"{done} (row {row.number})."


def _candidates(situation: Situation) -> Iterator[tuple[dict[str, Any], str, Situation]]:
    yield {"linking": "on"}, "Had user linking been on", situation._replace(linking=Linking.ON)
    yield from _of_install(situation)
    yield from _of_call(situation)
    enabled = situation._replace(person_is_disabled=False)
    yield {"person_is_disabled": False}, "Had the user of this external id not been disabled", enabled
    for policy in (UsedInstall.CLAIM, UsedInstall.DROP):
        words = f"Had the app's policy used_install been {policy.value}"
        yield {"used_install": policy.value}, words, situation._replace(used_install=policy)


def _of_install(situation: Situation) -> Iterator[tuple[dict[str, Any], str, Situation]]:
    if situation.state is State.DISABLED:
        yield {"state": "active"}, "Had it not been disabled", situation._replace(state=State.ACTIVE)
    if situation.state is State.SUPERSEDED:
        yield {"state": "active"}, "Had it been the active install", situation._replace(state=State.ACTIVE)
    if situation.whose is Whose.OTHER:
        same, unlinked = situation._replace(whose=Whose.SAME), situation._replace(whose=Whose.NOBODY)
        yield {"whose": Whose.SAME.value}, "Had the call named the external id that it is linked to", same
        yield {"whose": Whose.NOBODY.value}, "Had that link not been there, or been undone", unlinked
    yield {"is_pristine": True}, "Had it uploaded nothing before", situation._replace(is_pristine=True)
    new = situation._replace(state=State.ACTIVE, whose=Whose.NOBODY, is_pristine=True)
    yield {"install": "new"}, "Had it been a new install, as after a reset of the SDK", new


def _of_call(situation: Situation) -> Iterator[tuple[dict[str, Any], str, Situation]]:
    valid = situation._replace(ticket=Ticket.VALID)
    yield {"ticket": Ticket.VALID.value}, "Had the call carried a valid link ticket of this install", valid
    if situation.ticket is Ticket.ABSENT:
        optional = situation._replace(link_ticket=LinkTicket.OPTIONAL)
        yield {"link_ticket": "optional"}, "Had the app's policy link_ticket been optional", optional
    fresh = situation._replace(is_replayed=False)
    yield {"is_replayed": False}, "Had the device answered a fresh challenge with a fresh proof", fresh
    burst = situation.links_within_a_day + 1
    words = f"Had the app's policy link_burst been {burst} or more"
    yield {"link_burst": burst}, words, situation._replace(link_burst=max(burst, situation.link_burst))
