"""Every check of the doctor in turn: what stands around the database first, as nothing else can be asked without."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from unbroken.cli.doctor.database import ask_database
from unbroken.cli.run import run
from unbroken.server import data_directory, safety
from unbroken.server import settings as settings_of_server
from unbroken.server.safety import files
from unbroken.server.safety.finding import Finding, Verdict, problem, warning, well
from unbroken.server.trouble import CannotStart
from unbroken.store.contract import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SPACE_LOW_BYTES: Final = 1 << 30
_SPACE_OUT_BYTES: Final = 64 << 20


def examine(data: Path) -> Iterator[Finding]:
    """Every check in turn; those of the database only where the directory itself is sound."""
    mark, is_lab = _mode(data)
    before = [files.directory(data), mark, files.own_keys(data, is_lab=is_lab)]
    yield from before
    yield _space(data)
    yield from _settings(data, is_lab=is_lab)
    if any(finding.verdict is Verdict.PROBLEM for finding in before):
        return
    yield _server(data)
    yield from _database(data)


def _mode(data: Path) -> tuple[Finding, bool]:
    check = "lab mark"
    try:
        mode = data_directory.read_mode(data)
    except CannotStart as trouble:
        return problem(check, str(trouble)), False
    if not mode.lab:
        return well(check, "This is no lab."), False
    seed = "" if mode.seed is None else f" with the seed {mode.seed}"
    sentence = f"This is a lab{seed}: its time is that of a header. Keep no real person's data in it."
    return warning(check, sentence), True


def _settings(data: Path, *, is_lab: bool) -> Iterator[Finding]:
    """As `unbroken serve` would find them in this environment."""
    try:
        settings = settings_of_server.load(data=data)
    except CannotStart as trouble:
        yield problem("settings", str(trouble))
    else:
        yield from safety.examine(settings, is_lab=is_lab)


def _space(data: Path) -> Finding:
    place = next(directory for directory in (data, *data.resolve().parents) if directory.exists())
    free_bytes = shutil.disk_usage(place).free
    sentence = f"{free_bytes / (1 << 30):.1f} GiB are free."
    if free_bytes < _SPACE_OUT_BYTES:
        return problem("disk space", f"{sentence} Nothing can be stored any more. Make room.")
    if free_bytes < _SPACE_LOW_BYTES:
        return warning("disk space", f"{sentence} Make room soon.")
    return well("disk space", sentence)


def _server(data: Path) -> Finding:
    if data_directory.is_served(data):
        return well("server", "A server works on this data.")
    return well("server", "No server works on this data right now.")


def _database(data: Path) -> Iterator[Finding]:
    try:
        findings = run(data, ask_database)
    except (CannotStart, StoreError) as trouble:
        findings = [problem("database", str(trouble))]
    yield from findings
