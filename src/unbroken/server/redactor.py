"""What must not be said: credentials, wherever they turn up, and characters that make a line look like another one."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "***"
_CREDENTIAL: Final = re.compile(r"unb_[a-z]+_[A-Za-z0-9_\-]*")
_HEADER: Final = re.compile(r"(?i)\b(basic|bearer)\s+[A-Za-z0-9+/=_\-.~]+")
_SECRET_NAMES: Final = frozenset({"authorization", "secret", "password", "token", "app_secret", "api_key", "cookie"})
_MISLEADING: Final = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""DEL, the control characters of C1, and what turns the direction of writing or ends a line. JSON escapes C0 itself."""


def without_credentials(text: str) -> str:
    """The text without any credential of ours."""
    return _CREDENTIAL.sub(HIDDEN, text)


def redact(text: str) -> str:
    """The text without anything that looks like a credential, of whomever."""
    return without_credentials(_HEADER.sub(rf"\1 {HIDDEN}", text))


def redacted(value: Any) -> Any:
    """The same of a whole structure; members named like secrets are hidden whatever they hold."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {
                redact(str(name)): HIDDEN if str(name).lower() in _SECRET_NAMES else redacted(inner)
                for name, inner in value.items()
            }
        case list() | tuple():
            return [redacted(inner) for inner in value]
        case int() | float() | bool() | None:
            return value
        case _:
            return redact(repr(value))


def printable(json_line: str) -> str:
    """A line of JSON that any terminal shows as it is: the same value, with escapes."""
    return _MISLEADING.sub(lambda found: f"\\u{ord(found[0]):04x}", json_line)
