"""How often somebody may try to sign in: guessing a token is hopeless, and is answered with a word to wait."""

from __future__ import annotations

from collections import OrderedDict, deque
from threading import Lock

FAILURES = 10
"""Failed attempts of one address in WITHIN; a wrong token after that is told to wait, a right one is let in."""
WITHIN = 60.0  # seconds
_ADDRESSES = 4096


class Attempts:
    """Failed attempts, by address; of more addresses than can be kept the oldest are forgotten."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, address: str, tick: float) -> float:
        """Seconds until this address may try again; 0: it may now. `tick` counts seconds."""
        with self._lock:
            failed = self._failed.get(address)
            while failed and failed[0] <= tick - WITHIN:
                failed.popleft()
            return failed[0] + WITHIN - tick if failed and len(failed) >= FAILURES else 0.0

    def failed(self, address: str, tick: float) -> None:
        """Note a failed attempt."""
        with self._lock:
            self._failed.setdefault(address, deque(maxlen=FAILURES)).append(tick)
            self._failed.move_to_end(address)
            while len(self._failed) > _ADDRESSES:
                self._failed.popitem(last=False)
