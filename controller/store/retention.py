"""Forgetting what is old and over, in small transactions, so that deciding never waits for it.

Events go after 90 days, what was decided and done about them after 400 (both configured). What is
not over is never purged: undecided events, the newest event of a condition that is not over, open
questions, active remediations with all that belongs to them, undelivered notifications. The newest
row of a numbered table stays too, so that SQLite never gives a number out twice.

`inputs` go as a prefix: never beyond the first that something kept still rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, Table, delete, exists, func, or_, select, tuple_, union

from controller import schema
from controller.store.database import Database
from controller.store.leader import Leadership
from controller.store.listing import first_received

CHUNK = 500  # rows in one transaction

_E, _C, _D, _R, _Q = (
    schema.events.c,
    schema.conditions.c,
    schema.decisions.c,
    schema.remediations.c,
    schema.questions.c,
)
_T, _I, _B, _O, _A = (
    schema.transitions.c,
    schema.intents.c,
    schema.observations.c,
    schema.outbox.c,
    schema.acts.c,
)
_S, _P, _N, _L, _X = (
    schema.silences.c,
    schema.pauses.c,
    schema.quarantine.c,
    schema.policy_sets.c,
    schema.documents.c,
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long to keep what is over: received events, and everything else."""

    events: timedelta = timedelta(days=90)
    decisions: timedelta = timedelta(days=400)


def purge(
    leadership: Leadership,
    now: datetime,
    retention: Retention,
    *,
    stopping: Callable[[], bool] = lambda: False,
    chunk: int = CHUNK,
) -> dict[str, int]:
    """Purge what may go at `now`; returns how many rows of each table went.

    Each chunk is looked for in a snapshot and deleted in a transaction of its own, in which every
    row is looked at again; `stopping` is asked between them. Raises NotLeader, TemporaryError.
    """
    gone: dict[str, int] = {}
    with leadership.db.read() as conn:
        first_kept = first_received(conn, now - retention.events)
    for step in _steps(now, retention, first_kept):
        while not stopping():
            keys = _candidates(leadership.db, step, chunk)
            if not keys:
                break
            with leadership.transaction() as turn:
                deleted = step.delete(turn.conn, keys)
            for table, count in deleted.items():
                gone[table] = gone.get(table, 0) + count
            if len(keys) < chunk or not any(deleted.values()):
                break
    return gone


@dataclass(frozen=True, slots=True)
class _Step:
    """One table: which rows may go, and the tables whose rows go with theirs, by the column that names them."""

    table: Table
    may_go: Callable[[Connection], ColumnElement[bool]]
    with_them: tuple[tuple[Table, ColumnElement[Any]], ...] = ()

    def key(self) -> list[Any]:
        return list(self.table.primary_key.columns)

    def delete(self, conn: Connection, keys: list[tuple[Any, ...]]) -> dict[str, int]:
        still = tuple_(*self.key()).in_(keys) & self.may_go(conn)
        deleted = {}
        if self.with_them:
            keys = [tuple(row) for row in conn.execute(select(*self.key()).where(still))]
            for table, column in self.with_them:
                going = column.in_([key[0] for key in keys])
                deleted[table.name] = conn.execute(delete(table).where(going)).rowcount
        deleted[self.table.name] = conn.execute(delete(self.table).where(still)).rowcount
        return deleted


def _candidates(db: Database, step: _Step, chunk: int) -> list[tuple[Any, ...]]:
    with db.read() as conn:
        query: Select[Any] = select(*step.key()).where(step.may_go(conn)).limit(chunk)
        return [tuple(row) for row in conn.execute(query)]


