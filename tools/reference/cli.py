"""Every command, its arguments and options, as the command line itself tells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tools.reference import markdown
from unbroken.cli import program

if TYPE_CHECKING:
    from collections.abc import Iterator

INTRO = """\
`unbroken COMMAND --help` says the same. All commands but `serve`, the demos and `pin` work on the data of a server that
runs, and what they change holds at once. A command that is refused says so in one sentence on standard error and ends
with exit code 1; with `--json` that sentence is JSON too."""


def page() -> str:
    """docs/reference/cli.md."""
    title = markdown.heading("The command line", "`src/unbroken/cli/`", INTRO)
    return "\n".join([title, *(_command(words, command) for words, command in _commands("unbroken", _root()))])


def _root() -> Any:
    return typer.main.get_command(program)


def _commands(words: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command that does something, in the order of the help."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield words, command
        return
    for name, each in inner.items():
        yield from _commands(f"{words} {name}", each)


def _command(words: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    usage = " ".join([words, "[OPTIONS]", *map(_usage, arguments)])
    rows = [_row(each) for each in command.params if each.name != "help"]
    return f"## `{words}`\n\n{command.help.strip()}\n\n{markdown.fence('text', usage)}\n" + markdown.table(
        ("parameter", "environment", "default", "meaning"), rows
    )


def _usage(argument: Any) -> str:
    return _value(argument) if argument.required else f"[{_value(argument)}]"


def _row(parameter: Any) -> tuple[str, str, str, str]:
    if parameter.param_type_name == "argument":
        name = _value(parameter)
    else:
        name = " ".join([*parameter.opts, *([] if parameter.is_flag else [_value(parameter)])])
    default = "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"
    environment = f"`{parameter.envvar}`" if parameter.envvar else ""
    return f"`{name}`", environment, "required" if parameter.required else default, parameter.help or ""


def _value(parameter: Any) -> str:
    """What stands for a value in help; made here, as releases of typer differ in what they tell."""
    return str(parameter.metavar or parameter.name.upper())
