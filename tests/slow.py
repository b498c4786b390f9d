"""Callers that keep a connection and give nothing, for the platform alone and for what stands in front of it."""

from __future__ import annotations

import select
import ssl
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

WAIT_S = 30.0
STOP_S = 5.0
HALF_HEAD = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Half: "
HALF_BODY = b"POST /sdk/installs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{"
SLOW = [HALF_HEAD] * 40 + [HALF_BODY] * 40 + [b""] * 10


def served_until_all_are_let_go(slow: Iterable[socket.socket], serve: Callable[[], None]) -> int:
    """How often a good caller was served before every slow one was hung up on.

    Args:
        serve: asks as a good caller does, and raises where that is not answered as it should be.
    """
    waiting, served, deadline = set(slow), 0, time.monotonic() + WAIT_S
    for caller in waiting:
        caller.setblocking(False)
    while waiting:
        serve()
        served += 1
        assert time.monotonic() < deadline, f"{len(waiting)} are still connected"
        ready, _, _ = select.select(waiting, [], [], 0.01)
        waiting -= {caller for caller in ready if is_closed(caller)}
    return served


def is_closed(caller: socket.socket) -> bool:
    """Whether the other end hung up; what it said before that is taken."""
    try:
        while caller.recv(65_536):
            pass
    except (BlockingIOError, ssl.SSLWantReadError):
        return False
    except OSError:
        return True
    return True
