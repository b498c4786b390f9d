"""`unbroken verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.ids import AppId, UserId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.flow.verify import Finding, Report, Wanted

_SHOWN: Final = 100
_COLUMNS: Final = ("CODE", "TABLE", "ROW", "FOUND", "EXPECTED", "USER_ID", "REPAIRABLE")


def verify(
    *,
    app: Annotated[str | None, typer.Option(metavar="APP_ID", help="Only the people of this app.")] = None,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Only this person.")] = None,
    sample: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only so many people, by chance.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Write what the ledger or the payloads prove.")] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Check the laws on live data, also beside a running server. Exit code 1 if findings remain.

    Without --app, --user and --sample every row of every table is looked at, and the payload log.
    """
    from unbroken.flow.verify import verify as step  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        wanted = _wanted(app, user, sample)
        report = run(data, lambda context: step(context, wanted, is_repairing=repair))
        if json:
            print_json(_view(report))
        else:
            _tell(report, is_repairing=repair)
        if report.findings:
            raise typer.Exit(1)


def _wanted(app: str | None, user: str | None, sample: int | None) -> Wanted:
    from unbroken.flow.verify import Wanted  # noqa: PLC0415

    if user is not None and (app is not None or sample is not None):
        raise InvalidRequest("--user names one person: leave --app and --sample out.")
    app_id = None if app is None else AppId(id_of(app, "an app"))
    user_id = None if user is None else UserId(id_of(user, "a user"))
    return Wanted(app_id, user_id, sample)


def _view(report: Report) -> dict[str, Any]:
    return {
        "ok": not report.findings,
        "checked": dict(report.checked),
        "pending": report.pending,
        "unaccounted": report.unaccounted,
        "findings": list(map(_finding, report.findings)),
        "repaired": list(map(_finding, report.repaired)),
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "code": str(one.rule),
        "table": one.table,
        "row": one.row,
        "found": one.found,
        "expected": one.expected,
        "user_id": None if one.user_id is None else one.user_id.hex(),
        "repairable": one.mend is not None,
    }


def _tell(report: Report, *, is_repairing: bool) -> None:
    lines = [tuple(_finding(one).values()) for one in report.findings[:_SHOWN]]
    print_table(_COLUMNS, lines, empty="Nothing was found.")
    for sentence in _sentences(report, is_repairing=is_repairing):
        typer.echo(sentence)


def _sentences(report: Report, *, is_repairing: bool) -> Iterator[str]:
    if len(report.findings) > _SHOWN:
        yield f"{len(report.findings) - _SHOWN} more findings: --json tells them all."
    yield "Looked at " + ", ".join(f"{count} {what}" for what, count in report.checked.items()) + "."
    if report.repaired:
        yield f"{len(report.repaired)} findings were repaired."
    if not is_repairing and any(one.mend is not None for one in report.findings):
        yield "What is repairable is repaired by the same command with --repair."
    if report.pending:
        yield f"{report.pending} timelines are to be computed anew anyway, and were passed over."
