"""Hosts on one machine: network namespaces that one bridge joins, so that the wire between any two can be cut.

A cut is silent, as a pulled cable is: each of the two sends its frames for the other to an address that nobody has, so
neither is told anything, and what was connected finds out by waiting. It uses `ip` of iproute2 alone, and needs root.
The addresses are of the range that is kept for measurements between networks (RFC 2544) and leave the machine nowhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

_NOBODY: Final = "02:00:00:00:00:01"
_FOR_EVER: Final = ("dev", "wire", "nud", "permanent")


class NoNamespaces(RuntimeError):
    """Hosts cannot be made on this machine; the message says what is missing."""


class Network:
    """One host for each name, and this process beside them at `outside`; a context manager that takes all down.

    Args:
        hosts: their names, short.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = list(hosts)
        self._mark = f"u{os.getpid():x}"
        self._net = f"198.{18 + os.getpid() // 256 % 2}.{os.getpid() % 256}"
        self._cut: set[frozenset[str]] = set()

    @property
    def outside(self) -> str:
        """The address of this process on the bridge."""
        return f"{self._net}.254"

    def address(self, host: str) -> str:
        """Of a host."""
        return f"{self._net}.{self._hosts.index(host) + 1}"

    def prefix(self, host: str) -> list[str]:
        """What is put before a command so that it runs on a host."""
        return [_ip(), "netns", "exec", self._space(host)]

    def cut(self, one: str, other: str) -> None:
        """Let nothing through between two hosts, in either direction, until `heal`."""
        for here, there in ((one, other), (other, one)):
            self._run("-n", self._space(here), "neigh", "replace", self.address(there), "lladdr", _NOBODY, *_FOR_EVER)
        self._cut.add(frozenset((one, other)))

    def unplug(self, host: str) -> None:
        """Let nothing more through to a host or from it, as where it has lost its power; for good."""
        self._run("-n", self._space(host), "link", "set", "wire", "down")

    def heal(self) -> None:
        """Join again whatever was cut."""
        for one, other in map(tuple, self._cut):
            for here, there in ((one, other), (other, one)):
                self._run("-n", self._space(here), "neigh", "del", self.address(there), "dev", "wire")
        self._cut.clear()

    def __enter__(self) -> Self:
        require()
        try:
            self._run("link", "add", self._mark, "type", "bridge")
            self._run("addr", "add", f"{self.outside}/24", "dev", self._mark)
            self._run("link", "set", self._mark, "up")
            for host in self._hosts:
                self._add(host)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take it down; what still runs on a host loses its network."""
        for host in self._hosts:
            self._run("link", "del", self._wire(host), may_fail=True)  # of its own, it goes a moment after its host
            self._run("netns", "del", self._space(host), may_fail=True)
        self._run("link", "del", self._mark, may_fail=True)

    def _add(self, host: str) -> None:
        space, outer = self._space(host), self._wire(host)
        self._run("netns", "add", space)
        self._run("link", "add", outer, "type", "veth", "peer", "name", "wire", "netns", space)
        self._run("link", "set", outer, "master", self._mark, "up")
        self._run("-n", space, "addr", "add", f"{self.address(host)}/24", "dev", "wire")
        for link in ("lo", "wire"):
            self._run("-n", space, "link", "set", link, "up")

    def _wire(self, host: str) -> str:
        return f"{self._mark}-{self._hosts.index(host)}"

    def _space(self, host: str) -> str:
        return f"{self._mark}-{host}"

    def _run(self, *words: str, may_fail: bool = False) -> None:
        done = subprocess.run([_ip(), *words], capture_output=True, text=True, check=False)
        if done.returncode != 0 and not may_fail:
            raise NoNamespaces(f"ip {' '.join(words)}: {done.stderr.strip()}")


def require() -> None:
    """See whether hosts can be made here.

    Raises:
        NoNamespaces: naming what to do.
    """
    if os.geteuid() != 0:
        raise NoNamespaces("Network namespaces need root: run these tests as root, in a container perhaps.")
    _ip()


def _ip() -> str:
    found = shutil.which("ip")
    if found is None:
        raise NoNamespaces("The program ip is not there: apt-get install iproute2, or your system's name for it.")
    return found
