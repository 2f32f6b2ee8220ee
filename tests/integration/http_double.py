"""A double of the receivers outside: a real HTTP server on loopback that answers by a script and keeps what came."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """One scripted answer.

    `hang`: none until the double is closed. `drop`: the connection is cut instead. `dribble`: a header
    that never ends. `gate`: only when the test has set it.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    dribble: bool = False
    gate: threading.Event | None = None


HANG = Reply(hang=True)
DROP = Reply(drop=True)


@dataclass(frozen=True)
class Arrived:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class HttpDouble:
    """Answers with `replies` in order, the last one again and again. A context manager; `url` is where it listens."""

    def __init__(self, *replies: Reply, port: int = 0) -> None:
        self._replies = deque(replies or (Reply(),))
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self.arrived: list[Arrived] = []
        double = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None: ...

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                double._answer(self, Arrived(self.command, self.path, headers, body))

            do_GET = do_PUT = do_PATCH = do_POST  # noqa: N815  (names that http.server looks up)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, *_: Any) -> None: ...  # a client that goes away is what some tests are about

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def _answer(self, handler: BaseHTTPRequestHandler, arrived: Arrived) -> None:
        with self._changed:
            reply = self._replies.popleft() if len(self._replies) > 1 else self._replies[0]
            self.arrived.append(arrived)
            self._changed.notify_all()
        handler.close_connection = True
        if reply.hang:
            self._closing.wait()
        if reply.gate is not None:
            reply.gate.wait()
        if reply.hang or reply.drop:
            return
        if reply.dribble:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self._closing.wait(0.02):
                handler.wfile.write(b"x")
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        if reply.status != 204:
            handler.send_header("Content-Length", str(len(reply.body)))
        handler.end_headers()
        handler.wfile.write(b"" if reply.status == 204 else reply.body)

    def then(self, *replies: Reply) -> None:
        """Answer with these from now on."""
        with self._changed:
            self._replies = deque(replies)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Arrived]:
        """The first `count` requests; fails when they have not come within `timeout` seconds."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.arrived) >= count, timeout)
            assert came, f"{len(self.arrived)} of {count} requests came"
            return list(self.arrived)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
