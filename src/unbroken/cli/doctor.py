"""`unbroken doctor`: look at a data directory and say in sentences what is well, what is not, and what to do."""

from __future__ import annotations

import shutil
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from unbroken.domain.app import App
    from unbroken.flow.context import Context
    from unbroken.store.access import Key

_DAY_MS: Final = 86_400_000
_EXPIRES_SOON_MS: Final = 14 * _DAY_MS
_CLOCK_EARLIEST_MS: Final = 1_767_225_600_000  # 2026-01-01: before this software was
_SPACE_LOW_BYTES: Final = 1 << 30
_SPACE_OUT_BYTES: Final = 64 << 20
_NAMED: Final = 5


class Verdict(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Finding(NamedTuple):
    """What one check found."""

    check: str
    verdict: Verdict
    sentence: str


_MARKS: Final = {Verdict.OK: "ok     ", Verdict.WARNING: "warning", Verdict.PROBLEM: "PROBLEM"}


def doctor(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Check a data directory, also while a server runs on it. Exit code 1 if there is a problem."""
    with errors_as_sentences(json=json):
        findings = list(examine(data))
        is_well = all(finding.verdict is not Verdict.PROBLEM for finding in findings)
        if json:
            print_json({"ok": is_well, "checks": [finding._asdict() for finding in findings]})
        else:
            for finding in findings:
                typer.echo(f"{_MARKS[finding.verdict]}  {finding.check}: {finding.sentence}")
        if not is_well:
            raise typer.Exit(1)


def examine(data: Path) -> Iterator[Finding]:
    """Every check in turn; those of the database only where the directory itself is sound."""
    before = [check(data) for check in (_directory, _mode, _keys, _space, _clock)]
    yield from before
    if any(finding.verdict is Verdict.PROBLEM for finding in before[:3]):
        return
    yield _server(data)
    yield from _database(data)


def _directory(data: Path) -> Finding:
    if not data.is_dir():
        return _problem(
            "data directory", f"{data} is not there. `unbroken serve` makes it, or name another with --data."
        )
    open_to = data.stat().st_mode & 0o077
    if open_to:
        return _warning(
            "data directory", f"{data} is open to other accounts (mode {open_to:03o}). Run: chmod 700 {data}"
        )
    return _well("data directory", f"{data.resolve()} is there, and for its owner only.")


def _mode(data: Path) -> Finding:
    from unbroken.server import data_directory  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.server.trouble import CannotStart  # noqa: PLC0415

    try:
        mode = data_directory.read_mode(data)
    except CannotStart as trouble:
        return _problem("lab mark", str(trouble))
    if mode.lab:
        seed = "" if mode.seed is None else f" with the seed {mode.seed}"
        return _warning(
            "lab mark", f"This is a lab{seed}: its time is that of a header. Keep no real person's data in it."
        )
    return _well("lab mark", "This is no lab.")


def _keys(data: Path) -> Finding:
    from unbroken.server import data_directory, keys  # noqa: PLC0415

    path = data / keys.KEYS_FILE
    if not path.exists():
        if (data / data_directory.DATABASE_FILE).exists():
            return _problem("keys", f"{path} is missing beside a database. Restore it from a backup.")
        return _problem("keys", f"{path} is not there yet. The first `unbroken serve` makes it.")
    if keys.is_readable_by_others(path):
        return _problem("keys", f"Others can read {path}. Run: chmod 600 {path}")
    return _well(
        "keys", "The platform's keys are there, and for their owner only. Back them up apart from the database."
    )


def _space(data: Path) -> Finding:
    place = next(directory for directory in (data, *data.resolve().parents) if directory.exists())
    free_bytes = shutil.disk_usage(place).free
    sentence = f"{free_bytes / (1 << 30):.1f} GiB are free."
    if free_bytes < _SPACE_OUT_BYTES:
        return _problem("disk space", f"{sentence} Nothing can be stored any more. Make room.")
    if free_bytes < _SPACE_LOW_BYTES:
        return _warning("disk space", f"{sentence} Make room soon.")
    return _well("disk space", sentence)


def _clock(_: Path) -> Finding:
    from unbroken.clock import SystemClock  # noqa: PLC0415

    now_ms = SystemClock().now_ms()
    if now_ms < _CLOCK_EARLIEST_MS:
        return _problem("clock", f"This machine says it is {wire.iso(now_ms)}. Set its clock.")
    return _well("clock", f"This machine says it is {wire.iso(now_ms)}.")


def _server(data: Path) -> Finding:
    from unbroken.server import data_directory  # noqa: PLC0415

    if data_directory.is_served(data):
        return _well("server", "A server works on this data.")
    return _well("server", "No server works on this data right now.")


def _database(data: Path) -> Iterator[Finding]:
    from unbroken.cli.run import run  # noqa: PLC0415
    from unbroken.server.trouble import CannotStart  # noqa: PLC0415
    from unbroken.store.contract import StoreError  # noqa: PLC0415

    try:
        findings = run(data, _ask_database)
    except (CannotStart, StoreError) as trouble:
        findings = [_problem("database", str(trouble))]
    yield from findings


async def _ask_database(context: Context) -> list[Finding]:
    """Opening it has checked the schema already; a newer or damaged one is refused there."""
    return [
        _well("database", "It opens, and its schema is the one this version works with."),
        *await _erasures(context),
        *await _timelines(context),
        *await _dead_letters(context),
        *await _apps(context),
    ]


async def _erasures(context: Context) -> list[Finding]:
    from unbroken.store import resealing, tombstones  # noqa: PLC0415

    advice = "Up to 256 MiB a server writes it anew within the hour; a larger one in a quiet hour: unbroken purge"
    waiting = await context.store.read(tombstones.unpurged)
    findings = []
    if waiting:
        sentence = f"The file may hold stale copies of the ids of {len(waiting)} erasures. {advice}"
        findings.append(_warning("erasures", sentence))
    if not await context.store.read(resealing.is_purged):
        sentence = f"The file may hold external ids under the key from before, or in clear. {advice}"
        findings.append(_warning("external ids", sentence))
    return findings


async def _timelines(context: Context) -> list[Finding]:
    """Those that could not be computed, each with its user."""
    from unbroken.store import set_aside  # noqa: PLC0415

    failed = await context.store.read_long(set_aside.failed)
    if not failed:
        return [_well("timelines", "Every timeline can be computed.")]
    named = ", ".join(f"{one.user_id.hex()} ({one.trouble})" for one in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    sentence = (
        f"{len(failed)} cannot be computed: {named}{more}. What was told before is served, and the others go on. The"
        " log says why under TIMELINE_FAILED; `unbroken verify` looks for damaged rows."
    )
    return [_problem("timelines", sentence)]


async def _dead_letters(context: Context) -> list[Finding]:
    from unbroken.store import dead_letters  # noqa: PLC0415

    count = await context.store.read(dead_letters.count)
    if not count:
        return [_well("uploads", "Every upload could be processed.")]
    return [_problem("uploads", f"{count} could not be processed, and are set aside: unbroken dead-letter list")]


async def _apps(context: Context) -> list[Finding]:
    from unbroken.flow import administer  # noqa: PLC0415

    apps = await administer.list_apps(context)
    if not apps:
        return [_warning("apps", "There is no app yet: unbroken app create NAME")]
    findings = [_well("apps", f"There are {len(apps)}.")]
    now_ms = context.wall.now_ms()
    for app in apps:
        keys = await administer.list_keys(context, app.app_id)
        findings += _keys_of_app(app, [key for key in keys if administer.is_in_force(key, now_ms)], now_ms)
    return findings


def _keys_of_app(app: App, in_force: Sequence[Key], now_ms: int) -> Iterator[Finding]:
    """An app without a key, and keys that end soon."""
    if not in_force:
        hint = f"unbroken key create --app {app.app_id.hex()} --name NAME --scope user.link"
        yield _warning("keys of apps", f"The app {app.name} has no key in force, so nothing can link: {hint}")
    for key in in_force:
        if key.expires_at < now_ms + _EXPIRES_SOON_MS:
            days = (key.expires_at - now_ms) // _DAY_MS
            yield _warning(
                "keys of apps", f"The key {key.name} of {app.name} expires in {days} days. Create its successor."
            )


def _well(check: str, sentence: str) -> Finding:
    return Finding(check, Verdict.OK, sentence)


def _warning(check: str, sentence: str) -> Finding:
    return Finding(check, Verdict.WARNING, sentence)


def _problem(check: str, sentence: str) -> Finding:
    return Finding(check, Verdict.PROBLEM, sentence)
