"""What could not be used, kept for people: bounded, one row for each distinct item.

The same item again is counted on its row. A new one in a full quarantine drops the one that
was seen longest ago; how many were dropped is returned, to be counted and alerted on.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, delete, func, insert, select, update

from controller import schema

BOUND = 10_000  # rows

_Q = schema.quarantine.c


def put(
    conn: Connection,
    now: datetime,
    *,
    origin: str,
    reason: str,
    message: str,
    body: Any,
    event_seq: int | None = None,
    bound: int = BOUND,
) -> int:
    """Keep an item, or count it where it is kept already; returns how many others it drove out.

    `origin`: `engine` or a source's name; `reason`: snake_case, from a closed set; `body`: what it
    was, as JSON. Items are the same when origin, reason, event and body are. One seen again after
    a replay waits for people again.
    """
    digest = sha256(to_json([origin, reason, event_seq, body])).hexdigest()
    again = update(schema.quarantine).where(_Q.digest == digest)
    counted = conn.execute(again.values(count=_Q.count + 1, last_seen=now, message=message, replayed_at=None))
    if counted.rowcount:
        return 0
    evicted = _make_room(conn, bound)
    conn.execute(
        insert(schema.quarantine).values(
            digest=digest,
            origin=origin,
            reason=reason,
            message=message,
            body=body,
            event_seq=event_seq,
            count=1,
            first_seen=now,
            last_seen=now,
        )
    )
    return evicted


def get(conn: Connection, digest: str) -> dict[str, Any] | None:
    """One item with all its columns, or None."""
    row = conn.execute(select(schema.quarantine).where(_Q.digest == digest)).one_or_none()
    return None if row is None else row._asdict()


def replayed(conn: Connection, digest: str, now: datetime) -> bool:
    """Note that an item was tried again; False where there is none."""
    changed = conn.execute(update(schema.quarantine).where(_Q.digest == digest).values(replayed_at=now))
    return changed.rowcount == 1


def _make_room(conn: Connection, bound: int) -> int:
    held = conn.execute(select(func.count()).select_from(schema.quarantine)).scalar_one()
    surplus = held - bound + 1
    if surplus <= 0:
        return 0
    oldest = select(_Q.digest).order_by(_Q.last_seen, _Q.digest).limit(surplus)
    return conn.execute(delete(schema.quarantine).where(_Q.digest.in_(oldest))).rowcount
