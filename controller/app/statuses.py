"""Writing `status` into the documents of a cluster, by the process that leads: a few patches a second, at most.

Nothing depends on it: what cannot be written is said once and tried again ever later. A
patch is for the object as the watch showed it; where that has changed, the next look
compares again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from controller.app.cluster import ClusterDocuments, Key, Object
from controller.app.documents import Reading
from controller.app.facts import Rows
from controller.app.status import Judgement, Status, difference, model_status, policy_status
from controller.errors import Conflict, ModelmendError, TemporaryError
from controller.kube import KINDS, Kube, NotFound
from controller.policy import NOTHING, ModelState, PolicySet
from controller.store import states
from controller.store.database import Database, system_clock
from controller.store.newest import Name

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks."""
PATCHES = 5
"""Patches in one look."""
LONGEST_DELAY = 600.0
"""Seconds, at most, after which a document that could not be written is tried again."""


class Statuses:
    """One thread that compares what each object of `cluster` says of itself with what is so."""

    def __init__(
        self,
        kube: Kube,
        cluster: ClusterDocuments,
        db: Database,
        latest: Callable[[], Reading | None],
        in_force: Callable[[], PolicySet | None],
    ) -> None:
        """`latest`: the last reading of the documents; `in_force`: the set that decides, None while none does."""
        self._kube = kube
        self._cluster = cluster
        self._db = db
        self._latest = latest
        self._in_force = in_force
        self._rows = Rows(db)
        self._judged: tuple[Reading, Judgement] | None = None
        self._written: dict[Key, str] = {}
        self._delays: dict[Key, _Delay] = {}
        self._rest = 0.0
        self._away = False
        self._stop = threading.Event()
        self._states: dict[Name, ModelState] = {}
        self._thread = threading.Thread(target=self._run, name="statuses", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call_off(self) -> None:
        """Begin nothing more; returns at once."""
        self._stop.set()

    def stop(self, within: float = 2.0) -> None:
        """End after the call at hand, or with the process where that takes longer than `within` seconds."""
        self.call_off()
        if self._thread.is_alive():
            self._thread.join(within)

    def _run(self) -> None:
        while not self._stop.wait(max(EVERY, self._rest)):
            self._rest = 0.0
            try:
                self.look()
                self._away = False
            except TemporaryError as error:
                self._rest = error.retry_after
                if not self._away:
                    log.warning("statuses are not up to date: %s", error)
                self._away = True
            except Exception:
                self._rest = 60.0
                log.exception("statuses are not up to date")

    def look(self) -> None:
        """Write what differs, within bounds. Raises TemporaryError where the store or the API server is away."""
        reading = self._latest()
        if reading is None or not self._cluster.known or reading.accepted.policies is not self._in_force():
            return  # read and not in force yet
        if self._judged is None or self._judged[0] is not reading:
            self._judged = reading, Judgement(reading)
        seen = self._cluster.seen()
        current = {key: found for key, (found, entry) in seen.items() if entry is reading.entries.get(key)}
        policies = {key[1:] for key in current if key[0] == "RemediationPolicy"}
        models = {key[1:] for key in current if key[0] == "Model"}
        self._rows.look(policies, models)
        with self._db.read() as conn:
            self._states = states.read_all(conn, models)
        self._written = {key: at for key, at in self._written.items() if key in seen and _version(seen[key][0]) == at}
        self._delays = {key: delay for key, delay in self._delays.items() if key in seen}
        due = []
        for key, found in current.items():
            shown = found.get("status") or {}
            if key not in self._written and (patch := difference(shown, self._wanted(reading, key, found, shown))):
                due.append((key, found, patch))
        self._write_few(due)

    def _wanted(self, reading: Reading, key: Key, found: Object, shown: Status) -> Status:
        assert self._judged is not None
        generation = int(found["metadata"].get("generation") or 0)
        status = self._judged[1].status(key, reading.entries[key], generation, shown, system_clock())
        name = key[1:]
        if key[0] == "RemediationPolicy" and (decision := self._rows.decisions.get(name)):
            status |= policy_status(decision, shown)
        if key[0] == "Model":
            status |= model_status(self._rows.remediations.get(name), self._states.get(name, NOTHING))
        return status

    def _write_few(self, due: list[tuple[Key, Object, dict[str, Any]]]) -> None:
        now = time.monotonic()
        ready = [each for each in due if self._delays.get(each[0], _Delay()).until <= now]
        # whether a text is in force is what somebody waits for; the rest takes turns
        ready.sort(key=lambda each: ("conditions" not in each[2], self._delays.get(each[0], _Delay()).written))
        for key, found, patch in ready[:PATCHES]:
            if self._stop.is_set():
                return
            delay = self._delays.setdefault(key, _Delay())
            try:
                self._kube.patch(
                    KINDS[key[0]],
                    key[1],
                    key[2],
                    {"status": patch},
                    resource_version=_version(found),
                    subresource="status",
                )
            except (Conflict, NotFound):
                delay.until = now + EVERY  # the watch will show it
            except TemporaryError:
                raise
            except ModelmendError as error:
                delay.failed(now)
                if delay.failures == 1:
                    log.warning("the status of %s %s/%s cannot be written: %s", *key, error)
            else:
                self._written[key] = _version(found)
                delay.failures, delay.written = 0, now


@dataclass(slots=True)
class _Delay:
    """When a document was written last, and when it may be again; in seconds of a monotonic clock."""

    written: float = 0.0
    until: float = 0.0
    failures: int = 0

    def failed(self, now: float) -> None:
        """Count a failure, and put the next attempt off, ever longer."""
        self.failures += 1
        self.until = now + min(30.0 * 2 ** min(self.failures, 10), LONGEST_DELAY)


def _version(found: Object) -> str:
    return str(found["metadata"].get("resourceVersion") or "")
