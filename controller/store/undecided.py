"""Events that the engine has not used yet, and repeats that renew: found by partial indexes.

Never by a high-water mark: sequence numbers commit out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from controller import schema
from controller.events.event import Event
from controller.store.leader import Turn

_E = schema.events.c
EVENT_COLUMNS = tuple(schema.events.c[name] for name in Event.__dataclass_fields__)

_UNDECIDED = select(_E.seq, *EVENT_COLUMNS).where(_E.decided_at.is_(None)).order_by(_E.seq).limit(bindparam("most"))
_RENEWED = (
    select(_E.seq, _E.renewed_at, *EVENT_COLUMNS)
    .where(_E.renewed_at.is_not(None), _E.decided_at.is_not(None))
    .order_by(_E.seq)
    .limit(bindparam("most"))
)
_RENEWAL_USED = (
    update(schema.events)
    .where(_E.seq == bindparam("b_seq"), _E.renewed_at == bindparam("b_at"))
    .values(renewed_at=None)
)
_ONE = select(*EVENT_COLUMNS).where(_E.seq == bindparam("seq"))


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
    return [Stored(seq, Event(*values)) for seq, *values in conn.execute(_UNDECIDED, {"most": limit})]


def renewals(conn: Connection, limit: int) -> list[Renewal]:
    """Used events that were delivered again since."""
    rows = conn.execute(_RENEWED, {"most": limit})
    return [Renewal(Stored(seq, Event(*values)), at) for seq, at, *values in rows]


def renewal_used(turn: Turn, renewal: Renewal) -> None:
    """The repeat has been used; one that came meanwhile has not."""
    turn.conn.execute(_RENEWAL_USED, {"b_seq": renewal.stored.seq, "b_at": renewal.at})


def one(conn: Connection, seq: int) -> Stored | None:
    """An event by its number."""
    row = conn.execute(_ONE, {"seq": seq}).one_or_none()
    return Stored(seq, event_of(row)) if row else None


def take_in_hand(turn: Turn, seqs: Sequence[int]) -> None:
    """Note that these events are about to be decided: if the process dies, they are the suspects."""
    turn.conn.execute(update(schema.events).where(_E.seq.in_(seqs)).values(in_hand=True))


def in_hand(conn: Connection) -> list[int]:
    """Events during whose deciding the process died."""
    query = select(_E.seq).where(_E.decided_at.is_(None), _E.in_hand).order_by(_E.seq)
    return list(conn.execute(query).scalars())
