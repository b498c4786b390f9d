"""The data directory: what lies in it, what it is for, and that one server at a time has it."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

import msgspec

from unbroken import wire
from unbroken.server import whole_files
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from pathlib import Path

DATABASE_FILE: Final = "unbroken.db"
MODE_FILE: Final = "mode.json"
LOCK_FILE: Final = "serve.lock"


class Mode(msgspec.Struct, frozen=True):
    """What a data directory is for its whole life: facts of two clocks in one ledger would have no order.

    Args:
        seed: of a lab whose ids are the same in every run.
    """

    lab: bool
    seed: int | None = None


def prepare(data: Path, wanted: Mode) -> Mode:
    """Make the directory what `wanted` says, or find out what it is already.

    Raises:
        CannotStart: it cannot be written, is damaged, or is not what is wanted.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (data / MODE_FILE).exists():
            _refuse_unmarked(data)
            whole_files.create_once(data / MODE_FILE, msgspec.json.encode(wanted))
    except OSError as error:
        raise CannotStart(_why_not_writable(data, error)) from error
    return _agreed(data, read_mode(data), wanted)


def expected(data: Path, wanted: Mode) -> Mode:
    """What `prepare` would make the directory, or find that it is; nothing is made.

    Raises:
        CannotStart: its mark is damaged, or it is not what is wanted.
    """
    return _agreed(data, read_mode(data), wanted) if os.path.exists(data / MODE_FILE) else wanted  # noqa: PTH110 - no error


def read_mode(data: Path) -> Mode:
    """What an existing data directory is.

    Raises:
        CannotStart: there is none, or its mark is damaged.
    """
    path = data / MODE_FILE
    try:
        return wire.decode(path.read_bytes(), Mode)
    except FileNotFoundError as error:
        raise CannotStart(
            f"There is no data in {data}. Start `unbroken serve` there, or name another directory with --data."
        ) from error
    except OSError as error:
        raise CannotStart(_why_not_writable(data, error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CannotStart(f'{path} is damaged. It must say {{"lab":true}} or {{"lab":false}}.') from error


def lock(data: Path) -> int:
    """Take the directory for one server; the file is to be closed at the end.

    Raises:
        CannotStart: another server has it.
    """
    try:
        file = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CannotStart(_why_not_writable(data, error)) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        raise CannotStart(f"Another server already works on {data}. Stop it first, or name another --data.") from error
    return file


def is_served(data: Path) -> bool:
    """Whether a server has the directory right now. Only looks, so that it tells on a read-only file system, too."""
    try:
        file = os.open(data / LOCK_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def refuse_without_database(data: Path) -> None:
    """Refuse what looks at a database, and would make an empty one and find nothing wrong with it.

    Raises:
        CannotStart: it is not there.
    """
    if not (data / DATABASE_FILE).exists():
        raise CannotStart(
            f"{data / DATABASE_FILE} is missing. Restore it from a backup; where the database is in PostgreSQL, set"
            " UNBROKEN_DATABASE_URL."
        )


def _agreed(data: Path, found: Mode, wanted: Mode) -> Mode:
    if wanted.lab and not found.lab:
        raise CannotStart(f"{data} was not made as a lab and never becomes one. Name another directory with --data.")
    if wanted.seed is not None and wanted.seed != found.seed:
        made = "without a seed" if found.seed is None else f"with the seed {found.seed}"
        raise CannotStart(
            f"The lab in {data} was made {made}. Leave --seed out, or name another directory with --data."
        )
    return found


def _refuse_unmarked(data: Path) -> None:
    """A database without the mark is one whose mark was lost, and it may be a lab's."""
    if (data / DATABASE_FILE).exists():
        raise CannotStart(
            f"{data / MODE_FILE} is missing beside a database. Restore it from a backup; "
            'it says {"lab":false}, or {"lab":true} for a lab.'
        )


def _why_not_writable(data: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    return (
        f"The data directory {data} cannot be used: {reason}. "
        "Give this account the right to write there, or name another with --data."
    )
