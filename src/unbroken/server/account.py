"""Whose account of the operating system this process runs under: who ran a command, for the audit log."""

from __future__ import annotations

import os
import pwd


def account() -> str:
    """The name of the account, or its number where it has no name, as in a container."""
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
