"""The receiver of pages: a small web server that keeps what modelmend's outbox posts to it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Pager:
    """What was received, in order; the same delivery again (its idempotency key) is kept once."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.url = ""
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def receive(self, key: str, message: dict[str, Any]) -> None:
        """Keep one message unless its key is known."""
        with self._lock:
            if key not in self._keys:
                self._keys.add(key)
                self.messages.append(message)


@contextlib.contextmanager
def listening() -> Iterator[Pager]:
    """A pager that listens on a free port of this machine."""
    pager = Pager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            pager.receive(self.headers.get("Idempotency-Key", ""), json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Nothing: the story is told elsewhere."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pager.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield pager
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
