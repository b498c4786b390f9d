"""`unbroken app policy APP_ID KEY=VALUE... --dry-run`: what would differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from unbroken.cli.output import print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from unbroken.domain.ids import AppId
    from unbroken.flow.policy_trial import Trial
    from unbroken.flow.replay import Report


def try_policy(data: Path, app_id: AppId, changes: Mapping[str, str], *, json: bool) -> None:
    """Tell what a change of policies would do, and write nothing.

    Raises:
        InvalidRequest: there is nothing to change, or the change itself would be refused.
    """
    from unbroken.flow import policy_trial  # noqa: PLC0415 - each command starts as fast as it can

    if not changes:
        raise InvalidRequest("A dry run needs something to change: KEY=VALUE.")
    trial = run(data, lambda context: policy_trial.try_policy(context, app_id, changes))
    if json:
        print_json(_view(trial))
        return
    rows = [
        (name, getattr(trial.before, name), getattr(trial.after, name), policy_trial.ACTS[name])
        for name in trial.changed
    ]
    print_table(("POLICY", "NOW", "THEN", "WHAT IT DOES"), rows, empty="These are the policies in force.")
    for sentence in [*_sentences(trial), "A dry run: nothing was changed."]:
        typer.echo(sentence)


def _view(trial: Trial) -> dict[str, Any]:
    from unbroken.cli.retention import view_of  # noqa: PLC0415
    from unbroken.flow.policies import policy_as_text  # noqa: PLC0415
    from unbroken.flow.policy_trial import ACTS  # noqa: PLC0415

    now, then = policy_as_text(trial.before), policy_as_text(trial.after)
    changes = [{"policy": name, "from": now[name], "to": then[name], "does": ACTS[name]} for name in trial.changed]
    retained = trial.retained
    return {
        "dry_run": True,
        "policies": then,
        "changes": changes,
        "retention": None if retained is None else {"now": view_of(retained[0]), "then": view_of(retained[1])},
        "replay": None if trial.replayed is None else _replayed(trial.replayed),
    }


def _replayed(report: Report) -> dict[str, Any]:
    from unbroken.cli.replay import view_of  # noqa: PLC0415

    view = view_of(report, with_differences=True)
    told = {name: view[name] for name in ("users", "same", "differ", "failed", "events", "differences")}
    return {**told, "not_up_to_date": report.moving}


def _sentences(trial: Trial) -> Iterator[str]:
    if trial.retained is not None:
        now, then = trial.retained
        yield (
            f"Retention would delete {then.payloads} payloads of {then.installs} installs; under the policies in force"
            f" {now.payloads}."
        )
    if trial.replayed is None:
        return
    view = _replayed(trial.replayed)
    events = ", ".join(f"{count} {what}" for what, count in view["events"].items())
    yield (
        f"A replay that is switched to (unbroken replay --policy --switch) would leave {view['same']} timelines as they"
        f" are and change {view['differ']}, events: {events}."
    )
    if view["not_up_to_date"]:
        yield f"{view['not_up_to_date']} timelines are not up to date, so nothing can be said of them yet."
    if view["failed"]:
        yield f"{len(view['failed'])} cannot be computed: {', '.join(view['failed'])}."
