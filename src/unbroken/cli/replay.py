"""`unbroken replay`."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path  # noqa: TC003 - the annotation is read when the command is made
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, Data, Json, content_of, id_of
from unbroken.cli.output import errors_as_sentences, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.flow.replay import Progress, Report, Wanted

_POLICY_HELP = "A JSON file of policies to try, as `unbroken app policy APP_ID --json` prints them."


def replay(
    *,
    user: Annotated[str | None, typer.Option(metavar="USER_ID", help="Replay this user.")] = None,
    app: Annotated[str | None, typer.Option(metavar="APP_ID", help="Replay all users of this app.")] = None,
    policy: Annotated[Path | None, typer.Option(metavar="FILE", help=_POLICY_HELP)] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs, by user and day.")] = False,
    switch: Annotated[bool, typer.Option("--switch", help="Serve the replayed timelines from now on.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Take up the replay that was left.")] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Compute timelines again from the ledger and the kept payloads, beside those served, and tell what differs."""
    from unbroken.flow import replay as step  # noqa: PLC0415 - each command starts as fast as it can

    with errors_as_sentences(json=json):
        wanted = step.Wanted(_scope(user, app), _changes(policy, resume=resume), switch, resume)
        report = _run(data, wanted, json=json)
        if json:
            print_json(view_of(report, with_differences=diff))
        else:
            _tell(report, with_differences=diff)


def _scope(user: str | None, app: str | None) -> bytes:
    if (user is None) == (app is None):
        raise InvalidRequest("Name one user with --user, or one app with --app.")
    return id_of(app, "an app") if app is not None else id_of(user or "", "a user")


def _changes(policy: Path | None, *, resume: bool) -> dict[str, str] | None:
    if policy is None:
        return None
    if resume:
        raise InvalidRequest("A replay that is taken up goes on under its own policy: leave --policy out.")
    try:
        values = wire.decode(content_of(policy), dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"{policy} is not a JSON object of policies: {error}.") from error
    return {name: str(value) for name, value in values.items()}


def _run(data: Path, wanted: Wanted, *, json: bool) -> Report:
    from unbroken.flow import replay as step  # noqa: PLC0415

    with _progress(shown=not json and sys.stderr.isatty()) as progress:
        return run(data, lambda context: step.replay(context, wanted, progress))


@contextmanager
def _progress(*, shown: bool) -> Iterator[Progress | None]:
    """A bar on standard error, where a person looks at it."""
    if not shown:
        yield None
        return
    from rich.console import Console  # noqa: PLC0415 - only people need it
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    columns = ("Replaying users", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def view_of(report: Report, *, with_differences: bool) -> dict[str, Any]:
    """A report as JSON says it."""
    view: dict[str, Any] = {
        "app_id": report.app_id.hex(),
        "policy": report.policy,
        "users": report.same + len(report.differ) + report.moving + len(report.failed),
        "same": report.same,
        "differ": len(report.differ),
        "switched": report.switched,
        "waiting": report.waiting,
        "moving": report.moving,
        "failed": [user_id.hex() for user_id in report.failed],
        "events": {what: _sum(report, what) for what in ("gained", "lost", "changed")},
    }
    if with_differences:
        view["differences"] = [
            {"user_id": user_id.hex(), "days": difference.days, "items": difference.items}
            for user_id, difference in report.differ.items()
        ]
    return view


def _sum(report: Report, what: str) -> int:
    return sum(getattr(day, what) for difference in report.differ.values() for day in difference.days)


def _tell(report: Report, *, with_differences: bool) -> None:
    if with_differences:
        days = [
            (user_id.hex(), day.day, str(day.gained), str(day.lost), str(day.changed))
            for user_id, difference in report.differ.items()
            for day in difference.days
        ]
        print_table(("USER_ID", "DAY", "GAINED", "LOST", "CHANGED"), days, empty="No event differs.")
        items = [
            (user_id.hex(), item.from_, item.to, str(item.count))
            for user_id, difference in report.differ.items()
            for item in difference.items
        ]
        print_table(("USER_ID", "OUTCOME NOW", "REPLAYED", "ITEMS"), items, empty="No item has another outcome.")
    for sentence in _sentences(report):
        typer.echo(sentence)


def _sentences(report: Report) -> Iterator[str]:
    yield (
        f"{report.same} timelines are the same, {len(report.differ)} differ: {_sum(report, 'gained')} events gained,"
        f" {_sum(report, 'lost')} lost, {_sum(report, 'changed')} changed."
    )
    if report.switched:
        yield f"{report.switched} were switched to what was replayed."
    if report.waiting:
        yield f"{report.waiting} can be switched: the same command with --resume --switch."
    if report.moving:
        yield f"{report.moving} changed while they were replayed: the same command with --resume tries them again."
    if report.failed:
        yield f"{len(report.failed)} cannot be computed: {', '.join(user_id.hex() for user_id in report.failed)}."
