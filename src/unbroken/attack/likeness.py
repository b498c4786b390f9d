"""Whether two replies are the same to whoever gets them, and whether one names what is another's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from unbroken.attack.attack import Seen, judged

if TYPE_CHECKING:
    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import Person

_CREDENTIAL: Final = re.compile(rb"unb_[a-z]+_[A-Za-z0-9_\-]+")
_INSTANT: Final = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+(?:[+-]\d\d:\d\d|Z)")
_REF: Final = re.compile(rb'"ref":"[0-9a-f-]{36}"')
_OF_EACH_REPLY: Final = frozenset({"x-request-id", "date"})


def mirrored(theirs: Reply, nobody: Reply, person: Person) -> Seen:
    """Whether two replies are the same to whoever gets them."""
    if theirs.status < 300:
        return Seen(False, f"It answered {theirs}.")
    if holds_any(theirs, person):
        return Seen(False, f"{theirs} names what is another's.")
    same = bare(theirs) == bare(nobody)
    return judged(theirs, lambda _: same) if same else Seen(False, f"{theirs} differs from {nobody} of an unknown id.")


def holds_any(reply: Reply, person: Person) -> bool:
    """Whether a reply holds anything that only that person has."""
    return any(secret in reply.body for secret in person.secrets)


def bare(reply: Reply) -> tuple[int, tuple[tuple[str, str], ...], bytes]:
    """A reply without what differs between any two."""
    headers = tuple(pair for pair in reply.headers if pair[0] not in _OF_EACH_REPLY)
    body = _INSTANT.sub(b"T", _CREDENTIAL.sub(b"C", _REF.sub(b'"ref":""', reply.body)))
    return reply.status, headers, body
