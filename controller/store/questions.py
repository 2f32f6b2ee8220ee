"""Open questions in the database: which are due, and which a happening makes due.

A happening never asks by itself: it makes questions due now, and the engine then asks each
in a transaction of its own, numbered as a `wake`. So a thousand questions lifted by one
resume do not make one long transaction, and a replay sees the same order.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pydantic_core import from_json, to_json
from sqlalchemy import ColumnElement, Connection, select, update

from controller import schema
from controller.decision import Happening, Reason
from controller.store.leader import Turn
from controller.store.ledger import Question

_Q = schema.questions.c
_COLUMNS = tuple(schema.questions.c[name] for name in Question.__dataclass_fields__)

Key = tuple[str, str, str, str]
"""Namespace and name of the policy, namespace and name of the model."""


def ref_of(key: Key) -> str:
    """The key as the `ref` of an input."""
    return to_json(key).decode()


def key_of(ref: str) -> Key:
    """The key that `ref_of` wrote."""
    policy_ns, policy, namespace, model = from_json(ref)
    return policy_ns, policy, namespace, model


def due(conn: Connection, now: datetime, limit: int) -> list[Key]:
    """Questions to be asked again by now: longest due, then worst, first."""
    query = select(_Q.policy_ns, _Q.policy, _Q.namespace, _Q.model).where(_Q.retry_at <= now)
    ordered = query.order_by(_Q.retry_at, _Q.severity, _Q.since, _Q.policy_ns, _Q.policy, _Q.namespace, _Q.model)
    return [(row[0], row[1], row[2], row[3]) for row in conn.execute(ordered.limit(limit))]


def read(conn: Connection, key: Key) -> Question | None:
    """One question, or None: it has been answered meanwhile."""
    row = conn.execute(select(*_COLUMNS).where(*_is(key))).one_or_none()
    return Question(*row) if row else None


def _is(key: Key) -> tuple[ColumnElement[bool], ...]:
    return _Q.policy_ns == key[0], _Q.policy == key[1], _Q.namespace == key[2], _Q.model == key[3]


def postpone(key: Key, by: timedelta, turn: Turn) -> None:
    """Ask this question later."""
    turn.conn.execute(update(schema.questions).where(*_is(key)).values(retry_at=turn.now + by))


def ask_for_fleet(turn: Turn, slots: int) -> None:
    """One question per slot that came free: the worst severity first, then the oldest."""
    if slots <= 0:
        return
    query = select(_Q.policy_ns, _Q.policy, _Q.namespace, _Q.model).where(
        _Q.retry_on == str(Happening.FLEET), _Q.retry_at > turn.now
    )
    for row in turn.conn.execute(query.order_by(_Q.severity, _Q.since, _Q.event_seq).limit(slots)).all():
        mine = _is((row[0], row[1], row[2], row[3]))
        turn.conn.execute(update(schema.questions).where(*mine).values(retry_at=turn.now))


def ask_lifted(turn: Turn, reasons: Collection[Reason]) -> None:
    """What a person lifted may hold no more: ask all that were refused for these reasons."""
    named = [str(reason) for reason in reasons]
    turn.conn.execute(update(schema.questions).where(_Q.reason.in_(named)).values(retry_at=turn.now))


def ask_about(turn: Turn, policies: Collection[tuple[str, str]]) -> None:
    """The text of these policies has changed, or they are gone: ask what is open with them."""
    for namespace, name in policies:
        mine = (_Q.policy_ns == namespace, _Q.policy == name)
        turn.conn.execute(update(schema.questions).where(*mine).values(retry_at=turn.now))


def ask_about_condition(turn: Turn, condition_id: str) -> None:
    """A person ended this condition: what is open about it is to be closed."""
    turn.conn.execute(update(schema.questions).where(_Q.condition_id == condition_id).values(retry_at=turn.now))
