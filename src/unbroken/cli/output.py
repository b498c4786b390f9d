"""What a command prints: JSON for programs, tables and sentences for people; errors as one sentence, exit code 1."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import typer

from unbroken.domain.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console


_WIDTH_OF_A_FILE: Final = 200


def print_json(value: Any) -> None:
    """One JSON document on standard output. What a phone made up may be in it, and steers no terminal."""
    from unbroken.server.redactor import printable  # noqa: PLC0415 - each command starts as fast as it can

    sys.stdout.write(printable(msgspec.json.format(msgspec.json.encode(value), indent=2).decode()) + "\n")


def print_facts(title: str, facts: Mapping[str, Any]) -> None:
    """A thing and what there is to say of it."""
    from rich.table import Table  # noqa: PLC0415 - only people need it
    from rich.text import Text  # noqa: PLC0415

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in facts.items():
        table.add_row(Text(name, style="dim"), Text(_shown(value)))
    console = _console()
    console.print(Text(title, style="bold"))
    console.print(table)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Rows under headings, or `empty` where there are none."""
    from rich import box  # noqa: PLC0415 - only people need it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    _console().print(table if table.rows else Text(empty))


def _console() -> Console:
    from rich.console import Console  # noqa: PLC0415 - only people need it

    is_screen = sys.stdout.isatty()
    return Console(highlight=False, width=None if is_screen else _WIDTH_OF_A_FILE)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return ", ".join(map(_shown, value)) or "-"
        case dict():
            return ", ".join(f"{_visible(str(name))}={_shown(inner)}" for name, inner in value.items()) or "-"
        case _:
            return _visible(str(value))


def _visible(text: str) -> str:
    """A text that a phone may have made up, with escapes in the place of what steers a terminal or is not seen."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


@contextmanager
def errors_as_sentences(*, json: bool) -> Iterator[None]:
    """Turn a refusal, or trouble of the machine, into a sentence on standard error and exit code 1."""
    from unbroken.server.trouble import CannotStart  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.store.contract import StoreError  # noqa: PLC0415

    try:
        yield
    except Refusal as refusal:
        _fail(refusal.message, refusal.code, refusal.hint, json=json)
    except CannotStart as trouble:
        _fail(str(trouble), "CANNOT_START", None, json=json)
    except StoreError as trouble:
        _fail(str(trouble), "UNAVAILABLE", None, json=json)
    except BrokenPipeError:
        raise typer.Exit(1) from None


def _fail(message: str, code: str, hint: str | None, *, json: bool) -> None:
    if json:
        problem = {"message": message, "errorCode": code} | ({"hint": hint} if hint else {})
        sys.stderr.write(msgspec.json.encode(problem).decode() + "\n")
    else:
        sys.stderr.write(" ".join(filter(None, [message, hint])) + "\n")
    raise typer.Exit(1)
