"""Senders in threads that do what senders should: send again until the answer is 2xx, to whichever process serves."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from http.client import HTTPException
from typing import Any, Self

from tests.e2e.serving import BATCH, STRUCTURED, Line

Item = dict[str, Any]


class Storm:
    """Sends every request of `requests` (each a list of events: one alone, several as a batch), `senders` at a time.

    `insist` False: a request that was not answered is not sent again, and the storm ends when nobody answers any more.
    A context manager: when the block ends, so do the senders.
    """

    def __init__(
        self, url: Callable[[], str], requests: Iterable[Sequence[Item]], *, senders: int = 4, insist: bool = True
    ) -> None:
        self._url = url
        self._requests = deque(requests)
        self._insist = insist
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]
        self.acknowledged: set[str] = set()
        self.statuses: list[int] = []
        """Of every answer, in the order in which they came."""
        self.unanswered = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.wait()

    @property
    def running(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def wait(self) -> None:
        """Until everything is answered with 2xx (or, not insisting, sent once)."""
        for thread in self._threads:
            thread.join()

    def known(self) -> set[str]:
        """The ids that got their 2xx so far."""
        with self._lock:
            return set(self.acknowledged)

    def _next(self) -> Sequence[Item] | None:
        try:
            return self._requests.popleft()
        except IndexError:
            return None

    def _send(self) -> None:
        line, url = None, ""
        while not self._stop.is_set() and (events := self._next()) is not None:
            body = json.dumps(events[0] if len(events) == 1 else events).encode()
            content_type = STRUCTURED if len(events) == 1 else BATCH
            while not self._stop.is_set():
                if line is None or url != self._url():
                    url = self._url()
                    line = Line(url, timeout=20)
                try:
                    status = line.ask("POST", "/events", body, content_type).status
                except (OSError, HTTPException):
                    line.close()
                    line = None
                    with self._lock:
                        self.unanswered += 1
                    if not self._insist:
                        return
                    time.sleep(0.02)
                    continue
                with self._lock:
                    self.statuses.append(status)
                    if status == 202:
                        self.acknowledged.update(event["id"] for event in events)
                if status == 202 or not self._insist:
                    break
                time.sleep(0.05)
        if line is not None:
            line.close()


def mixed(events: Sequence[Item], *, batch: int = 40, singles: int = 10) -> list[list[Item]]:
    """The events as requests: `singles` alone, then a batch, and so on."""
    requests: list[list[Item]] = []
    at = 0
    while at < len(events):
        requests += [[event] for event in events[at : at + singles]]
        at += singles
        if at < len(events):
            requests.append(list(events[at : at + batch]))
            at += batch
    return requests
