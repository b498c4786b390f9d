"""The audit log as a whole: whether it is as it was written, where it ends, and what stands in it.

Its hashes notice any entry that is changed, missing in the middle or out of place, by whoever does not have the
platform's keys. That the end is missing, only somebody can notice who knows that there was more: so where the log ends
is published, signed as receipts are (`flow/receipts.py`), and held against the log later.
"""

from __future__ import annotations

import hmac
import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, NotFound
from unbroken.flow import receipts
from unbroken.store import audit
from unbroken.store.audit import EMPTY, Entry, Head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from unbroken.flow.context import Context
    from unbroken.flow.pace import Pace

_AT_ONCE: Final = 1_000
_OF: Final = "unbroken audit log"


class Published(msgspec.Struct, frozen=True):
    """Where the log ended at an instant, signed over all other members.

    Args:
        of: what it is the head of, so that no receipt can be taken for one.
        entries: how many there were.
        hash: of the last one, in hex.
    """

    of: str
    entries: int
    hash: str
    published_at: str
    key_id: str = ""
    signature: str = ""


@dataclass(frozen=True, slots=True)
class Bad:
    """The first entry that is not as it was written, and how that shows."""

    position: int
    why: str


@dataclass(slots=True)
class Verified:
    """What looking at the whole log came to.

    Args:
        entries: how many are sound, from the first one on.
        heads: how many published heads were held against it.
    """

    entries: int = 0
    heads: int = 0
    bad: Bad | None = None


# Is it whole?


async def verify(context: Context, published: Sequence[Published] = (), *, pace: Pace | None = None) -> Verified:
    """Look at every entry in order, up to the first that is bad; with rests where a pace is given."""
    walk = _Walk(context, published)
    while walk.told.bad is None:
        page = await context.store.read_long(lambda tx: audit.entries_after(tx, walk.head.position, _AT_ONCE))
        for entry in page:
            if not walk.goes_on_with(entry):
                break
        if len(page) < _AT_ONCE:
            break
        if pace is not None:
            await pace.rest()
    return walk.end()


@dataclass(slots=True)
class _Walk:
    """Where a verification has come to."""

    context: Context
    published: Sequence[Published]
    head: Head = EMPTY
    told: Verified = field(default_factory=Verified)
    _by_entries: defaultdict[int, list[Published]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for one in self.published:
            self._by_entries[one.entries].append(one)

    def goes_on_with(self, entry: Entry) -> bool:
        """Whether this entry is the one that follows."""
        place = self.head.position + 1
        if entry.position != place:
            self.told.bad = Bad(place, f"It is missing: the next one is {entry.position}.")
            return False
        expected = self.context.vault.seal_entry(place, self.head.hash, entry.content)
        if not hmac.compare_digest(expected, entry.hash):
            self.told.bad = Bad(place, "It was changed, or is not the one that was written behind the entry before it.")
            return False
        if any(one.hash != entry.hash.hex() for one in self._by_entries[place]):
            self.told.bad = Bad(place, "A published head says otherwise: the log was written anew from here or before.")
            return False
        self.head = Head(entry.position, entry.hash)
        return True

    def end(self) -> Verified:
        """What came out; heads that lie behind the end show that it was cut."""
        self.told.entries, self.told.heads = self.head.position, len(self.published)
        most = max((one.entries for one in self.published), default=0)
        if self.told.bad is None and most > self.head.position:
            self.told.bad = Bad(self.head.position + 1, f"It is missing: there were {most} entries once.")
        return self.told


# Its head


async def head(context: Context) -> Published:
    """Where the log ends now, signed."""
    found = await context.store.read(audit.head)
    blank = Published(_OF, found.position, found.hash.hex(), wire.iso(context.wall.now_ms()))
    return wire.convert(receipts.sign(context.vault, wire.plain(blank)), Published)


async def still_holds(context: Context, published: Published) -> bool:
    """Whether the log still has the entry that was its last one then."""
    if published.entries == 0:
        return True
    found = await context.store.read(lambda tx: audit.entries_after(tx, published.entries - 1, 1))
    return bool(found) and (found[0].position, found[0].hash.hex()) == (published.entries, published.hash)


def read_heads(context: Context, text: bytes) -> list[Published]:
    """The heads in a file: one, or one a line.

    Raises:
        InvalidRequest: it holds something else, or a head that this platform did not sign.
    """
    public = receipts.public_key(context.vault)
    heads = []
    for members in _documents(text):
        try:
            receipts.check(members, public)
            heads.append(wire.convert(members, Published))
        except (receipts.NotGenuine, msgspec.ValidationError) as error:
            raise InvalidRequest(f"The file holds something that is no head of this audit log. {error}") from None
        if heads[-1].of != _OF:
            raise InvalidRequest("The file holds something else that this platform signed.")
    return heads


def _documents(text: bytes) -> Iterable[dict[str, Any]]:
    """One JSON object, over however many lines, or one a line."""
    try:
        return [receipts.members_of(text)]
    except receipts.NotGenuine:
        pass
    documents = []
    for line in filter(bytes.strip, text.splitlines(keepends=True)):
        try:
            documents.append(receipts.members_of(line))
        except receipts.NotGenuine:
            if not documents or line.endswith(b"\n"):  # else half a line, behind whole ones
                raise InvalidRequest("The file holds something that is no JSON.") from None
    return documents


# Reading it


async def newest(context: Context, wanted: Callable[[Mapping[str, Any]], bool], limit: int) -> list[dict[str, Any]]:
    """The newest entries that are wanted, as the members of their JSON with `position` and `hash`."""
    found: list[dict[str, Any]] = []
    before = 1 << 62
    while len(found) < limit:
        page = await context.store.read_long(lambda tx: audit.entries_before(tx, before, _AT_ONCE))  # noqa: B023
        found += [one for one in map(view_of, page) if wanted(one)]
        if len(page) < _AT_ONCE:
            break
        before = page[-1].position
    return found[:limit]


async def entry(context: Context, position: int) -> dict[str, Any]:
    """One entry.

    Raises:
        NotFound.
    """
    found = await context.store.read(lambda tx: audit.entries_after(tx, position - 1, 1))
    if not found or found[0].position != position:
        raise NotFound(f"There is no entry {position} in the audit log.")
    return view_of(found[0])


def view_of(entry: Entry) -> dict[str, Any]:
    """An entry as people and programs read it; one whose content is damaged says no more than its place."""
    try:
        members = json.loads(entry.content)
        at = {"at": wire.iso(members["at"])}
    except (ValueError, KeyError, TypeError):
        members, at = {"what": "(not readable)"}, {}
    return {"position": entry.position, **members, **at, "hash": entry.hash.hex()}
