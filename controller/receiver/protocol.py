"""uvicorn's HTTP protocol with bounds on what is no body, which it does not have itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from controller.receiver.answers import problem
from controller.receiver.limits import HEAD_BYTES, HEAD_SECONDS

# uvicorn warns of every request that is no HTTP: who sends those must not fill our log.
_log = logging.getLogger(f"{__name__}.uvicorn")
_log.setLevel(logging.ERROR)


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection whose headers, trailers or chunk extensions grow beyond 64 KiB, or whose head takes 10 s.

    For `uvicorn.Config(http=BoundedHttp)`. The sender is told 431 or 408, and 400 for what is no HTTP.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logger = _log
        self._ending = False  # what came last was broken: no more is read, answers under way are still given
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
                self._end(431, "headers, trailers or chunk extensions are too large")
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

    def on_response_complete(self) -> None:
        last = self._ending and not self.pipeline
        super().on_response_complete()
        if last:
            self.transport.close()

    def _start_timer(self) -> None:
        self._overdue = self.loop.call_later(
            HEAD_SECONDS, self._end, 408, f"the headers did not end within {HEAD_SECONDS:g} s"
        )

    def _stop_timer(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._end(400, "this is no HTTP request")

    def _end(self, status: int, detail: str) -> None:
        """Answer and close; or close after the answers to whole requests that came before."""
        self._stop_timer()
        if self.transport.is_closing() or self._ending:
            return
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            if self.pipeline and cycle.more_body:
                self.pipeline.popleft()  # the broken one itself
                self._ending = True
            elif self.pipeline or cycle.response_started or not cycle.more_body:
                self._ending = True
        if self._ending:
            return
        answer = problem(status, detail)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close")]
        lines = [STATUS_LINE[status], *(b"%b: %b\r\n" % header for header in headers), b"\r\n", answer.body]
        self.transport.write(b"".join(lines))
        self.transport.close()
