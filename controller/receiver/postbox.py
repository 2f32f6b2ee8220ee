"""Results on their way from the writer's thread to the event loop: one wake-up for a whole commit."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Postbox(Generic[T]):
    """Belongs to one event loop.

    `asyncio.wrap_future` wakes the loop once for each future, with a system call each; here
    what one commit resolves is collected, and the loop is woken for the first of them only.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[tuple[asyncio.Future[T], Future[T]]] = deque()
        self._woken = False

    def wait(self, future: Future[T]) -> asyncio.Future[T]:
        """An awaitable that gives the future's result, or raises its exception."""
        waiter: asyncio.Future[T] = self.loop.create_future()
        future.add_done_callback(partial(self._arrived, waiter))
        return waiter

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