def _steps(now: datetime, retention: Retention, first_kept: int) -> Iterator[_Step]:
    old_events, old = now - retention.events, now - retention.decisions
    numbered = schema.events, schema.acts, schema.outbox

    def not_newest(table: Table) -> ColumnElement[bool]:
        (key,) = table.primary_key.columns
        return key < select(func.max(key)).scalar_subquery() if table in numbered else key.is_not(None)

    yield _Step(
        schema.events,
        lambda conn: (
            (_E.seq < first_kept)
            & (_E.received_at < old_events)
            & _E.decided_at.is_not(None)
            & _E.renewed_at.is_(None)
            & _E.seq.not_in(_needed_events(conn))
            & not_newest(schema.events)
        ),
    )
    yield _Step(
        schema.conditions,
        lambda conn: (
            (_C.ended < old)
            & _C.id.not_in(_answered(conn))
            & _C.id.not_in(select(_Q.condition_id).where(_Q.condition_id.is_not(None)))
        ),
    )
    yield _Step(schema.evidence, lambda _: schema.evidence.c.time < old)
    yield _Step(schema.causes, lambda _: schema.causes.c.at < old)
    yield _Step(schema.fleets, lambda _: schema.fleets.c.at < old)
    yield _Step(
        schema.remediations,
        lambda _: (
            (_R.ended_at < old)
            & or_(_R.held_until.is_(None), _R.held_until < old)
            & or_(_R.confirm_until.is_(None), _R.confirm_until < old)
            & ~exists().where(_O.remediation_id == _R.id, _O.sent_at.is_(None), _O.dead_at.is_(None))
        ),
        (
            (schema.transitions, _T.remediation_id),
            (schema.observations, _B.remediation_id),
            (schema.intents, _I.remediation_id),
            (schema.targets, schema.targets.c.remediation_id),
        ),
    )
    yield _Step(schema.observations, lambda _: (_B.remediation_id == "") & (_B.at < old))  # of serving objects
    yield _Step(
        schema.decisions,
        lambda _: (
            (_D.now < old)
            & _D.event_seq.not_in(select(_Q.event_seq))
            & _D.id.not_in(select(_R.decision_id))
            & or_(_D.remediation_id.is_(None), _D.remediation_id.not_in(select(_R.id)))
        ),
    )
    yield _Step(schema.outbox, lambda _: or_(_O.sent_at < old, _O.dead_at < old) & not_newest(schema.outbox))
    yield _Step(schema.acts, lambda _: (_A.at < old) & _A.input_seq.is_not(None) & not_newest(schema.acts))
    yield _Step(schema.silences, lambda _: or_(_S.ends_at < old, _S.ended_early_at < old))
    yield _Step(schema.pauses, lambda _: or_(_P.lifted_at < old, _P.until < old))
    yield _Step(
        schema.inputs,
        lambda conn: (schema.inputs.c.now < old) & (schema.inputs.c.seq < _first_needed_input(conn)),
    )
    # A set is over when the next one came; the one in force is never old.
    in_force_then = select(func.max(_L.seq)).where(_L.since < old).scalar_subquery()
    yield _Step(schema.policy_sets, lambda _: _L.seq < in_force_then)
    yield _Step(schema.documents, _unused)


def _needed_events(conn: Connection) -> Select[Any]:
    """The events that something which is not over rests on, and those that people may still replay."""
    answered = select(_C.event_seq).where(_C.id.in_(_answered(conn)))
    needed = union(
        select(_C.event_seq).where(_C.ended.is_(None)),
        select(_Q.event_seq),
        select(_R.event_seq).where(_R.ended_at.is_(None)),
        select(_N.event_seq).where(_N.event_seq.is_not(None), _N.replayed_at.is_(None)),
        answered,
    ).subquery()
    return select(needed.c.event_seq)


def _answered(conn: Connection) -> list[str]:
    """The ids of the conditions that active remediations answer."""
    active = conn.execute(select(_R.evidence).where(_R.ended_at.is_(None))).scalars()
    return sorted({condition for evidence in active for condition in evidence})


def _first_needed_input(conn: Connection) -> int:
    """The lowest input that a kept decision or transition came from; decisions rise with their inputs."""
    decided = conn.execute(select(_D.input_seq).order_by(_D.id).limit(1)).scalar()
    moved = conn.execute(select(func.min(_T.input_seq))).scalar()
    newest: int = conn.execute(select(func.max(schema.inputs.c.seq))).scalar() or 0
    return min(seq for seq in (decided, moved, newest) if seq is not None)


def _unused(conn: Connection) -> ColumnElement[bool]:
    """Whether no kept set, remediation or decision names a document."""
    members = {digest for found in conn.execute(select(_L.members)).scalars() for digest in found}
    of_policy = exists().where(_D.policy == _X.name, _D.policy_ns == _X.namespace, _D.policy_digest == _X.digest)
    of_model = exists().where(_D.model == _X.name, _D.namespace == _X.namespace, _D.model_digest == _X.digest)
    remedied = exists().where(or_(_R.policy_digest == _X.digest, _R.model_digest == _X.digest))
    return _X.digest.not_in(sorted(members)) & ~remedied & ~of_policy & ~of_model
