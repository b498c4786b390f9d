"""What the database says of itself, of the timelines and uploads in it, and of the apps and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken import wire
from unbroken.cli.doctor.tickets import links_without_ticket
from unbroken.cli.retention import TRUSTED, clock_sentence
from unbroken.domain.payload import DAY_MS
from unbroken.flow import administer, keys, policies
from unbroken.flow.reckoning import reckon
from unbroken.server.safety.finding import Finding, problem, warning, well
from unbroken.store import dead_letters, ledger, resealing, set_aside, tombstones

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken.domain.app import App
    from unbroken.flow.context import Context
    from unbroken.store.api_keys import Key

_EXPIRES_SOON_MS: Final = 14 * DAY_MS
_NAMED: Final = 5


async def ask_database(context: Context) -> list[Finding]:
    """Opening it has checked the schema already; a newer or damaged one is refused there."""
    return [
        well("database", "It opens, and its schema is the one this version works with."),
        *await _erasures(context),
        *await _timelines(context),
        *await _dead_letters(context),
        *await _apps(context),
        *await _clock(context),
        *await _deleting(context),
    ]


async def _erasures(context: Context) -> list[Finding]:
    advice = "Up to 256 MiB a server writes it anew within the hour; a larger one in a quiet hour: unbroken purge"
    waiting = await context.store.read(tombstones.unpurged)
    findings = []
    if waiting:
        sentence = f"The file may hold stale copies of the ids of {len(waiting)} erasures. {advice}"
        findings.append(warning("erasures", sentence))
    if not await context.store.read(resealing.is_purged):
        sentence = f"The file may hold external ids under the key from before, or in clear. {advice}"
        findings.append(warning("external ids", sentence))
    return findings


async def _timelines(context: Context) -> list[Finding]:
    """Those that could not be computed, each with its user."""
    failed = await context.store.read_long(set_aside.failed)
    if not failed:
        return [well("timelines", "Every timeline can be computed.")]
    named = ", ".join(f"{one.user_id.hex()} ({one.trouble})" for one in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    sentence = (
        f"{len(failed)} cannot be computed: {named}{more}. What was told before is served, and the others go on. The"
        " log says why under TIMELINE_FAILED; `unbroken verify` looks for damaged rows."
    )
    return [problem("timelines", sentence)]


async def _dead_letters(context: Context) -> list[Finding]:
    count = await context.store.read(dead_letters.count)
    if not count:
        return [well("uploads", "Every upload could be processed.")]
    return [problem("uploads", f"{count} could not be processed, and are set aside: unbroken dead-letter list")]


async def _apps(context: Context) -> list[Finding]:
    apps = await administer.list_apps(context)
    if not apps:
        return [warning("apps", "There is no app yet: unbroken app create NAME")]
    findings = [well("apps", f"There are {len(apps)}.")]
    now_ms = context.wall.now_ms()
    for app in apps:
        of_app = await keys.list_keys(context, app.app_id)
        findings += await links_without_ticket(context, app)
        findings += _of_app(app, [key for key in of_app if keys.is_in_force(key, now_ms)], now_ms)
    return findings


async def _clock(context: Context) -> list[Finding]:
    """A fact that lies ahead of now, by clocks that differ. A lab's time is its own."""
    now_ms, last_at = context.clock.now_ms(), await context.store.read(ledger.newest_at)
    if context.lab or last_at <= now_ms + policies.CLOCK_TOLERANCE_MS:
        return []
    sentence = (
        f"The ledger goes to {wire.iso(last_at)}, and this machine says it is {wire.iso(now_ms)}: its clock is slow, or"
        " another one was fast. Keep clocks by NTP."
    )
    return [warning("clock of the ledger", sentence)]


async def _deleting(context: Context) -> list[Finding]:
    """A clock that has jumped, which holds up what is due by it."""
    sentence = clock_sentence(await reckon(context, dry_run=True))
    return [] if sentence is None else [warning("clock of deleting", f"{sentence} {TRUSTED}")]


def _of_app(app: App, in_force: Sequence[Key], now_ms: int) -> Iterator[Finding]:
    """An app that is disabled or without a key, and keys that end soon."""
    if app.is_disabled:
        hint = f"unbroken app enable {app.app_id.hex()}"
        yield warning("apps", f"The app {app.name} is disabled: nothing of its phones is taken: {hint}")
    if not in_force:
        hint = f"unbroken key create --app {app.app_id.hex()} --name NAME --scope user.link"
        yield warning("keys of apps", f"The app {app.name} has no key in force, so nothing can link: {hint}")
    for key in in_force:
        if key.successor is None and key.expires_at < now_ms + _EXPIRES_SOON_MS:
            days = (key.expires_at - now_ms) // DAY_MS
            hint = f"unbroken key rotate {key.key_id.hex()}"
            yield warning("keys of apps", f"The key {key.name} of {app.name} expires in {days} days: {hint}")
