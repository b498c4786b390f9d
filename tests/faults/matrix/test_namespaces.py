"""A cut between two hosts is silent, reaches what is connected already, leaves all others alone, and heals."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from tests.faults.matrix.namespaces import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

_ECHO = """
import socket, sys, threading
def serve(each):
    while said := each.recv(100): each.sendall(said)
listening = socket.create_server((sys.argv[1], 7))
print("ready", flush=True)
while True: threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
"""
_TALK = """
import socket, sys
connection = None
for word in sys.stdin:
    if connection is None:
        connection = socket.create_connection((sys.argv[1], 7), timeout=10)
    connection.settimeout(float(word))
    connection.sendall(b"x")
    try:
        print(connection.recv(1).decode(), flush=True)
    except TimeoutError:
        print("silence", flush=True)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(["a", "b", "c"]) as network:
        yield network


class Talk:
    """A connection from one host to the echo of another."""

    def __init__(self, network: Network, here: str, there: str, held: ExitStack) -> None:
        words = [*network.prefix(here), sys.executable, "-c", _TALK, network.address(there)]
        self._process = held.enter_context(subprocess.Popen(words, stdin=-1, stdout=-1, text=True))
        held.callback(self._process.kill)

    def says(self, patience_s: float) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{patience_s}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


def test_a_cut_is_silent_for_both_and_for_nobody_else_and_heals(network: Network) -> None:
    with ExitStack() as held:
        echo = [*network.prefix("b"), sys.executable, "-c", _ECHO, network.address("b")]
        server = held.enter_context(subprocess.Popen(echo, stdout=-1, text=True))
        held.callback(server.kill)
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        cut, other = Talk(network, "a", "b", held), Talk(network, "c", "b", held)
        assert cut.says(10) == other.says(10) == "x"

        network.cut("a", "b")
        assert cut.says(0.5) == "silence"
        assert other.says(10) == "x"
        with socket.create_connection((network.address("b"), 7), timeout=10):
            pass  # from outside, too
        connect = f"import socket; socket.create_connection(({network.address('b')!r}, 7))"
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run([*network.prefix("a"), sys.executable, "-c", connect], timeout=0.7, check=True)

        network.heal()
        assert cut.says(10) == "x"


def test_what_was_made_is_gone_afterwards(network: Network) -> None:
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert network._space("a") in spaces
    network.close()
    spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert network._mark not in spaces
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    assert network._mark not in links
