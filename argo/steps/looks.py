"""When to look again at what takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Looks:
    """A look every `every` seconds until `seconds` are over; tests bring a clock of their own."""

    seconds: float
    every: float = 1.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def __iter__(self) -> Iterator[None]:
        """At least one look, and one when the time is over."""
        end = self.clock() + self.seconds
        while True:
            yield
            left = end - self.clock()
            if left <= 0:
                return
            self.sleep(min(self.every, left))
