"""`Secret`: text that no `repr`, log line, traceback or pickle shows."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Text that is shown to nobody by accident; `reveal` is the one way to it.

    A copy that Python made elsewhere (a header being sent) cannot be wiped; the one held here can.
    """

    __slots__ = ("_bytes",)

    def __init__(self, text: str) -> None:
        self._bytes = bytearray(text.encode())

    def reveal(self) -> str:
        """The text itself; empty after `wipe`."""
        return self._bytes.decode()

    def wipe(self) -> None:
        """Overwrite the text; from now on the secret is empty."""
        self._bytes[:] = bytes(len(self._bytes))
        self._bytes.clear()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._bytes == other._bytes

    def __hash__(self) -> NoReturn:
        raise TypeError("a Secret can be wiped, so it has no hash")

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")
