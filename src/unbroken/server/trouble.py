"""What keeps a platform from starting: for the operator, in a sentence that says what to do."""

from __future__ import annotations


class CannotStart(Exception):
    """The platform cannot be opened or served; the message says why and what to do. No traceback belongs to it."""
