"""Policies and models from their files into force: at the start, and whenever a file changes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from controller.errors import ConfigError
from controller.metrics import Metrics
from controller.policy import Accepted, Document, Installation, PolicySet, accept, read_documents, stamps

log = logging.getLogger(__name__)

Adopt = Callable[[PolicySet, tuple[str, ...]], None]


class Reloader:
    """Looks at the files every `every` seconds and hands a changed set to `adopt`.

    A bad document is refused and named; its text before stays in force.
    """

    def __init__(
        self,
        paths: tuple[Path, ...],
        installation: Installation,
        every: float,
        adopt: Adopt,
        metrics: Metrics,
        before: list[Document],
    ) -> None:
        self._paths = paths
        self._installation = installation
        self._every = every
        self._adopt = adopt
        self._metrics = metrics
        self._before: tuple[Document, ...] = tuple(before)
        self._seen = stamps(paths)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)

    def first(self, *, insist: bool) -> PolicySet:
        """Read the files for the start.

        :param insist: nothing was ever in force, so that a bad document has nothing to fall back on.
        :raises ConfigError: every problem, where `insist`.
        """
        accepted = self._read()
        if accepted.problems and insist:
            raise ConfigError(tuple(map(str, accepted.problems)))
        self._take(accepted)
        return accepted.policies

    def start(self) -> None:
        """Begin to look for changes."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                seen = stamps(self._paths)
                if seen != self._seen:
                    self._seen = seen
                    self._reload()
            except Exception:
                self._metrics.reloads.labels("failed").inc()
                log.exception("policies could not be reloaded: the set before stays in force")

    def _reload(self) -> None:
        digest = PolicySet(documents=self._before).digest
        accepted = self._read()
        if accepted.problems:
            self._metrics.reloads.labels("refused").inc()
        elif PolicySet(documents=accepted.policies.documents).digest == digest:
            self._metrics.reloads.labels("unchanged").inc()
        else:
            self._metrics.reloads.labels("changed").inc()
        self._take(accepted)

    def _read(self) -> Accepted:
        documents, problems = read_documents(self._paths)
        return accept(documents, self._installation, problems, self._before)

    def _take(self, accepted: Accepted) -> None:
        for problem in accepted.problems:
            log.error("refused: %s", problem)
        policies = accepted.policies
        log.info("in force: %d policies, %d models", len(policies.policies), len(policies.models))
        self._before = policies.documents
        self._adopt(policies, tuple(map(str, accepted.problems)))
