"""A process that forks when it has called the platform: nobody reads a reply that is another process's."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

CHILD = Path(__file__).with_name("forking_child.py")
PROFILE = (
    b'{"type": "User", "id": "%s", "created_at": "2026-11-23T21:12:54.000+00:00", "application_id": "a", '
    b'"install_id": null, "external_id": null, "metadata": {}}'
)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked: ClassVar[dict[object, list[str]]] = defaultdict(list)

    def do_GET(self):
        user = self.path.rpartition("/")[2]
        self.asked[self.client_address].append(user)
        body = PROFILE % user.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_forked_worker_opens_a_connection_of_its_own():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever)
        serving.start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            subprocess.run([sys.executable, str(CHILD), url], check=True, timeout=120)
        finally:
            server.shutdown()
            serving.join()
    first, second = (f"{number:024x}" for number in range(2))
    assert sorted(Handler.asked.values()) == [[first, first], [second]]
