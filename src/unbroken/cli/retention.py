"""`unbroken retention`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from unbroken import wire
from unbroken.cli.options import DATA_DEFAULT, Data, Json, id_of
from unbroken.cli.output import errors_as_sentences, print_json, print_table
from unbroken.cli.run import run
from unbroken.domain.ids import AppId

if TYPE_CHECKING:
    from unbroken.domain.reckoning import Reckoning
    from unbroken.flow.context import Context
    from unbroken.flow.retention import Retained

_SHARE = 0.5
TRUSTED = "Or, where it is right: unbroken retention --trust-clock"


def retention(
    *,
    app: Annotated[str | None, typer.Option(metavar="APP_ID", help="Only this app.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is due and delete nothing.")] = False,
    trust_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="Go by this machine's clock, though it has jumped: I have looked at it."),
    ] = False,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Delete the payloads that are older than their app's retention_days, as a running server does every hour.

    A clock that has jumped by more than a day is not believed before it has gone on from there for three days.
    """
    from unbroken.flow.reckoning import reckon  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.flow.retention import retain  # noqa: PLC0415

    async def step(context: Context, app_id: AppId | None) -> tuple[Reckoning, list[Retained]]:
        time = await reckon(context, dry_run=dry_run, trusts_clock=trust_clock)
        return time, await retain(context, app_id, dry_run=dry_run, share=_SHARE, by_ms=time.deletes_by_ms)

    with errors_as_sentences(json=json):
        app_id = AppId(id_of(app, "an app")) if app is not None else None
        time, told = run(data, lambda context: step(context, app_id))
        if json:
            print_json({"dry_run": dry_run, "clock": _clock_of(time), "apps": list(map(view_of, told))})
            return
        columns = ("APP_ID", "KEPT", "RECEIVED BEFORE", "INSTALLS", "PAYLOADS", "MIB", "WAITING")
        print_table(columns, map(_line, told), empty="There is no app yet: unbroken app create NAME")
        if dry_run:
            typer.echo("A dry run: nothing was deleted.")
        if (sentence := clock_sentence(time)) is not None:
            typer.echo(f"{sentence} {TRUSTED}")


def view_of(one: Retained) -> dict[str, Any]:
    """What retention did for an app, or would do, as JSON says it."""
    return {
        "app_id": one.app_id.hex(),
        "retention_days": one.retention_days,
        "received_before": wire.iso(one.before_ms),
        "installs": one.installs,
        "payloads": one.payloads,
        "bytes": one.size_bytes,
        "oldest_received_at": None if one.oldest_ms is None else wire.iso(one.oldest_ms),
        "waiting_installs": one.waiting,
    }


def _clock_of(time: Reckoning) -> dict[str, Any]:
    at_ms = time.believed_at_ms
    return {"believed": at_ms is None, "believed_at": None if at_ms is None else wire.iso(at_ms)}


def clock_sentence(time: Reckoning) -> str | None:
    """What an operator is told of a clock that is not believed; None where it is."""
    if time.away_to_ms is None or time.believed_at_ms is None:
        return None
    return (
        f"This machine's clock says {wire.iso(time.away_to_ms)}, far from {wire.iso(time.at_ms)}, which it said last."
        f" Until it says {wire.iso(time.believed_at_ms)}, nothing is deleted that is due by one of the two alone."
        " Set it right."
    )


def _line(one: Retained) -> tuple[str, ...]:
    kept, before, size = f"{one.retention_days} days", wire.iso(one.before_ms)[:10], f"{one.size_bytes / (1 << 20):.1f}"
    return (one.app_id.hex(), kept, before, str(one.installs), str(one.payloads), size, str(one.waiting))
