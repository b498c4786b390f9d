"""`unbroken doctor`: look at a platform and say in sentences what is well, what is not, and what to do."""

from __future__ import annotations

from typing import Final

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json

_MARKS: Final = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}


def doctor(data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Check a data directory and the settings, also while a server runs. Exit code 1 if there is a problem."""
    from unbroken.cli.doctor.examination import examine  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        findings = list(examine(data))
        is_well = all(finding.verdict != "problem" for finding in findings)
        if json:
            print_json({"ok": is_well, "checks": [finding._asdict() for finding in findings]})
        else:
            for finding in findings:
                typer.echo(f"{_MARKS[finding.verdict]}  {finding.check}: {finding.sentence}")
        if not is_well:
            raise typer.Exit(1)
