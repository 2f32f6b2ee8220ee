"""Events that the engine has not used yet, and repeats that renew: found by partial indexes.

Never by a high-water mark: sequence numbers commit out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from controller import schema
from controller.events.event import Event
from controller.store.leader import Turn

_E = schema.events.c
EVENT_COLUMNS = tuple(schema.events.c[name] for name in Event.__dataclass_fields__)


def event_of(row: Row[Any]) -> Event:
    """The event of a row of `EVENT_COLUMNS`."""
    return Event(**row._asdict())


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with its number."""

    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class Renewal:
    """An event that its stateful source has delivered again."""

    stored: Stored
    at: datetime

    @property
    def ref(self) -> str:
        """The event's number and the moment, as the `ref` of an input."""
        return f"{self.stored.seq}@{self.at.isoformat()}"


def renewal_of(conn: Connection, ref: str) -> Renewal:
    """The repeat that an input's `ref` names."""
    seq, _, at = ref.partition("@")
    stored = one(conn, int(seq))
    assert stored is not None
    return Renewal(stored, datetime.fromisoformat(at))


def undecided(conn: Connection, limit: int) -> list[Stored]:
    """The oldest events that have no decision yet."""
    query = select(_E.seq, *EVENT_COLUMNS).where(_E.decided_at.is_(None)).order_by(_E.seq).limit(limit)
    return [Stored(seq, Event(*values)) for seq, *values in conn.execute(query)]


def renewals(conn: Connection, limit: int) -> list[Renewal]:
    """Used events that were delivered again since."""
    ready = (_E.renewed_at.is_not(None), _E.decided_at.is_not(None))
    query = select(_E.seq, _E.renewed_at, *EVENT_COLUMNS).where(*ready).order_by(_E.seq).limit(limit)
    return [Renewal(Stored(seq, Event(*values)), at) for seq, at, *values in conn.execute(query)]


def renewal_used(turn: Turn, renewal: Renewal) -> None:
    """The repeat has been used; one that came meanwhile has not."""
    mine = (_E.seq == renewal.stored.seq, _E.renewed_at == renewal.at)
    turn.conn.execute(update(schema.events).where(*mine).values(renewed_at=None))


def one(conn: Connection, seq: int) -> Stored | None:
    """An event by its number."""
    row = conn.execute(select(*EVENT_COLUMNS).where(_E.seq == seq)).one_or_none()
    return Stored(seq, event_of(row)) if row else None


def take_in_hand(turn: Turn, seqs: Sequence[int]) -> None:
    """Note that these events are about to be decided: if the process dies, they are the suspects."""
    turn.conn.execute(update(schema.events).where(_E.seq.in_(seqs)).values(in_hand=True))


def in_hand(conn: Connection) -> list[int]:
    """Events during whose deciding the process died."""
    query = select(_E.seq).where(_E.decided_at.is_(None), _E.in_hand).order_by(_E.seq)
    return list(conn.execute(query).scalars())
