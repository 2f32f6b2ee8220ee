"""What statuses say beyond acceptance: rows of the store, as of the last look."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from controller.store import newest
from controller.store.database import Database
from controller.store.newest import Name, Newest, Shown

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
