"""A lock that serves its waiters in the order in which they came.

Python's own lock promises no order: a busy engine can take it again and again while intake
waits. Here the one who lets go hands the lock to the longest waiter.
"""

from __future__ import annotations

from collections import deque
from threading import Lock, get_ident
from types import TracebackType


class Turnstile:
    """One thread at a time, first come, first served; entering twice raises RuntimeError."""

    def __init__(self) -> None:
        self._mutex = Lock()
        self._owner: int | None = None
        self._waiting: deque[tuple[int, Lock]] = deque()

    def held_here(self) -> bool:
        """Whether the calling thread is inside."""
        return self._owner == get_ident()

    def __enter__(self) -> None:
        me = get_ident()
        with self._mutex:
            if self._owner is None:
                self._owner = me
                return
            if self._owner == me:
                raise RuntimeError("this thread is already inside: transactions do not nest")
            gate = Lock()
            gate.acquire()
            waiter = (me, gate)
            self._waiting.append(waiter)
        try:
            gate.acquire()
        except BaseException:  # Ctrl-C while waiting must not leave a gate that nobody goes through
            with self._mutex:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                else:
                    self._pass_on()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._mutex:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._waiting:
            self._owner, gate = self._waiting.popleft()
            gate.release()
        else:
            self._owner = None
