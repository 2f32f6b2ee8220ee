"""The world's side of the engine: threads that run actions and take samples, and hand back what came of it.

Which work there is follows from the store (open intents, verifications due); this module
only knows what this process has in hand, so that nothing is started twice. A result waits
here until the engine has recorded it, also while the store is away.

An action in the cluster is begun here and no thread waits for its end: that is learnt by
watching its object (`following`). While the API server is away it stays in hand and is
tried again, with growing pauses.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from controller import actions, verify
from controller.actions import Outcome, Ref
from controller.call import pause
from controller.errors import ModelmendError, TemporaryError
from controller.kube import KINDS, Kube
from controller.prometheus import Prometheus
from controller.remediation import IN_CLUSTER, Acted, ActionReason, Intent, Remediation

FIRST_PAUSE = 0.5
"""Seconds until what the API server did not answer is tried again; doubled with each time."""
LONGEST_PAUSE = 15.0

log = logging.getLogger(__name__)

Started = Callable[[Intent, int, float], None]
Resolved = Callable[[Intent, dict[str, Any], str | None], None]


@dataclass(frozen=True, slots=True)
class ActionBegun:
    """An action in the cluster goes by this object, whose end will be its own."""

    intent: Intent
    ref: Ref


@dataclass(frozen=True, slots=True)
class ActionEnded:
    """An action is over, as far as can be told."""

    intent: Intent
    acted: Acted


@dataclass(frozen=True, slots=True)
class Looked:
    """How the object of an action stands, or None where it is gone: asked for where watching did not show it."""

    intent: Intent
    object: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class SampleTaken:
    """A look at what a verification asks for."""

    remediation: Remediation
    sample: verify.Sample


Result = ActionBegun | ActionEnded | Looked | SampleTaken


class _NotBegunError(Exception):
    """The process could not be made durable, so it was never let go."""


class NoLongerWanted(Exception):
    """What a patch is about to set is not wanted any more: its remediation has gone on meanwhile."""


@dataclass(slots=True)
class _Job:
    cancelled: threading.Event = field(default_factory=threading.Event)
    future: Future[None] | None = None
    again_at: float | None = None  # of the monotonic clock: it is put off until then
    again: Callable[[], None] | None = None  # how to begin it anew, where the store does not say so


class Workers:
    """Runs actions and samples in threads of its own.

    :param started: makes a process durable before it acts; called in a worker's thread.
    :param resolved: makes what a patch is about to set durable, likewise.
    :param on_result: tells the engine that `results` has something.
    :param kube: the cluster; None where there is none.
    :param prometheus: likewise whom queries are asked.
    """

    def __init__(
        self,
        count: int,
        started: Started,
        resolved: Resolved,
        on_result: Callable[[], None],
        kube: Kube | None = None,
        prometheus: Prometheus | None = None,
    ) -> None:
        self._kube = kube
        self._prometheus = prometheus
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="action")
        # Of their own: long actions must not starve what proves that they helped.
        self._samplers = ThreadPoolExecutor(count, thread_name_prefix="sample")
        # Likewise: a canary is aborted while long commands run.
        self._callers = ThreadPoolExecutor(count, thread_name_prefix="cluster")
        self._started = started
        self._resolved = resolved
        self._on_result = on_result
        self._jobs: dict[object, _Job] = {}
        self._lock = threading.Lock()
        self._stopping = False
        self._failures: dict[object, int] = {}  # attempts in a row that the API server did not answer
        self.inherited: frozenset[int] = frozenset()  # intents that an earlier process may have begun
        self.dropped = False  # an action could not be begun: it is in nobody's hand and wants another try
        self.results: deque[Result] = deque()

    def has(self, key: object) -> bool:
        """Whether this process has this intent (by id) or sample (by `sample_key`) in hand."""
        with self._lock:
            return key in self._jobs

    def act(self, intent: Intent, extra: Mapping[str, Any]) -> None:
        """Run an intent; `extra` is what its end state does not say (stdin, model)."""
        if intent.action in IN_CLUSTER:
            self._start(self._callers, intent.id, partial(self._ensure, _whole(intent, extra)))
        else:
            self._start(self._pool, intent.id, partial(self._act, _whole(intent, extra)))

    def halt(self, intent: Intent, extra: Mapping[str, Any]) -> None:
        """Have what an intent began in the cluster stop; its end is then observed."""
        self._start(self._callers, ("halt", intent.id), partial(self._halt, _whole(intent, extra)))

    def look(self, intent: Intent) -> None:
        """Ask how the object of an intent stands."""
        self._start(self._callers, ("look", intent.id), partial(self._look, intent))

    def take_up(self) -> bool:
        """Let go of what was put off until now, so that it is begun again; whether there was any."""
        now = time.monotonic()
        with self._lock:
            due = [(key, job) for key, job in self._jobs.items() if job.again_at is not None and job.again_at <= now]
            for key, _ in due:
                del self._jobs[key]
        for _, job in due:
            if job.again is not None:
                job.again()
        return bool(due)

    def sample(self, remediation: Remediation, context: dict[str, Any]) -> None:
        """Take one sample of the verification at hand, unless one is being taken."""
        spec = remediation.parameters[remediation.step]["verify"][remediation.verify_index]
        self._start(self._samplers, sample_key(remediation), partial(self._sample, remediation, spec, context))

    def cancel(self, intent_id: int) -> None:
        """Have an action end soon; what was put off is let go."""
        with self._lock:
            job = self._jobs.get(intent_id)
            if job is not None and job.again_at is not None:
                del self._jobs[intent_id]
        if job is not None:
            job.cancelled.set()

    def recorded(self, result: Result) -> None:
        """The engine has recorded this result: the work is no longer in hand."""
        with self._lock:
            for key in _keys(result):
                self._jobs.pop(key, None)
                self._failures.pop(key, None)

    def report(self, result: Result) -> None:
        """Hand a result to the engine; until that has recorded it, the work stays in hand and is not begun again."""
        with self._lock:
            self._jobs.setdefault(_keys(result)[0], _Job())
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
        for pool in (self._pool, self._samplers, self._callers):
            pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, pool: ThreadPoolExecutor, key: object, work: Callable[[_Job], None]) -> None:
        job = _Job()
        with self._lock:
            if self._stopping or key in self._jobs:
                return
            self._jobs[key] = job
        job.future = pool.submit(work, job)

    def _ensure(self, intent: Intent, job: _Job) -> None:
        if job.cancelled.is_set():  # while it waited for a thread: it is to stop, not to begin
            self._let_go(intent.id)
            return
        if self._kube is None:
            none = "no cluster: start with --kubernetes"
            begun = intent.id in self.inherited
            self._ended(intent, Outcome("unknown" if begun else "failed", none, reason=ActionReason.NO_CLUSTER))
            return
        kube = self._kube
        write = partial(self._resolved, intent)
        inherited = intent.id in self.inherited
        tried = intent.id in self._failures  # an answer may have got lost
        ask = partial(actions.ensure, kube, intent, write, inherited=inherited, tried=tried)
        self._ask(intent, intent.id, job, ask)

    def _halt(self, intent: Intent, job: _Job) -> None:
        if self._kube is None:
            self._ended(intent, Outcome("unknown", "no cluster: it cannot be stopped", reason=ActionReason.NO_CLUSTER))
            return
        kube = self._kube
        self._ask(intent, ("halt", intent.id), job, lambda: actions.halt(kube, intent))

    def _ask(self, intent: Intent, key: object, job: _Job, question: Callable[[], Ref | Outcome | None]) -> None:
        """Ask the cluster; no answer: again later, and until then it stays in hand."""
        try:
            answer = question()
        except TemporaryError as error:
            self._put_off(intent, key, job, error)
            return
        except NoLongerWanted:
            self._let_go(key)
            return
        except Exception as error:
            log.exception("action of %s failed unexpectedly", intent.key)
            answer = Outcome("unknown", f"internal error: {error!r}")
        if self._stopping:
            return
        if isinstance(answer, Outcome):
            self._ended(intent, answer)
        elif answer is not None:
            self.report(ActionBegun(intent, answer))

    def _ended(self, intent: Intent, outcome: Outcome) -> None:
        self.report(ActionEnded(intent, Acted(outcome.state, outcome.message, outcome.outputs, outcome.reason)))

    def _let_go(self, key: object) -> None:
        """Nothing was done: the store says what is to be done instead."""
        with self._lock:
            self._jobs.pop(key, None)
        self.dropped = True
        self._on_result()

    def _put_off(self, intent: Intent, key: object, job: _Job, error: TemporaryError) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        asked = error.retry_after or 0.0
        seconds = max(asked, pause(failures, FIRST_PAUSE, LONGEST_PAUSE, random.random()))  # noqa: S311 — spreads, hides nothing
        log.warning("action of %s: tried again in %.1f s: %s", intent.key, seconds, error)
        with self._lock:
            if job.cancelled.is_set():
                self._jobs.pop(key, None)
            job.again_at = time.monotonic() + seconds

    def _look(self, intent: Intent, job: _Job) -> None:
        assert self._kube is not None
        ref = intent.ref
        assert ref is not None
        try:
            found = self._kube.get(KINDS[ref["kind"]], ref["namespace"], ref["name"])
        except TemporaryError as error:
            job.again = partial(self.look, intent)
            self._put_off(intent, ("look", intent.id), job, error)
            return
        except ModelmendError as error:  # a right was taken away: its end can never be seen
            self._ended(intent, Outcome("unknown", str(error), reason=ActionReason.FORBIDDEN))
            return
        if found is not None and ref["uid"] not in ("", found["metadata"]["uid"]):
            found = None
        if not self._stopping:
            self.report(Looked(intent, found))

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
            acted = Acted(outcome.state, outcome.message, outcome.outputs, outcome.reason)
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
            sample = verify.sample(spec, context, job.cancelled, kube=self._kube, prometheus=self._prometheus)
        except Exception as error:
            log.exception("a sample of %s failed unexpectedly", remediation.id)
            sample = verify.Sample("missing", f"internal error: {error!r}")
        if not self._stopping:
            self.report(SampleTaken(remediation, sample))


def _whole(intent: Intent, extra: Mapping[str, Any]) -> Intent:
    return replace(intent, end_state={**intent.end_state, **extra})


def sample_key(remediation: Remediation) -> tuple[str, int]:
    """What identifies a sample in hand: one at a time for each state of a remediation."""
    return remediation.id, remediation.version


def _keys(result: Result) -> tuple[object, ...]:
    """What is no longer in hand when a result is recorded; the first of them is in hand until then."""
    match result:
        case ActionBegun():
            return (result.intent.id,)
        case ActionEnded():
            return result.intent.id, ("halt", result.intent.id), ("look", result.intent.id)
        case Looked():
            return (("look", result.intent.id),)
        case SampleTaken():
            return (sample_key(result.remediation),)
