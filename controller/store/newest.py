"""The newest decision of a policy, the remediation that a model shows: what documents in a cluster say of themselves.

Read only. Each comes in two ways: of one policy or model by its index, and of all that
something happened to since the last look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, Select, func, select

from controller import schema

_D, _E, _R = schema.decisions.c, schema.events.c, schema.remediations.c

Name = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Newest:
    """A decision. `event` is its event's id, '' where that is purged; `reason` '' where it remediates."""

    id: int
    policy: Name
    time: datetime
    outcome: str
    reason: str
    model: Name
    event: str
    remediation: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A remediation that was not only audited."""

    id: str
    model: Name
    policy: Name
    phase: str
    reason: str
    verdict: str
    holds_model: bool
    started: datetime
    ended: datetime | None

    @property
    def rank(self) -> tuple[bool, bool, datetime, str]:
        """Of a model's remediations it shows the largest: one that is active, that holds the model, the newest."""
        return self.ended is None, self.ended is None and self.holds_model, self.started, self.id


def last_decision(conn: Connection) -> int:
    """The id of the newest decision of all; 0 where there is none."""
    return conn.execute(select(func.max(_D.id))).scalar() or 0


def decision(conn: Connection, policy: Name) -> Newest | None:
    """The newest decision of a policy."""
    namespace, name = policy
    query = _decisions().where(_D.policy == name, _D.policy_ns == namespace).order_by(_D.now.desc(), _D.id.desc())
    row = conn.execute(query.limit(1)).one_or_none()
    return _newest(row) if row else None


def decisions(conn: Connection, after: int) -> list[Newest]:
    """Of each policy that took decisions with an id beyond `after`, the newest."""
    last = select(func.max(_D.id)).where(_D.id > after, _D.policy != "").group_by(_D.policy_ns, _D.policy)
    return [_newest(row) for row in conn.execute(_decisions().where(_D.id.in_(last)))]


def remediation(conn: Connection, model: Name) -> Shown | None:
    """What a model shows of its remediations."""
    namespace, name = model
    mine = _remediations().where(_R.model == name, _R.namespace == namespace)
    active = conn.execute(mine.where(_R.ended_at.is_(None)))
    last = conn.execute(mine.order_by(_R.started_at.desc(), _R.id.desc()).limit(1))
    return max(map(_shown, [*active, *last]), key=lambda found: found.rank, default=None)


def remediations(conn: Connection, since: datetime) -> Iterator[Shown]:
    """All that are active, and those that ended at `since` or later."""
    for where in (_R.ended_at.is_(None), _R.ended_at >= since):
        yield from map(_shown, conn.execute(_remediations().where(where)))


def _decisions() -> Select[tuple[object, ...]]:
    columns = (_D.id, _D.policy_ns, _D.policy, _D.now, _D.outcome, _D.reason, _D.namespace, _D.model)
    joined = schema.decisions.outerjoin(schema.events, _E.seq == _D.event_seq)
    return select(*columns, _D.remediation_id, _E.id.label("event")).select_from(joined)


def _newest(row: Row[tuple[object, ...]]) -> Newest:
    return Newest(
        id=row.id,
        policy=(row.policy_ns, row.policy),
        time=row.now,
        outcome=row.outcome,
        reason=row.reason,
        model=(row.namespace, row.model),
        event=row.event or "",
        remediation=row.remediation_id,
    )


def _remediations() -> Select[tuple[object, ...]]:
    return select(schema.remediations).where(_R.mode != "audit")


def _shown(row: Row[tuple[object, ...]]) -> Shown:
    return Shown(
        id=row.id,
        model=(row.namespace, row.model),
        policy=(row.policy_ns, row.policy),
        phase=row.phase,
        reason=row.reason,
        verdict=row.verdict,
        holds_model=row.holds_model,
        started=row.started_at,
        ended=row.ended_at,
    )
