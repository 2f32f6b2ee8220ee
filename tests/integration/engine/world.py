"""The outside world as a double at two doors, `actions.run` and `verify.sample`: it answers as the test says.

Nothing here runs by itself. Work that the engine starts lies in `Deferred` until the scene
lets it run, in the test's own thread: so an action takes as long as the test wants, and the
same history is the same each time.
"""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller import actions, verify
from controller.actions import Outcome
from controller.engine.loop import Engine
from controller.engine.working import _Job
from controller.prometheus import NoNumber, NoQuestion
from controller.remediation import Intent
from controller.verify import Sample


class Deferred:
    """Stands for a pool of threads: keeps what was submitted until it is told to run it."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callable[[_Job], None], _Job]] = deque()

    def submit(self, work: Callable[[_Job], None], job: _Job) -> Future[None]:
        self.waiting.append((work, job))
        return Future()

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        self.waiting.clear()

    def run(self, ready: Callable[[_Job], bool]) -> bool:
        """Run what is ready; whether anything was."""
        found = [item for item in self.waiting if ready(item[1])]
        for item in found:
            self.waiting.remove(item)
            work, job = item
            work(job)
        return bool(found)


@dataclass
class World:
    """What actions come to and what verifying commands say; by default all is done and nothing has changed."""

    outcome: str = "done"
    says: str = "recovered"
    busy: bool = False  # actions take as long as this is True, unless they are stopped
    stubborn: bool = False  # and do not stop either
    blind: bool = False  # verifying commands do not answer
    acted: list[str] = field(default_factory=list)  # keys of intents, in the order in which they were done
    stopped: list[str] = field(default_factory=list)
    script: deque[str] = field(default_factory=deque)  # outcomes of the next actions, before `outcome`
    values: Callable[[str, datetime], float | str] = lambda query, time: (
        "no data"
    )  # of Prometheus; text: why there is none
    outputs: dict[str, Any] = field(default_factory=dict)  # of the next actions
    asked: list[tuple[str, datetime]] = field(default_factory=list)  # of Prometheus
    told: list[dict[str, Any]] = field(default_factory=list)  # to samples by query
    samples: deque[str] = field(default_factory=deque)  # answers of the next samples, before `says`

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand at the doors."""
        monkeypatch.setattr(actions, "run", self.run)
        monkeypatch.setattr(actions, "orphan", lambda intent: False)
        monkeypatch.setattr(verify, "sample", self.sample)

    def run(self, intent: Intent, started: Callable[[int, float], None], cancelled: threading.Event) -> Outcome:
        if cancelled.is_set():
            self.stopped.append(intent.key)
            return Outcome("stopped", "stopped")
        started(4_000_000 + intent.id, 0.0)
        self.acted.append(intent.key)
        state = self.script.popleft() if self.script else self.outcome
        return Outcome(state, "as scripted", dict(self.outputs))  # type: ignore[arg-type]

    def sample(
        self,
        spec: dict[str, Any],
        told: dict[str, Any],
        cancelled: threading.Event,
        *,
        kube: object,
        prometheus: object,
    ) -> Sample:
        if spec["kind"] == "query":
            return self.measures(spec, told)
        return Sample(self.samples.popleft() if self.samples else self.says)  # type: ignore[arg-type]

    def measures(self, spec: dict[str, Any], told: dict[str, Any]) -> Sample:
        """What the real sampler makes of a Prometheus that answers with `values`, and with nothing else."""
        self.told.append(told)
        return verify.query.sample(spec, told, threading.Event(), self)  # type: ignore[arg-type]

    def at(self, query: str, time: datetime, cancelled: threading.Event) -> float:
        self.asked.append((query, time))
        found = self.values(query, time)
        if isinstance(found, str):
            raise (NoQuestion if "parse error" in found else NoNumber)(found)
        return found

    def mean(self, query: str, start: datetime, end: datetime, every: timedelta, cancelled: threading.Event) -> float:
        return self.at(query, end, cancelled)

    def lets(self, engine: Engine) -> Callable[[_Job], bool]:
        """Which work may run now."""

        def ready(job: _Job) -> bool:
            key = next((key for key, held in engine._workers._jobs.items() if held is job), None)
            if isinstance(key, tuple):
                return not self.blind
            return not self.stubborn if job.cancelled.is_set() else not self.busy

        return ready
