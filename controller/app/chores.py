"""What is done beside the line: forgetting what is old, and the figures that are read, not counted."""

from __future__ import annotations

import logging
import threading
import time

from controller.errors import ModelmendError
from controller.metrics import Metrics
from controller.settings import Settings
from controller.store import retention, standing
from controller.store.leader import Leadership

PURGE_EVERY = 3600.0
"""Seconds between two purges."""
FIGURES_EVERY = 10.0
"""Seconds between two readings of the gauges."""

log = logging.getLogger(__name__)


class Chores:
    """One thread: every ten seconds it holds the leader's lock and reads the gauges, every hour it purges."""

    def __init__(self, leadership: Leadership, settings: Settings, metrics: Metrics) -> None:
        self._leadership = leadership
        self._keep = retention.Retention(settings.retention.events, settings.retention.decisions)
        self._metrics = metrics
        self._stop = threading.Event()
        self._answered = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="chores", daemon=True)

    def start(self) -> None:
        """Begin; the first purge comes with the start."""
        self._thread.start()

    @property
    def silence(self) -> float:
        """Seconds since the store last answered; at most FIGURES_EVERY and a query where all is well."""
        return time.monotonic() - self._answered

    def stop(self) -> None:
        """End after the transaction at hand."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        waited = PURGE_EVERY
        while not self._stop.is_set():
            try:
                self._leadership.hold()
                self._read_figures()
                if waited >= PURGE_EVERY:
                    waited = 0.0
                    self._purge()
            except ModelmendError as error:
                log.warning("chores put off: %s", error)
            except Exception:
                log.exception("chores put off")
            self._stop.wait(FIGURES_EVERY)
            waited += FIGURES_EVERY

    def _purge(self) -> None:
        with self._leadership.db.read() as conn:
            now = self._leadership.db.now(conn)
        gone = retention.purge(self._leadership, now, self._keep, stopping=self._going_on)
        if any(gone.values()):
            log.info("purged: %s", ", ".join(f"{count} {table}" for table, count in sorted(gone.items()) if count))

    def _going_on(self) -> bool:
        self._answered = time.monotonic()
        return self._stop.is_set()

    def _read_figures(self) -> None:
        with self._leadership.db.read() as conn:
            figures = standing.status(conn, self._leadership.db.now(conn))
        self._answered = time.monotonic()
        self._metrics.set_active(figures["activeRemediations"])
        self._metrics.conditions_open.set(figures["openConditions"])
        self._metrics.questions_open.set(figures["openQuestions"])
        self._metrics.outbox_pending.set(figures["outboxPending"])
        self._metrics.quarantine_items.set(figures["quarantined"])
