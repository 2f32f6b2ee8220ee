"""What people ask for: stored by the API, used once by the engine, answered with an outcome.

An act is durable before it is acknowledged; only the leader carries it out, in a deciding
transaction, as an input among the others. Whoever asked reads the outcome by the act's id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from controller import schema
from controller.store.database import Database
from controller.store.leader import Turn

_A = schema.acts.c
_COLUMNS = (_A.id, _A.kind, _A.scope, _A.ref, _A.body, _A.who, _A.why, _A.at)


@dataclass(frozen=True, slots=True)
class Act:
    """One act; `kind` and `scope` as in `schema.acts`, `at` is when it was asked for."""

    id: int
    kind: str
    scope: str
    ref: str
    body: dict[str, Any]
    who: str
    why: str
    at: datetime


def add_act(db: Database, kind: str, scope: str, ref: str, body: dict[str, Any], who: str, why: str) -> int:
    """Store an act for the engine; returns its id, by which `outcome` is asked.

    Raises what `Database.write` raises.
    """
    with db.write() as conn:
        values = {"kind": kind, "scope": scope, "ref": ref, "body": body, "who": who, "why": why, "at": db.now(conn)}
        found: int = conn.execute(insert(schema.acts).values(values).returning(_A.id)).scalar_one()
        return found


def outcome(db: Database, act_id: int) -> dict[str, Any] | None:
    """What the engine answered, `{"ok": bool, …}`; None: not used yet, or no such act."""
    with db.read() as conn:
        found: dict[str, Any] | None = conn.execute(select(_A.outcome).where(_A.id == act_id)).scalar()
        return found


def one(conn: Connection, act_id: int) -> Act:
    """An act by its id."""
    return Act(*conn.execute(select(*_COLUMNS).where(_A.id == act_id)).one())


def unused(conn: Connection, limit: int = 100) -> list[Act]:
    """Acts that wait for the engine, oldest first."""
    query = select(*_COLUMNS).where(_A.input_seq.is_(None)).order_by(_A.id).limit(limit)
    return [Act(*row) for row in conn.execute(query)]


def used(turn: Turn, act_id: int, input_seq: int, answer: dict[str, Any]) -> None:
    """Note which input an act became and what is answered to whoever asked."""
    turn.conn.execute(update(schema.acts).where(_A.id == act_id).values(input_seq=input_seq, outcome=answer))
