"""The world's side of the engine: threads that run actions and take samples, and hand back what came of it.

Which work there is follows from the store (open intents, verifications due); this module
only knows what this process has in hand, so that nothing is started twice. A result waits
here until the engine has recorded it, also while the store is away.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any

from controller import actions, verify
from controller.errors import ModelmendError
from controller.remediation import Acted, Intent, Remediation

log = logging.getLogger(__name__)

Started = Callable[[Intent, int, float], None]


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An action is over, as far as can be told."""

    intent: Intent
    acted: Acted


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """A verifying command has answered."""

    remediation: Remediation
    state: str
    message: str


Result = ActionEnded | SampleTaken


class _NotBegunError(Exception):
    """The process could not be made durable, so it was never let go."""


@dataclass(slots=True)
class _Job:
    cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future[None] | None = None


class Workers:
    """Runs actions and samples in threads of its own.

    :param started: makes a process durable before it acts; called in a worker's thread.
    :param on_result: tells the engine that `results` has something.
    """

    def __init__(self, count: int, started: Started, on_result: Callable[[], None]) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="action")
        # Of their own: long actions must not starve what proves that they helped.
        self._samplers = ThreadPoolExecutor(count, thread_name_prefix="sample")
        self._started = started
        self._on_result = on_result
        self._jobs: dict[object, _Job] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self.dropped = False  # an action could not be begun: it is in nobody's hand and wants another try
        self.results: deque[Result] = deque()

    def has(self, key: object) -> bool:
        """Whether this process has this intent (by id) or sample (by `sample_key`) in hand."""
        with self._lock:
            return key in self._jobs

    def act(self, intent: Intent, extra: Mapping[str, Any]) -> None:
        """Run an intent; `extra` is what its end state does not say (stdin, model)."""
        whole = replace(intent, end_state=dict(intent.end_state) | dict(extra))
        self._start(self._pool, intent.id, lambda job: self._act(whole, job))

    def sample(self, remediation: Remediation, context: dict[str, Any]) -> None:
        """Take one sample of the verification at hand, unless one is being taken."""
        spec = remediation.parameters[remediation.step]["verify"][remediation.verify_index]
        self._start(self._samplers, sample_key(remediation), lambda job: self._sample(remediation, spec, context, job))

    def cancel(self, intent_id: int) -> None:
        """Have an action end soon."""
        with self._lock:
            job = self._jobs.get(intent_id)
        if job is not None:
            job.cancelled.set()

    def recorded(self, result: Result) -> None:
        """The engine has recorded this result: the work is no longer in hand."""
        with self._lock:
            self._jobs.pop(_key(result), None)

    def report(self, result: Result) -> None:
        """Hand a result to the engine; until that has recorded it, the work stays in hand and is not begun again."""
        with self._lock:
            self._jobs.setdefault(_key(result), _Job())
        self.results.append(result)
        self._on_result()

    def stop(self, grace: float) -> None:
        """Wait `grace` seconds for what runs, then end it; what was cut off stays open in the store."""
        with self._lock:
            futures = [job.future for job in self._jobs.values() if job.future is not None]
        _, late = wait(futures, timeout=grace)
        self._stopping = True
        if late:
            log.warning("%d actions or samples are cut off: their fate will be unknown", len(late))
        with self._lock:
            for job in self._jobs.values():
                job.cancelled.set()
        for pool in (self._pool, self._samplers):
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, key: object, work: Callable[[_Job], None]) -> None:
        job = _Job()
        with self._lock:
            if self._stopping or key in self._jobs:
                return
            self._jobs[key] = job
        job.future = pool.submit(work, job)

    def _act(self, intent: Intent, job: _Job) -> None:
        begun = threading.Event()

        def started(pid: int, at: float) -> None:
            try:
                self._started(intent, pid, at)
            except ModelmendError as error:
                raise _NotBegunError from error
            begun.set()

        try:
            outcome = actions.run(intent, started, job.cancelled)
            acted = Acted(outcome.state, outcome.message, outcome.outputs)
        except _NotBegunError as error:  # the store is away: nothing ran, the intent stays open and is begun again
            log.warning("action of %s is not begun: %s", intent.key, error.__cause__)
            with self._lock:
                self._jobs.pop(intent.id, None)
            self.dropped = True
            return
        except Exception as error:
            log.exception("action of %s failed unexpectedly", intent.key)
            acted = Acted("unknown" if begun.is_set() else "failed", f"internal error: {error!r}")
        if not self._stopping:
            self.report(ActionEnded(intent, acted))

    def _sample(self, remediation: Remediation, spec: dict[str, Any], context: dict[str, Any], job: _Job) -> None:
        try:
            sample = verify.sample(spec, context, job.cancelled)
            state, message = sample.state, sample.message
        except Exception as error:
            log.exception("a sample of %s failed unexpectedly", remediation.id)
            state, message = "missing", f"internal error: {error!r}"
        if not self._stopping:
            self.report(SampleTaken(remediation, state, message))


def sample_key(remediation: Remediation) -> tuple[str, int]:
    """What identifies a sample in hand: one at a time for each state of a remediation."""
    return remediation.id, remediation.version


def _key(result: Result) -> object:
    return result.intent.id if isinstance(result, ActionEnded) else sample_key(result.remediation)
