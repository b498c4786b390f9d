"""An archive: everything held on one person, as JSON Lines (docs/reference/export.md), one type a kind of line.

Lines come in the order of the kinds below, the last one seals the file: how many lines there are before it, and their
SHA-256. A file without its seal is not whole. Ids are 24 hex characters, instants epoch milliseconds.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from unbroken.wire import Instant

FORMAT: Final = 1
"""The version of all this; a reader refuses one that it does not know."""


class Line(Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    """What all kinds of line have: `kind`, their first member."""


class Header(Line, frozen=True, tag="header"):
    """Whose archive this is, and where it was cut: see `flow.export`.

    Args:
        timeline_is_complete: every fact and payload of the archive is in its events.
        payloads: how many lines of that kind there are.
    """

    format: int
    app_id: str
    user_id: str
    timeline_is_complete: bool
    payloads: int


class User(Line, frozen=True, tag="user"):
    """An id of the person: the current one has no `redirect`, the retired ones and aliases redirect to it.

    Derived, but for `created_at`: when the id was given out; and for a redirect whose facts an erasure took away.
    """

    user_id: str
    created_at: Instant
    external_id: str | None
    is_disabled: bool
    holder: str | None
    redirect: str | None


class ExternalId(Line, frozen=True, tag="external_id"):
    """An external id that links to the person: the present one, or an alias. Derived."""

    external_id: str
    user_id: str


class Install(Line, frozen=True, tag="install"):
    """An install of the person. Derived, but for the last three.

    Args:
        used: it has uploaded.
        kept_from: payloads received before this instant are no longer kept; 0 where all are.
        device: what the SDK reported.
    """

    install_id: str
    own_user: str
    user_id: str
    form: str
    registered_at: Instant
    link_id: str | None
    external_id: str | None
    linked_at: Instant | None
    standing: str
    is_disabled: bool
    used: bool
    kept_from: Instant
    device: Raw


class Span(Line, frozen=True, tag="span", rename={"from_": "from"}):
    """A stretch in which an install stood one way; with an `activation_id` it is an activation. Derived."""

    install_id: str
    user_id: str
    state: str
    outcome: str
    from_: Instant
    to: Instant | None
    activation_id: str | None
    cause: str
    rival: str | None


class Policy(Line, frozen=True, tag="policy"):
    """A change of the app's policy: what the person's facts were decided under."""

    fact_id: str
    at: Instant
    fields: dict[str, Any]
    actor: str
    reason: str | None


class Fact(Line, frozen=True, tag="fact"):
    """A fact of the ledger about the person's installs and ids; it stands with `policy` lines in the ledger's order.

    Args:
        fact: its kind, as the ledger calls it.
        trace: what a link was decided on, where that was kept.
        undo_answer: the first answer to the undo of this fact, where it was undone; else null.
    """

    fact_id: str
    at: Instant
    fact: str
    install_id: str | None
    user_id: str | None
    external_id: str | None
    fields: dict[str, Any]
    actor: str
    reason: str | None
    trace: dict[str, Any] | None
    undo_answer: Raw


class Undone(Line, frozen=True, tag="undone"):
    """A link of an install that is somebody else's now to an external id of the person, or its undo. Not imported."""

    fact_id: str
    at: Instant
    fact: str
    external_id: str | None
    actor: str
    reason: str | None


class Tied(Line, frozen=True, tag="tied"):
    """Facts of other persons whose histories are tied to this one's; they come in one command. Not imported itself.

    Args:
        facts: their ids, in the ledger's order.
        before: the person's fact (or the policy) that comes next after them in the ledger; null after the last.
    """

    facts: list[str]
    before: str | None


class Metadata(Line, frozen=True, tag="metadata"):
    """The key-value pairs of one of the person's ids."""

    user_id: str
    pairs: dict[str, str]


class RefusedLink(Line, frozen=True, tag="refused_link"):
    """A link call for an install of the person that was refused; the last 20 of each are kept.

    Args:
        trace: what `GET /v3/installs/{install_id}/explain` tells of it.
    """

    install_id: str
    at: Instant
    trace: Raw


class Code(Line, frozen=True, tag="code"):
    """An authentication code that was minted for the person; never the code, nor its digest. Not imported."""

    external_id: str
    expires_at: Instant
    redeemed_by: str | None
    actor: str


class Answer(Line, frozen=True, tag="answer"):
    """An answer about the person that is kept for a day, should the call be repeated. Not imported.

    Args:
        caller: who got it: the id of the API key.
    """

    caller: str
    at: Instant
    reply: str


class Floor(Line, frozen=True, tag="floor"):
    """Payloads before `at` are no longer kept: the events before it stand as they are, the fold goes on from here.

    Args:
        state: the state of the fold at that instant, base64.
    """

    at: Instant
    state: str
    last_fix: str | None


class Event(Line, frozen=True, tag="event"):
    """An event of the timeline as it is served, or what is known of one that later data took the place of. Derived.

    Args:
        revision: how often it was told anew; that is history, and imported.
        event: null for an event that is gone.
        successor: the event that stands where this one stood.
    """

    event_id: str
    start: Instant
    end: Instant | None
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    successor: str | None
    event: Raw


class DeadLetter(Line, frozen=True, tag="dead_letter"):
    """An upload that could not be processed, as it came: damaged, or of a kind that is not known yet. Not imported.

    Args:
        trouble: the kind of the error.
        body_base64: zstd-compressed, where it is whole.
    """

    install_id: str
    received_at: Instant
    failed_at: Instant
    trouble: str
    body_base64: str


class Payload(Line, frozen=True, tag="payload", omit_defaults=True):
    """One upload, as it came, decompressed.

    Args:
        offset_ms: the device's clock was behind by this; derived.
        body: the JSON itself, or null.
        body_base64: base64 of it instead, where it cannot stand in a line (it holds a line break, or is not UTF-8).
    """

    install_id: str
    received_at: Instant
    offset_ms: int
    body: Raw
    body_base64: str | None = None


class End(Line, frozen=True, tag="end"):
    """The seal: how many lines come before this one, and the SHA-256 of their bytes, line ends included."""

    lines: int
    sha256: str


AnyLine = (
    Header
    | User
    | ExternalId
    | Install
    | Span
    | Policy
    | Fact
    | Undone
    | Tied
    | Metadata
    | RefusedLink
    | Code
    | Answer
    | Floor
    | Event
    | DeadLetter
    | Payload
    | End
)
ORDER: Final[tuple[tuple[type[Line], ...], ...]] = (
    (Header,), (User,), (ExternalId,), (Install,), (Span,), (Policy, Fact), (Undone,), (Tied,),
    (Metadata,), (RefusedLink,), (Code,), (Answer,), (Floor,), (Event,), (DeadLetter,), (Payload,), (End,),
)  # fmt: skip
"""The kinds as they follow each other."""

NULL: Final = Raw(b"null")

_ENCODER: Final = msgspec.json.Encoder()


def write(line: Line) -> bytes:
    """A line as it stands in the file."""
    return _ENCODER.encode(line) + b"\n"


def kind_of(text: bytes) -> str:
    """The kind that a line claims to be."""
    return text[9 : text.find(b'"', 9)].decode("utf-8", "replace")


class Seal:
    """Counts and hashes the lines of one archive."""

    def __init__(self) -> None:
        self._lines = 0
        self._hash = hashlib.sha256()

    def add(self, line: bytes) -> None:
        """One more line, its end included."""
        self._lines += 1
        self._hash.update(line)

    def end(self) -> End:
        """The last line."""
        return End(self._lines, self._hash.hexdigest())
