"""What a command prints: JSON for programs, tables and sentences for people; errors as one sentence, exit code 1."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import msgspec
import typer

from unbroken.domain.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from io import TextIOWrapper

    from rich.console import Console


_WIDTH_OF_A_FILE: Final = 200


def take_streams() -> None:
    """See to it that printing fails neither for want of a stream nor for what is printed.

    The number of a stream that whoever started us has closed would go to the next file that is opened, as the database,
    or to a socket; so something empty takes it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - for the process's life
    for stream in (sys.stdout, sys.stderr):
        cast("TextIOWrapper", stream).reconfigure(errors="backslashreplace")  # what the locale has no letter for


def print_json(value: Any) -> None:
    """One JSON document on standard output, as UTF-8 in every locale.

    What a phone made up may be in it, and steers no terminal.
    """
    from unbroken.server.redactor import printable  # noqa: PLC0415 - each command starts as fast as it can

    text = printable(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
    print_bytes(text.encode() + b"\n")


def print_bytes(content: bytes) -> None:
    """Bytes on standard output, as they are and now."""
    sys.stdout.flush()
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


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
        let_go_of_output()
        raise typer.Exit(1) from None
    except OSError as trouble:
        what = trouble.filename or let_go_of_output() or "Something that this needs of the machine"
        _fail(f"{what} cannot be used: {trouble.strerror or trouble}.", "UNAVAILABLE", None, json=json)


def let_go_of_output() -> str | None:
    """Where a standard stream takes nothing, do not try again at the end of the process; what to call the first one."""
    lost = [name for name in ("stdout", "stderr") if not _is_flushed(getattr(sys, name))]
    return f"Standard {'output' if lost[0] == 'stdout' else 'error'}" if lost else None


def _is_flushed(stream: TextIO) -> bool:
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return False
    return True


def _fail(message: str, code: str, hint: str | None, *, json: bool) -> None:
    message = message.encode(errors="backslashreplace").decode()  # a file's name may be no text
    if json:
        problem = {"message": message, "errorCode": code} | ({"hint": hint} if hint else {})
        sys.stderr.write(msgspec.json.encode(problem).decode() + "\n")
    else:
        sys.stderr.write(" ".join(filter(None, [message, hint])) + "\n")
    raise typer.Exit(1)
