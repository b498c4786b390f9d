"""Whose an open storage is: of the process that opened it. A child that was forked later has it all, and may not."""

from __future__ import annotations

import os

from unbroken.sdk.errors import SdkError


class Opener:
    """The process that makes it."""

    def __init__(self) -> None:
        self._process = os.getpid()

    def require(self) -> None:
        """Refuse every other process.

        Raises:
            SdkError: this process was forked from that one.
        """
        if os.getpid() != self._process:
            raise SdkError("the process that this one was forked from has the SDK open")
