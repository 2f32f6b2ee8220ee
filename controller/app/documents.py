"""Policies and models from their files, and from a cluster, into force: at the start, and whenever one changes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from controller.app.cluster import UNREAD, ClusterDocuments, Entry, Key
from controller.errors import ConfigError
from controller.metrics import Metrics
from controller.policy import (
    CLUSTER,
    Accepted,
    Document,
    Installation,
    PolicySet,
    Problem,
    accept,
    read_documents,
    stamps,
)

log = logging.getLogger(__name__)

FIRST_READING = 5.0
"""Seconds that a start waits for the cluster's documents."""
SETTLE = 0.3
"""Seconds that changes in a cluster are collected: `kubectl apply` of many is one change."""
REST = 4.0
"""And this many times as long as the last reading took: a thousand policies take 0.7 s of computing."""

AGAIN = 6
"""Failed reloads after which the next waits no longer than before: 2**AGAIN seconds."""

Adopt = Callable[[PolicySet, tuple[str, ...]], None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one reading of everything gave, and what each object of the cluster said then."""

    accepted: Accepted
    entries: Mapping[Key, Entry]


class Reloader:
    """Looks at the files every `every` seconds, is told by `cluster`, and hands a changed set to `adopt`.

    A bad document is refused and named; its text before stays in force. `latest` is the last
    reading, None before the first.
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
        self._cluster: ClusterDocuments | None = None
        self._told: frozenset[Problem] = frozenset()
        self._seen = stamps(paths)
        self._took = 0.0
        self._change = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reloader", daemon=True)
        self.latest: Reading | None = None

    def watch(self, cluster: ClusterDocuments) -> None:
        """Take the documents of a cluster too; before `first`. Its `changed` must be `self.changed`."""
        self._cluster = cluster

    def changed(self) -> None:
        """A document in the cluster says something else; by any thread."""
        self._change.set()

    @property
    def waiting(self) -> str:
        """What must be read before anything can be in force; '' where something is."""
        if self.latest is not None or self._cluster is None:
            return ""
        return f"the cluster's documents are not known yet: {self._cluster.trouble or 'no answer'}"

    def first(self, *, insist: bool) -> None:
        """Read everything for the start.

        A cluster that does not answer in time is read when it does: until then what was in force stays
        so, or, where nothing ever was, nothing is (`waiting`).

        :param insist: nothing was ever in force, so that a bad document has nothing to fall back on.
        :raises ConfigError: every problem of the files, where `insist`.
        """
        if self._cluster is not None and not self._cluster.wait(FIRST_READING):
            log.warning("the cluster's documents are not known yet: %s", self._cluster.trouble or "no answer")
        self._change.clear()
        reading = self._read()
        problems = [problem for problem in reading.accepted.problems if problem.file != CLUSTER]
        if problems and insist:
            raise ConfigError(tuple(map(str, problems)))
        if not insist or UNREAD not in reading.accepted.problems:
            self._take(reading)

    def start(self) -> None:
        """Begin to look for changes."""
        self._thread.start()

    def call_off(self) -> None:
        """Begin nothing more; returns at once."""
        self._stop.set()
        self._change.set()

    def stop(self, within: float = 2.0) -> None:
        """Look no more. A reading that takes longer than `within` seconds ends with the process."""
        self.call_off()
        if self._thread.is_alive():
            self._thread.join(within)

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            told = self._change.wait(max(self._every, 2.0 ** min(failures, AGAIN)) if failures else self._every)
            if told:
                self._stop.wait(max(SETTLE, REST * self._took))
            if self._stop.is_set():
                return
            try:
                self._change.clear()
                seen = stamps(self._paths)
                if told or failures or seen != self._seen:
                    self._reload()
                    self._seen, failures = seen, 0
            except Exception:
                failures += 1
                self._metrics.reloads.labels("failed").inc()
                log.exception("policies could not be reloaded: the set before stays in force")

    def _reload(self) -> None:
        if self.latest is None and self._cluster is not None and not self._cluster.known:
            return  # half a set is none
        digest = PolicySet(documents=self._before).digest
        reading = self._read()
        accepted = reading.accepted
        if accepted.problems:
            self._metrics.reloads.labels("refused").inc()
        elif PolicySet(documents=accepted.policies.documents).digest == digest:
            self._metrics.reloads.labels("unchanged").inc()
        else:
            self._metrics.reloads.labels("changed").inc()
        self._take(reading)

    def _read(self) -> Reading:
        began = time.monotonic()
        documents, problems = read_documents(self._paths)
        entries: dict[Key, Entry] = {}
        if self._cluster is not None and self._cluster.known:
            entries = self._cluster.entries()
        elif self._cluster is not None:
            problems.append(UNREAD)
        for _, entry in sorted(entries.items()):
            documents += [entry.document] if entry.document else []
            problems += entry.problems
        reading = Reading(accept(documents, self._installation, problems, self._before), entries)
        self._took = time.monotonic() - began
        return reading

    def _take(self, reading: Reading) -> None:
        accepted = reading.accepted
        for problem in accepted.problems:
            if problem not in self._told:
                log.error("refused: %s", problem)
        self._told = frozenset(accepted.problems)
        policies = accepted.policies
        log.info("in force: %d policies, %d models", len(policies.policies), len(policies.models))
        self._before = policies.documents
        self.latest = reading
        self._adopt(policies, tuple(map(str, accepted.problems)))
