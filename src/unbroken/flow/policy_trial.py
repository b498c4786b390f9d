"""Policy trial: what would differ if policies of an app were changed; nothing is written.

Most policies act on what is called or received from now on alone. `retention_days` and `late_window_days` also say
which payloads are let go of; and the past can be judged anew under another late window, by a replay that is switched
to.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from unbroken.flow.administer import app_by_id
from unbroken.flow.difference import difference_of
from unbroken.flow.pace import Pace
from unbroken.flow.policies import policy_with
from unbroken.flow.reckoning import reckon
from unbroken.flow.replay import SHARE, Report, users_of_app
from unbroken.flow.replay_user import look
from unbroken.flow.retention import refuse_policy, would_delete
from unbroken.store.contract import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.domain.app import App, Policy
    from unbroken.domain.ids import AppId, UserId
    from unbroken.flow.context import Context
    from unbroken.flow.difference import Difference
    from unbroken.flow.retention import Retained

ACTS: Final = {
    "linking": "Acts on link calls and authentication codes from now on; what is linked stays linked.",
    "used_install": "Acts on links from now on; each link stands as it was decided.",
    "precedence": "Acts when the next install joins a person; who is active now stays so.",
    "takeover": "Acts when the next active install goes away; who is active now stays so.",
    "link_ticket": "Acts on link calls from now on; what is linked stays linked.",
    "late_window_days": "Acts on what is received from now on; what was told stays, unless a replay is switched to.",
    "retention_days": "Acts on kept payloads within the hour; timelines stay as they are.",
    "link_burst": "Acts on link calls from now on; what is linked stays linked.",
    "placeholders": "Acts on external ids said from now on; who carries one of them keeps it.",
    "late_after_handover_hours": "Acts on what is received from now on; what was told stays, also after a replay.",
}
"""When a change of each policy takes effect, and on what."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What would differ.

    Args:
        retained: what retention would delete now, and what under the other policy; None where that is the same policy.
        replayed: how timelines would differ after a replay under the other policy; None where it could change none.
    """

    before: Policy
    after: Policy
    retained: tuple[Retained, Retained] | None
    replayed: Report | None

    @property
    def changed(self) -> list[str]:
        """The policies that would be others."""
        return [name for name in ACTS if getattr(self.before, name) != getattr(self.after, name)]


async def try_policy(context: Context, app_id: AppId, changes: Mapping[str, str], share: float = SHARE) -> Trial:
    """What a change of policies would do.

    Args:
        share: of the time that this may take (`Pace`).

    Raises:
        InvalidRequest: the change itself would be refused.
        NotFound.
    """
    app = await app_by_id(context, app_id)
    after = policy_with(app.policy, changes)
    time = await reckon(context, dry_run=True)
    await context.store.read(lambda tx: refuse_policy(tx, app_id, app.policy, after, time.deletes_by_ms))
    is_wider = after.late_window_days != app.policy.late_window_days
    retained = None
    if is_wider or after.retention_days != app.policy.retention_days:
        retained = (
            await would_delete(context, app, app.policy, share),
            await would_delete(context, app, after, share),
        )
    return Trial(app.policy, after, retained, await _replayed(context, app, after, share) if is_wider else None)


async def _replayed(context: Context, app: App, policy: Policy, share: float) -> Report:
    report = Report(app.app_id, policy, is_tried=True)
    pace = Pace(share)
    pace.begin()
    async for user_id in users_of_app(context, app.app_id):
        try:
            difference = await _difference(context, user_id, policy)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - damaged data fails in any way, and concerns one person
            report.failed.append(user_id)
        else:
            _note(report, user_id, difference)
        await pace.rest()
    return report


async def _difference(context: Context, user_id: UserId, policy: Policy) -> Difference | None:
    """None where the timeline is not up to date, so that nothing can be held against it."""
    seen = await context.store.read_long(lambda tx: look(tx, user_id, policy.late_window_days))
    return None if seen is None else await asyncio.to_thread(difference_of, seen[1])


def _note(report: Report, user_id: UserId, difference: Difference | None) -> None:
    if difference is None:
        report.moving += 1
    elif difference.is_none:
        report.same += 1
    else:
        report.differ[user_id] = difference
