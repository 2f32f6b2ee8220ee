"""uvicorn's HTTP protocol with bounds on what is no body, which it does not have itself."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from controller.receiver.limits import HEAD_BYTES, HEAD_SECONDS


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose headers, trailers or chunk extensions grow beyond 64 KiB, or whose head takes 10 s.

    For `uvicorn.Config(http=BoundedHttp)`. The sender is told 431 or 408, unless an answer
    to its request before is still on the way.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_begun = False
        self._moved = False  # this read ended a head, brought body, or ended a message
        self._unmoved_bytes = 0
        self._overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved = False
        super().data_received(data)
        if self._moved:
            self._unmoved_bytes = 0
        else:
            self._unmoved_bytes += len(data)
            if self._unmoved_bytes > HEAD_BYTES:
                self._end(b"431 Request Header Fields Too Large")
                return
        if self._head_begun and self._overdue is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._head_begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_begun = False
        self._moved = True
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._moved = True
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._overdue = self.loop.call_later(HEAD_SECONDS, self._end, b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _end(self, status: bytes) -> None:
        self._stop_timer()
        if self.transport.is_closing():
            return
        # uvicorn's annotation hides that there is no cycle before the first request.
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()
