"""Results on their way from the writer's thread to the event loop: one wake-up for a whole commit."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

from controller.errors import TemporaryError

T = TypeVar("T")

PATIENCE = 10.0
"""Seconds after which a request is told that the store does not answer; what it sent may yet be stored."""
_LOOK = 1.0


class Postbox(Generic[T]):
    """Belongs to one event loop.

    `asyncio.wrap_future` wakes the loop once for each future, with a system call each; here
    what one commit resolves is collected, and the loop is woken for the first of them only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[T], Future[T]]] = deque()
        self._woken = False
        self._waiting: deque[tuple[float, asyncio.Future[T]]] = deque()  # in the order in which they came
        self._looking = False

    def wait(self, future: Future[T]) -> asyncio.Future[T]:
        """An awaitable that gives the future's result, or raises its exception, or TemporaryError after `PATIENCE`."""
        waiter: asyncio.Future[T] = self.loop.create_future()
        self._waiting.append((self.loop.time(), waiter))
        if not self._looking:
            self._looking = True
            self.loop.call_later(_LOOK, self._give_up)
        future.add_done_callback(partial(self._arrived, waiter))
        return waiter

    def _give_up(self) -> None:
        """One timer for all: a timer for each request would cost more than the request's own bookkeeping."""
        late = self.loop.time() - PATIENCE
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= late):
            _, waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(TemporaryError("the store does not answer; send again, it is stored once"))
        self._looking = bool(self._waiting)
        if self._looking:
            self.loop.call_later(_LOOK, self._give_up)

    def _arrived(self, waiter: asyncio.Future[T], future: Future[T]) -> None:
        self._done.append((waiter, future))
        if self._woken:  # set before the loop empties the box, so what was appended above is not overlooked
            return
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._done.clear()

    def _deliver(self) -> None:
        self._woken = False
        while self._done:
            waiter, future = self._done.popleft()
            if waiter.done():  # its request was given up
                continue
            error = future.exception()
            if error is None:
                waiter.set_result(future.result())
            else:
                waiter.set_exception(error)
