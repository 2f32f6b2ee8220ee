"""Notifications waiting to be delivered: written with what they tell of, in order for each receiver.

For one remediation and receiver a row is due only when all before it are delivered or given up:
nobody reads "succeeded" before "started". Keys are unique, so that a transition that is saved
again after a crash tells nobody twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from controller import schema
from controller.store.inserting import InsertNew

_O = schema.outbox.c
_ADD = InsertNew(schema.outbox)
_BEFORE = schema.outbox.alias("before")


@dataclass(frozen=True, slots=True)
class Note:
    """A notification to be written at `since`; `key` is its idempotency key, `ordinal` its place in line."""

    key: str
    remediation_id: str
    ordinal: int
    receiver: str
    body: dict[str, Any]
    since: datetime


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A notification as it waits; `attempts` were made in vain so far."""

    id: int
    key: str
    remediation_id: str
    ordinal: int
    receiver: str
    body: dict[str, Any]
    attempts: int
    since: datetime
    next_at: datetime


def enqueue(conn: Connection, notes: Sequence[Note]) -> None:
    """Write notifications, but those whose key is there already."""
    _ADD.rows(conn, [_row(note) for note in notes])


def _row(note: Note) -> dict[str, Any]:
    return {name: getattr(note, name) for name in note.__dataclass_fields__} | {"next_at": note.since}


def due(conn: Connection, now: datetime, limit: int = 50) -> list[OutboxRow]:
    """What may be delivered now: the first of each remediation and receiver, oldest first."""
    columns = (_O.id, _O.key, _O.remediation_id, _O.ordinal, _O.receiver, _O.body, _O.attempts, _O.since, _O.next_at)
    query = select(*columns).where(_waits(), _O.next_at <= now, _first()).order_by(_O.next_at, _O.id).limit(limit)
    return [OutboxRow(*row) for row in conn.execute(query)]


def next_due(conn: Connection) -> datetime | None:
    """When something is due next; None: nothing waits."""
    found: datetime | None = conn.execute(select(func.min(_O.next_at)).where(_waits(), _first())).scalar()
    return found


def pending(conn: Connection) -> int:
    """How many wait."""
    return conn.execute(select(func.count()).where(_waits())).scalar_one()


def sent(conn: Connection, row_id: int, now: datetime) -> None:
    """The receiver has it."""
    conn.execute(update(schema.outbox).where(_O.id == row_id).values(sent_at=now, attempts=_O.attempts + 1, error=None))


def failed(conn: Connection, row_id: int, next_at: datetime, error: str) -> None:
    """An attempt failed; try again at `next_at`."""
    values = {"attempts": _O.attempts + 1, "next_at": next_at, "error": error}
    conn.execute(update(schema.outbox).where(_O.id == row_id).values(values))


def dead(conn: Connection, row_id: int, now: datetime, error: str) -> None:
    """Given up; those after it may go."""
    values = {"attempts": _O.attempts + 1, "dead_at": now, "error": error}
    conn.execute(update(schema.outbox).where(_O.id == row_id).values(values))


def _waits() -> ColumnElement[bool]:
    return _O.sent_at.is_(None) & _O.dead_at.is_(None)


def _first() -> ColumnElement[bool]:
    earlier = _BEFORE.c
    return ~exists().where(
        earlier.remediation_id == _O.remediation_id,
        earlier.receiver == _O.receiver,
        earlier.ordinal < _O.ordinal,
        earlier.sent_at.is_(None),
        earlier.dead_at.is_(None),
    )
