"""A platform, and Caddy in front of it, with the Caddyfile that is shipped."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import time
from base64 import b64encode
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from tests.deploy.programs import DEPLOY, program

from unbroken.testing.process import PlatformProcess, free_port, spawn, stop_process

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

WAIT_S = 60.0
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "proxied", "version": "1"}}


class Front:
    """A platform, and Caddy in front of it."""

    def __init__(self, directory: Path, caddyfile: Path, **settings: str) -> None:
        self.platform = PlatformProcess(directory / "data", lab=False, settings=settings)
        self.port = free_port()
        self._directory, self._caddyfile = directory, caddyfile

    @contextmanager
    def running(self) -> Iterator[Front]:
        with self.platform:
            self.app = self.platform.command("app", "create", "proxied")
            with (self._directory / "caddy.log").open("wb") as output:
                caddy = spawn(
                    [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(self._caddyfile)],
                    self._environment(),
                    output,
                )
            self.stop = lambda: stop_process(caddy)
            try:
                self.trust = self._await_certificate(caddy)
                yield self
            finally:
                self.stop()

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "UNBROKEN_SITE": "localhost",
            "UNBROKEN_UPSTREAMS": self.platform.base_url.removeprefix("http://"),
            "CADDY_HTTP_PORT": str(free_port()),
            "CADDY_HTTPS_PORT": str(self.port),
            "XDG_DATA_HOME": str(self._directory),
            "XDG_CONFIG_HOME": str(self._directory),
        }

    def _await_certificate(self, caddy: subprocess.Popen[bytes]) -> ssl.SSLContext:
        """Caddy signs `localhost` itself: wait until it answers under that certificate."""
        root = self._directory / "caddy" / "pki" / "authorities" / "local" / "root.crt"
        deadline = time.monotonic() + WAIT_S
        while True:
            with suppress(OSError):
                trust = ssl.create_default_context(cafile=str(root))
                with closing(self.connect(trust)):
                    return trust
            assert caddy.poll() is None, (self._directory / "caddy.log").read_text()
            assert time.monotonic() < deadline, (self._directory / "caddy.log").read_text()
            time.sleep(0.05)

    def connect(self, trust: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection(("localhost", self.port), WAIT_S)
        return (trust or self.trust).wrap_socket(raw, server_hostname="localhost")

    def call(self, method: str, path: str, body: object = None, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection("localhost", self.port, context=self.trust, timeout=WAIT_S)
        with closing(connection):
            connection.request(method, path, body=body, headers=headers, encode_chunked="transfer_encoding" in headers)
            reply = connection.getresponse()
            reply.text = reply.read()
            return reply

    @property
    def basic(self) -> str:
        return "Basic " + b64encode(f"{self.app['app_id']}:{self.app['app_secret']}".encode()).decode()

    def token(self) -> str:
        reply = self.call("POST", "/sdk/installs", json.dumps(PHONE), Authorization=self.basic)
        assert reply.status == 201, reply.text
        return "Bearer " + json.loads(reply.text)["user_token"]["token"]


def changed(directory: Path, **values: str) -> Path:
    """The Caddyfile with other times, so that a test need not wait out those in force."""
    text = (DEPLOY / "Caddyfile").read_text()
    for name, value in values.items():
        text, count = re.subn(rf"(?m)^(\s*{name}) \S+", rf"\1 {value}", text)
        assert count == 1, name
    path = directory / "Caddyfile"
    path.write_text(text)
    return path
