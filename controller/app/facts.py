"""What statuses say beyond acceptance: rows of the store and versions of serving objects, as of the last look."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.errors import ModelmendError, TemporaryError
from controller.kube import KINDS, Kube
from controller.policy import Model, read_version
from controller.store import newest
from controller.store.database import Database
from controller.store.newest import Name, Newest, Shown

log = logging.getLogger(__name__)

VERSION_EVERY = 30.0
"""Seconds between two readings of one serving object."""
VERSIONS = 5
"""Serving objects read in one look."""
MARGIN = timedelta(minutes=1)
"""A transaction's `now` lies before its commit by less than this."""


@dataclass(slots=True)
class Rows:
    """The newest decision of each policy and the remediation that each model shows, of those asked for."""

    db: Database
    decisions: dict[Name, Newest] = field(default_factory=dict)
    remediations: dict[Name, Shown] = field(default_factory=dict)
    _policies: set[Name] = field(default_factory=set)
    _models: set[Name] = field(default_factory=set)
    _last: int = 0
    _looked: datetime | None = None

    def look(self, policies: set[Name], models: set[Name]) -> None:
        """Bring everything up to date, by the index for names that are new. Raises TemporaryError."""
        with self.db.read() as conn:
            now = self.db.now(conn)
            last = newest.last_decision(conn)
            decided = newest.decisions(conn, self._last) if self._looked else []
            decided += [found for name in policies - self._policies if (found := newest.decision(conn, name))]
            moved = list(newest.remediations(conn, self._looked - MARGIN)) if self._looked else []
            moved += [shown for name in models - self._models if (shown := newest.remediation(conn, name))]
        for decision in decided:
            before = self.decisions.get(decision.policy)
            if decision.policy in policies and (before is None or before.id < decision.id):
                self.decisions[decision.policy] = decision
        fresh = {found.id: found for found in moved}
        for shown in [*self.remediations.values()]:
            self.remediations[shown.model] = fresh.get(shown.id, shown)
        for shown in fresh.values():
            current = self.remediations.get(shown.model)
            if shown.model in models and (current is None or current.rank < shown.rank):
                self.remediations[shown.model] = shown
        self.decisions = {name: found for name, found in self.decisions.items() if name in policies}
        self.remediations = {name: found for name, found in self.remediations.items() if name in models}
        self._policies, self._models = policies, models
        self._last, self._looked = max(last, self._last), now


@dataclass(slots=True)
class Versions:
    """The version that each model's serving object asks for, read a few at a time, the longest unread first.

    After `stop` none is.
    """

    kube: Kube
    stop: threading.Event = field(default_factory=threading.Event)
    _read: dict[Name, float] = field(default_factory=dict)
    _serving: set[Name] = field(default_factory=set)
    _found: dict[Name, str | None] = field(default_factory=dict)
    _said: set[Name] = field(default_factory=set)

    def read(self, models: Iterable[Model]) -> None:
        """Read those that are due. An API server that is away leaves what was read before."""
        serving = {(model.namespace, model.name): model for model in models if model.serving and model.serving.version}
        self._serving = set(serving)
        self._read = {name: at for name, at in self._read.items() if name in serving}
        self._found = {name: version for name, version in self._found.items() if name in serving}
        now = time.monotonic()
        due = [name for name in serving if now - self._read.get(name, -VERSION_EVERY) >= VERSION_EVERY]
        for name in sorted(due, key=lambda name: self._read.get(name, -VERSION_EVERY))[:VERSIONS]:
            if self.stop.is_set():
                return
            self._read[name] = now
            self._read_one(name, serving[name])

    def of(self, name: Name) -> tuple[bool, str | None]:
        """Whether it was asked for, or nothing says where it stands, and the version; None where it is not known."""
        return name in self._found or name not in self._serving, self._found.get(name)

    def _read_one(self, name: Name, model: Model) -> None:
        assert model.serving is not None
        try:
            found = self.kube.get(KINDS[model.serving.kind], model.namespace, model.serving.name)
        except TemporaryError:
            return
        except ModelmendError as error:
            self._found[name] = None
            if name not in self._said:
                self._said.add(name)
                log.warning("the version of model %s is not known: %s", model.key, error)
            return
        self._found[name] = read_version(model.serving.plain(), found) if found else None
