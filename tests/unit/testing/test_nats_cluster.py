"""A cluster for tests begins again where one of its ports was taken before it could have it."""

from __future__ import annotations

import socket

from unbroken.testing import nats
from unbroken.testing.process import free_port


def test_a_cluster_that_lost_one_of_its_ports_begins_again(monkeypatch):
    asked = 0

    def port() -> int:
        nonlocal asked
        asked += 1
        return taken.getsockname()[1] if asked == 5 else free_port()  # where the second one listens for the others

    monkeypatch.setattr(nats, "free_port", port)
    monkeypatch.setattr(nats, "START_TIMEOUT_S", 8.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with nats.NatsCluster(3) as cluster:
            assert all(server.is_running for server in cluster.servers)

    assert asked > 9, "three servers have nine ports"
