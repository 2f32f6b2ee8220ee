"""Open questions in the database: which are due, and which a happening makes due.

A happening never asks by itself: it makes questions due now, and the engine then asks each
in a transaction of its own, numbered as a `wake`. So a thousand questions lifted by one
resume do not make one long transaction, and a replay sees the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, bindparam, select, update

from controller import schema
from controller.decision import Happening, Reason
from controller.store.leader import Turn
from controller.store.ledger_rows import QUESTION_KEY, Question

_Q = schema.questions.c
_KEY = tuple(_Q[name] for name in QUESTION_KEY)

_DUE = (
    select(*_KEY)
    .where(_Q.retry_at <= bindparam("now"))
    .order_by(_Q.retry_at, _Q.severity, _Q.since, *_KEY)
    .limit(bindparam("most"))
)
_FOR_FLEET = (
    select(*_KEY)
    .where(_Q.retry_on == str(Happening.FLEET), _Q.retry_at > bindparam("now"))
    .order_by(_Q.severity, _Q.since, _Q.event_seq)
    .limit(bindparam("most"))
)
_ONE = select(*(_Q[name] for name in Question.__dataclass_fields__)).where(
    *(_Q[name] == bindparam(name) for name in QUESTION_KEY)
)
_ASK_AT = (
    update(schema.questions)
    .where(*(_Q[name] == bindparam(f"b_{name}") for name in QUESTION_KEY))
    .values(retry_at=bindparam("b_at"))
)

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
    return [(row[0], row[1], row[2], row[3]) for row in conn.execute(_DUE, {"now": now, "most": limit})]


def read(conn: Connection, key: Key) -> Question | None:
    """One question, or None: it has been answered meanwhile."""
    row = conn.execute(_ONE, dict(zip(QUESTION_KEY, key, strict=True))).one_or_none()
    return Question(*row) if row else None


def _at(key: Sequence[str], at: datetime) -> dict[str, Any]:
    return {f"b_{name}": value for name, value in zip(QUESTION_KEY, key, strict=True)} | {"b_at": at}


def postpone(key: Key, by: timedelta, turn: Turn) -> None:
    """Ask this question later."""
    turn.conn.execute(_ASK_AT, _at(key, turn.now + by))


def ask_for_fleet(turn: Turn, slots: int) -> None:
    """One question per slot that came free: the worst severity first, then the oldest."""
    if slots <= 0:
        return
    found = turn.conn.execute(_FOR_FLEET, {"now": turn.now, "most": slots}).all()
    if found:
        turn.conn.execute(_ASK_AT, [_at(row, turn.now) for row in found])


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
