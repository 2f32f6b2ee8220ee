"""Following objects as they change: list, watch from there, and list again whenever something may have been missed.

A watch is asked to end after five minutes and is then taken up where it ended; bookmarks
keep that place young while nothing changes. After an error, also one that no longer keeps
that place (410), the objects are listed again. Between two attempts there is always a
pause, and it doubles while watches fail or end at once: the client's own watch and
informer repeat thousands of times a second.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.errors import ModelmendError, PermanentError, TemporaryError
from controller.kube.nesting import read_cut
from controller.kube.refusal import refusal

Object = dict[str, Any]

RESYNC = 600.0
"""Seconds between two readings of the whole state."""
LASTS = 300.0
"""Seconds after which the API is asked to end a watch."""
GRACE = 10.0
"""Seconds of silence after that, before we end it ourselves."""

_STEADY = 5.0  # seconds that a watch must have lasted not to count as failed
_FIRST = 0.2
_LONGEST = 10.0  # seconds: how late we may notice that the API server is back
_REFUSED = 30.0  # seconds, while a right or the CRD is missing
_ASKED = 60.0


@dataclass(slots=True)
class Pace:
    """How long to wait before the next attempt."""

    failures: int = 0

    def after(self, lasted: float, error: ModelmendError | None, chance: float) -> float:
        """Seconds to wait after an attempt that took `lasted` seconds; `chance` in [0, 1) spreads many watches."""
        self.failures = 0 if error is None and lasted >= _STEADY else self.failures + 1
        longest = _REFUSED if isinstance(error, PermanentError) else _LONGEST
        full = min(longest, _FIRST * 2.0 ** min(max(self.failures - 1, 0), 30))
        asked = min(error.retry_after, _ASKED) if isinstance(error, TemporaryError) else 0.0
        return max(full * (0.5 + chance / 2), asked)


@dataclass(frozen=True, slots=True)
class Following:
    """One watch that goes on until it is told to stop; the callbacks are described at `Kube.watch`.

    `listed` reads all objects and their resourceVersion; `lines(query, silence)` begins a watch
    and gives its lines as they come, over when it ends or `silence` seconds pass.
    """

    asked: str
    listed: Callable[[], tuple[list[Object], str]]
    lines: Callable[[Mapping[str, str], float], Generator[bytes, None, None]]
    on: Callable[[str, Object], None]
    synced: Callable[[list[Object]], None]
    failed: Callable[[ModelmendError], None] | None

    def run(self, stop: threading.Event, resync: float) -> None:
        """Go on until `stop`; read the whole state again every `resync` seconds."""
        pace = Pace()
        version = ""  # "": the whole state must be read first
        read = -resync
        while not stop.is_set():
            began = time.monotonic()
            if began - read >= resync:
                version = ""
            error: ModelmendError | None = None
            if not version:
                try:
                    items, version = self.listed()
                except ModelmendError as refused:
                    error = refused
                else:
                    read = began
                    self.synced(items)
            if error is None:
                version, error = self._follow(version, min(LASTS, read + resync - began), stop)
            if stop.is_set():
                return
            if error is not None and self.failed:
                self.failed(error)
            stop.wait(pace.after(time.monotonic() - began, error, random.random()))  # noqa: S311 - a jitter is no secret

    def _follow(self, version: str, seconds: float, stop: threading.Event) -> tuple[str, ModelmendError | None]:
        """Hand on each change until the watch ends; where it stands then ("": nowhere), and why it failed."""
        with contextlib.closing(self._changes(version, seconds)) as changes:
            while not stop.is_set():
                try:  # around the network only: what `on` raises is not the API's
                    change = next(changes, None)
                except ModelmendError as error:
                    return "", error
                if change is None:
                    break
                happened, about = change
                if happened != "BOOKMARK":
                    self.on(happened, about)
                version = about["metadata"]["resourceVersion"]
        return version, None

    def _changes(self, version: str, seconds: float) -> Generator[tuple[str, Object], None, None]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        with contextlib.closing(self.lines(query, seconds + GRACE)) as lines:
            for line in lines:
                change = _change(line)
                if change is None:
                    return
                happened, about = change
                if happened == "ERROR":
                    raise refusal(int(about.get("code") or 500), {}, json.dumps(about).encode(), self.asked)
                yield happened, about


def labelled(labels: Mapping[str, str] | str) -> dict[str, str]:
    """The query for a label selector, given as the API writes it or as labels that must be equal."""
    selector = labels if isinstance(labels, str) else ",".join(f"{key}={value}" for key, value in labels.items())
    return {"labelSelector": selector} if selector else {}


def _change(line: bytes) -> tuple[str, Object] | None:
    """What one line says; None where the connection was cut within it."""
    try:
        said = read_cut(line)
        return (said["type"], said["object"]) if said["object"] is not None else None
    except (ValueError, KeyError, TypeError):
        return None
