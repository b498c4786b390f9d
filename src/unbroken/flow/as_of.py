"""As of: what was believed at an earlier instant, from the facts and payloads that had come by then.

Ledger and payload log only grow, and carry when each entry came; so the past is the same fold over less of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from unbroken.domain.errors import NotFound
from unbroken.domain.ids import UserId, parse_id
from unbroken.domain.ledger.undo import labelled, refold
from unbroken.domain.timeline.fold import start
from unbroken.flow.person_facts import facts_of_user
from unbroken.flow.timeline import NOTHING_YET, Loaded, tell
from unbroken.flow.whose import person
from unbroken.flow.zones import zone_of
from unbroken.store import identity, payloads

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId, InstallId
    from unbroken.domain.ledger.people import People
    from unbroken.domain.user import User
    from unbroken.flow.encoding import Encoded
    from unbroken.flow.whose import Reader
    from unbroken.store.contract import Transaction


@dataclass(frozen=True, slots=True)
class Believed:
    """Who a user id stood for at an instant, among everybody it had to do with."""

    app_id: AppId
    people: People
    user: User
    devices: dict[InstallId, str]


async def believed(tx: Transaction, caller: Reader, user_id: str, as_of: int) -> Believed:
    """The people as they were believed to be at an instant.

    Raises:
        NotFound: the caller may not know the user now, or it was not there then.
    """
    of = await person(tx, caller, user_id)
    known = UserId(parse_id(user_id) or b"")
    facts = [fact for fact in await facts_of_user(tx, of.app_id, known) if fact.at <= as_of]
    people = labelled(refold(facts).people, facts)
    if known not in people.users:
        raise NotFound("This user was not there at that instant.")
    devices = {one: device for one in people.installs if (device := await identity.device_of(tx, one)) is not None}
    return Believed(of.app_id, people, people.resolve(known), devices)


async def timeline_as_of(
    tx: Transaction, caller: Reader, user_id: str, as_of: int
) -> tuple[list[Encoded], dict[str, str]]:
    """The events that were told at an instant, newest first, and the significance of their places.

    Raises:
        NotFound.
    """
    seen = await believed(tx, caller, user_id, as_of)
    mine = [install.install_id for install in seen.people.installs_of(seen.user.user_id)]
    uploads = [one for install_id in mine for one in await payloads.of_install(tx, install_id, received_by=as_of)]
    loaded = Loaded(
        cursor_ms=NOTHING_YET,
        state=start(seen.user.user_id),
        head=None,
        uploads=uploads,
        spans={install_id: seen.people.spans[install_id] for install_id in mine},
        zones={install_id: zone_of(device) for install_id, device in seen.devices.items()},
        late_window_days=seen.people.policy.late_window_days,
    )
    events, labels = tell(loaded)
    return events[::-1], labels
