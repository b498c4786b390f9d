"""`unbroken attack ...`."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import IO, TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from typer.core import TyperGroup

from unbroken.cli.options import DATA_DEFAULT, Data, Json
from unbroken.cli.output import errors_as_sentences, print_json, print_table
from unbroken.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from unbroken.attack.report import Report, Told
    from unbroken.consent import Warrant

WARRANT = Path("warrant.json")
_UNJUDGED = 2


class _UrlFirst(TyperGroup):
    """`unbroken attack URL` is `unbroken attack run URL`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See `click.Group`."""
        if args and args[0].startswith(("http://", "https://")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


program = typer.Typer(
    cls=_UrlFirst,
    help="Attack a platform of your own, from outside: `unbroken attack URL`.",
    no_args_is_help=True,
)

WarrantFile = Annotated[Path, typer.Option("--warrant", help="The file that `attack prepare` wrote.", dir_okay=False)]


@program.command()
def prepare(
    *,
    hours: Annotated[int, typer.Option(help="How long the platform agrees to be attacked.")] = 24,
    warrant: WarrantFile = WARRANT,
    data: Data = DATA_DEFAULT,
    json: Json = False,
) -> None:
    """Make two throw-away apps, and agree that they are attacked. The file holds their credentials."""
    from unbroken.cli.run import run as run_on_data  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.flow import consent  # noqa: PLC0415

    with errors_as_sentences(json=json):
        with _in_place_of(warrant) as file:
            made = run_on_data(data, lambda context: consent.give(context, hours))
            file.write(msgspec.json.encode(made))
        if json:
            print_json({"warrant": str(warrant), "until": made.until, "app_a": made.a.app_id, "app_b": made.b.app_id})
        else:
            typer.echo(f"{warrant} is good until {made.until}. Attack with: unbroken attack URL --warrant {warrant}")


@program.command()
def end(*, warrant: WarrantFile = WARRANT, data: Data = DATA_DEFAULT, json: Json = False) -> None:
    """Take the agreement back: the two apps are stopped, and the platform refuses to be attacked."""
    from unbroken.cli.run import run as run_on_data  # noqa: PLC0415
    from unbroken.flow import consent  # noqa: PLC0415

    with errors_as_sentences(json=json):
        known = _read(warrant)
        run_on_data(data, lambda context: consent.take_back(context, known))
        if json:
            print_json({"ended": str(warrant)})
        else:
            typer.echo(f"{warrant} is worth nothing any more.")


@program.command()
def run(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the platform listens.")],
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHAPTER", help="Only this chapter, or attacks whose ids begin so; again for more."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Where a page with the result is written.", dir_okay=False)
    ] = None,
    patience: Annotated[float, typer.Option(help="Seconds that a slow attack waits until it is hung up on.")] = 90.0,
    pairs: Annotated[int, typer.Option(min=50, help="How many pairs of requests are timed for each call.")] = 1_000,
    proxied: Annotated[bool, typer.Option("--proxied", help="A proxy stands in front: its refusals count.")] = False,
    warrant: WarrantFile = WARRANT,
    json: Json = False,
) -> None:
    """Try every attack on a platform that proves to be yours. Exit code 1: one succeeded; 2: one was not judged."""
    from unbroken.attack import NotProven, Wanted, run_suite  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.attack.report import as_json, as_markdown  # noqa: PLC0415
    from unbroken.clock import SystemClock  # noqa: PLC0415
    from unbroken.randomness import SystemRandomness  # noqa: PLC0415

    with errors_as_sentences(json=json):
        known = _read(warrant)
        wanted = Wanted(url, tuple(only or ()), patience, pairs, proxied)
        tell = _nothing if json else _tell
        try:
            done = asyncio.run(run_suite(wanted, known, SystemClock(), SystemRandomness(), tell))
        except (NotProven, ValueError) as error:
            raise InvalidRequest(str(error)) from None
        if report is not None:
            report.write_text(as_markdown(done), encoding="utf-8")
        if json:
            print_json(as_json(done))
        else:
            _sum_up(done)
        _exit(done)


def _exit(report: Report) -> None:
    from unbroken.attack.attack import Verdict  # noqa: PLC0415

    if report.of(Verdict.SUCCEEDED):
        raise typer.Exit(1)
    if report.of(Verdict.UNJUDGED):
        raise typer.Exit(_UNJUDGED)


def _tell(told: Told) -> None:
    from unbroken.attack.attack import Verdict  # noqa: PLC0415

    held = told.count(Verdict.HELD)
    typer.echo(f"{told.name:<12} {held:>4} of {len(told.outcomes):>4} held in {told.took_s:6.1f} s   {told.title}")


def _nothing(_: Told) -> None:
    """Programs are told at the end."""


def _sum_up(report: Report) -> None:
    from unbroken.attack.attack import Verdict  # noqa: PLC0415

    for verdict in (Verdict.SUCCEEDED, Verdict.UNJUDGED):
        rows = [(one.attack.id, one.attack.wins, one.attack.defence, one.what) for one in report.of(verdict)]
        if rows:
            typer.echo(f"\n{verdict.capitalize()}:")
            print_table(("ATTACK", "WOULD WIN", "WANTED", "SEEN"), rows, empty="")
    typer.echo(report.sentence)


def _read(path: Path) -> Warrant:
    from unbroken.consent import read_warrant  # noqa: PLC0415

    try:
        found = read_warrant(path.read_bytes())
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}. Make one: unbroken attack prepare") from error
    if found is None:
        raise InvalidRequest(f"{path} is no warrant. Make one: unbroken attack prepare")
    return found


@contextmanager
def _in_place_of(path: Path) -> Iterator[IO[bytes]]:
    """A file for its owner only, which takes the place of an older one at the end.

    It is there first: what is agreed on where it cannot be written down is an open door that nobody knows how to shut.
    """
    try:
        number, name = mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
