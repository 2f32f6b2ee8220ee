"""What is due by a calendar: a row for each schedule or `since` in force and each model that its policy means.

A row is made when trigger and model come together, and goes when they part: so `accepted`
says since when both were in force without a gap, also across restarts.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from controller import schema
from controller.policy.calendar import share
from controller.store.inserting import InsertNew
from controller.store.leader import Turn

_D, _Q = schema.due.c, schema.questions.c
_COLUMNS = ("policy_ns", "policy", "trigger_digest", "namespace", "model")
_ADD = InsertNew(schema.due)
_MINE = tuple(_D[name] == bindparam(f"b_{name}") for name in _COLUMNS)
_NEXT = select(*(_D[name] for name in _COLUMNS)).where(_D.next_at <= bindparam("now")).order_by(_D.next_at, *_COLUMNS)
_LATE = timedelta(minutes=1)
_MOST = timedelta(minutes=10)

Key = tuple[str, str, str, str, str]
"""Namespace and name of the policy, digest of the trigger, namespace and name of the model."""


@dataclass(frozen=True, slots=True)
class Row:
    """Since when it counts, and which due time was the last that an event was written about."""

    accepted: datetime
    last_due: datetime | None


def keep(turn: Turn, wanted: dict[Key, datetime | None]) -> None:
    """Have rows for these keys and no others; a new one is looked at first at the time given, None: never."""
    known = {tuple(row) for row in turn.conn.execute(select(*(_D[name] for name in _COLUMNS)))}
    gone = [_bound(key) for key in sorted(known - set(wanted))]
    if gone:
        turn.conn.execute(delete(schema.due).where(*_MINE), gone)
    rows = [
        dict(zip(_COLUMNS, key, strict=True)) | {"accepted": turn.now, "last_due": None, "next_at": at}
        for key, at in sorted(wanted.items())
        if key not in known
    ]
    _ADD.rows(turn.conn, rows)


def known(conn: Connection) -> set[Key]:
    """The keys of all rows."""
    return {(row[0], row[1], row[2], row[3], row[4]) for row in conn.execute(select(*(_D[name] for name in _COLUMNS)))}


def due(conn: Connection, now: datetime, limit: int) -> list[Key]:
    """What is to be looked at by now, longest due first."""
    rows = conn.execute(_NEXT.limit(limit), {"now": now})
    return [(row[0], row[1], row[2], row[3], row[4]) for row in rows]


def read(conn: Connection, key: Key) -> Row | None:
    """One row, or None: it has gone."""
    row = conn.execute(select(_D.accepted, _D.last_due).where(*_MINE), _bound(key)).one_or_none()
    return Row(*row) if row else None


def looked(turn: Turn, key: Key, last_due: datetime | None, next_at: datetime | None) -> None:
    """Note what was found, and when to look again."""
    turn.conn.execute(update(schema.due).where(*_MINE).values(last_due=last_due, next_at=next_at), _bound(key))


def postpone(key: Key, by: timedelta, turn: Turn) -> None:
    """Look at this one later."""
    turn.conn.execute(update(schema.due).where(*_MINE).values(next_at=turn.now + by), _bound(key))


def spread_overdue(turn: Turn) -> None:
    """What fell due while nobody looked is not asked all at once, but one a second, within ten minutes."""
    for table, date, names in (
        (schema.questions, _Q.retry_at, ("policy_ns", "policy", "namespace", "model")),
        (schema.due, _D.next_at, _COLUMNS),
    ):
        overdue = date < turn.now - _LATE
        count = turn.conn.execute(select(func.count()).where(overdue)).scalar_one()
        if count < 2:
            continue
        length = min(timedelta(seconds=count), _MOST)
        found: Collection[Any] = turn.conn.execute(select(*(table.c[name] for name in names)).where(overdue)).all()
        at: dict[str, Any] = {"next_at" if table is schema.due else "retry_at": bindparam("b_at")}
        mine = tuple(table.c[name] == bindparam(f"b_{name}") for name in names)
        rows = [
            {f"b_{name}": getattr(row, name) for name in names}
            | {"b_at": turn.now + share(length, row.namespace, row.model)}
            for row in found
        ]
        turn.conn.execute(update(table).where(*mine).values(**at), rows)


def _bound(key: Collection[str]) -> dict[str, str]:
    return {f"b_{name}": value for name, value in zip(_COLUMNS, key, strict=True)}
