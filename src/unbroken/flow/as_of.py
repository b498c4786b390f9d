"""As of: what was believed at an earlier instant, from the facts and payloads that had come by then.

Ledger and payload log only grow, and carry when each entry came; so the past is the same fold over less of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.domain.errors import HistoryExpired, NotFound
from unbroken.domain.ids import InstallId, UserId, parse_id
from unbroken.domain.ledger.belief import counting, holds
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.domain.payload import DAY_MS
from unbroken.flow import encoding
from unbroken.flow.authenticate import InstallCaller
from unbroken.flow.fold_start import begin
from unbroken.flow.late_windows import windows_of
from unbroken.flow.person_facts import facts_of_user
from unbroken.flow.timeline import Loaded, told_anew
from unbroken.flow.whose import person
from unbroken.flow.zones import zone_of
from unbroken.store import identity, ledger, payloads, retention, timelines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import AppId
    from unbroken.domain.late_windows import LateWindows
    from unbroken.domain.ledger.people import People, Span
    from unbroken.domain.user import User
    from unbroken.flow.encoding import Encoded
    from unbroken.flow.whose import Reader
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry
    from unbroken.store.retention import Floor


_EXPIRED: Final = "Payloads that were there at that instant are no longer kept, so what was told then is not known."


@dataclass(frozen=True, slots=True)
class Believed:
    """Who a user id stood for at an instant, among everybody it had to do with.

    Args:
        now: whom it stands for today.
    """

    app_id: AppId
    now: User
    people: People
    user: User
    devices: dict[InstallId, str]

    @property
    def mine(self) -> list[InstallId]:
        """The installs that the user had then."""
        return [install.install_id for install in self.people.installs_of(self.user.user_id)]

    @property
    def spans(self) -> list[Span]:
        """How they stood."""
        return [span for install_id in self.mine for span in self.people.spans[install_id]]


async def believed(tx: Transaction, caller: Reader, user_id: str, as_of: int) -> Believed:
    """The people as they were believed to be at an instant.

    Raises:
        NotFound: the caller may not know the user now, or it was not there then.
    """
    of = await person(tx, caller, user_id)
    known = UserId(parse_id(user_id) or b"")
    facts = [fact for fact in await facts_of_user(tx, of.app_id, known) if fact.at <= as_of]
    people = labelled(refold(facts))
    if known not in people.users:
        raise NotFound("This user was not there at that instant.")
    devices = {one: device for one in people.installs if (device := await identity.device_of(tx, one)) is not None}
    return Believed(of.app_id, of.user, people, people.resolve(known), devices)


async def ledger_as_of(tx: Transaction, caller: Reader, user_id: str, as_of: int) -> list[Entry]:
    """The facts that had been said by an instant of the person that a user id was believed to be then, in order.

    As `ledger.facts_of_user` chooses them, by the installs that the person had then.

    Raises:
        NotFound: as `believed`.
    """
    seen = await believed(tx, caller, user_id, as_of)
    of_installs = [entry for one in seen.mine for entry in await ledger.naming_install(tx, seen.app_id, one)]
    cancelling = [entry for one in of_installs for entry in await ledger.cancelling(tx, seen.app_id, one.fact_id)]
    users = [one for one in seen.people.users if seen.people.resolve(one).user_id == seen.user.user_id]
    of_users = [entry for one in users for entry in await ledger.naming_user(tx, seen.app_id, one)]
    said = {entry.position: entry for entry in [*of_installs, *cancelling, *of_users] if entry.at <= as_of}
    return [said[position] for position in sorted(said)]


async def timeline_as_of(
    tx: Transaction, caller: Reader, user_id: str, as_of: int
) -> tuple[list[Encoded], dict[str, str]]:
    """The events that were told at an instant, newest first, and the significance of their places.

    Raises:
        NotFound: also to an install, where something counted then that is not its own person's now.
        HistoryExpired: payloads that were there then are gone, and nothing that is left tells the same.
    """
    seen = await believed(tx, caller, user_id, as_of)
    known = await _spans_known(tx, seen)
    if isinstance(caller, InstallCaller) and not _is_own(seen, known, as_of):
        raise NotFound
    loaded = await _load(tx, seen, known, as_of)
    told = await told_anew(tx, seen.user.user_id, loaded)
    kept = await timelines.events_between(tx, seen.user.user_id, 0, told.from_ms) if loaded.floor is not None else []
    return [*told.events[::-1], *(encoding.unpack(row.body) for row in kept)], encoding.unpack_labels(told.head.labels)


async def _spans_known(tx: Transaction, seen: Believed) -> list[Span]:
    """What is known today of the installs that the person has now."""
    spans = await identity.read_spans_of_user(tx, seen.now.user_id)
    return [span for all_of in spans.values() for span in all_of]


def _is_own(seen: Believed, known: Iterable[Span], as_of: int) -> bool:
    """Whether all that counted then counts today for the person who asks (http-api.md, conventions).

    A link that was wrong, and undone, gives nobody a right to what it once showed.
    """
    return holds(counting(known, seen.now.user_id, wire.LATEST_MS), counting(seen.spans, seen.user.user_id, as_of))


async def _load(tx: Transaction, seen: Believed, known: Iterable[Span], as_of: int) -> Loaded:
    windows = await windows_of(tx, seen.app_id, seen.people.installs, as_of)
    floor = await _floor(tx, seen, known, as_of, windows)
    cursor_ms, state = begin(seen.user.user_id, floor)
    uploads = [one for install_id in seen.mine for one in await payloads.of_install(tx, install_id, received_by=as_of)]
    return Loaded(
        cursor_ms=cursor_ms,
        state=state,
        head=None,
        uploads=uploads,
        spans={install_id: seen.people.spans[install_id] for install_id in seen.mine},
        zones={install_id: zone_of(device) for install_id, device in seen.devices.items()},
        late_windows=windows,
        floor=floor,
    )


async def _floor(
    tx: Transaction, seen: Believed, known: Iterable[Span], as_of: int, windows: LateWindows
) -> Floor | None:
    """Where to begin: with the first item, or where payloads are gone, with the floor, if it was the same then.

    It was, if all that could count before it had come by then, and the same was believed of whose it is.
    """
    if not any([await retention.kept_from(tx, install_id) for install_id in seen.mine]):
        return None
    floor = await retention.floor(tx, seen.user.user_id)
    if floor is None or as_of < floor.at_ms + windows.widest() * DAY_MS:
        raise HistoryExpired(_EXPIRED)
    then = counting(seen.spans, seen.user.user_id, floor.at_ms + 1)
    if then != counting(known, seen.user.user_id, floor.at_ms + 1):
        raise HistoryExpired(_EXPIRED)
    return floor
