"""What is known of models, in the database: read outside a ledger, and what serving objects showed, kept as input."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, insert, or_, select, update

from controller import schema
from controller.policy import ModelState
from controller.policy.state import NOTHING, Serves
from controller.store.leader import Turn
from controller.store.ledger_rows import STATE, STATES, ModelKey

_M = schema.models.c
_CHUNK = 500  # names in one IN list
_ONE = select(*STATE).where(_M.namespace == bindparam("namespace"), _M.name == bindparam("name"))
_ADD_OBSERVATION = insert(schema.observations)
_SOAKED = (
    select(_M.namespace, _M.name)
    .where(_M.soaks_at <= bindparam("now"))
    .order_by(_M.soaks_at, _M.namespace, _M.name)
    .limit(bindparam("most"))
)
_R = schema.remediations.c
_AT_WORK = (
    select(_R.id)
    .where(
        *(_R.namespace == bindparam("namespace"), _R.model == bindparam("name"), _R.mode != "audit"),
        *(_R.started_at <= bindparam("at"), _R.ended_at.is_(None) | (_R.ended_at >= bindparam("at"))),
        exists().where(schema.intents.c.remediation_id == _R.id),
    )
    .order_by(_R.started_at.desc(), _R.id)
    .limit(1)
)
_LOOK_AT = update(schema.models).where(_M.namespace == bindparam("b_namespace"), _M.name == bindparam("b_name"))


def read(conn: Connection, key: ModelKey) -> ModelState:
    """What is known of one model."""
    row = conn.execute(_ONE, {"namespace": key[0], "name": key[1]}).one_or_none()
    return ModelState(*row) if row else NOTHING


def read_all(conn: Connection, keys: Collection[ModelKey]) -> dict[ModelKey, ModelState]:
    """The same of several; those of which nothing is known are left out."""
    names = sorted({name for _, name in keys})
    found = {}
    for start in range(0, len(names), _CHUNK):
        for row in conn.execute(STATES, {"names": names[start : start + _CHUNK]}):
            if (row[0], row[1]) in keys:
                found[row[0], row[1]] = ModelState(*row[2:])
    return found


def at_work(conn: Connection, key: ModelKey, at: datetime) -> str | None:
    """The remediation that had begun an action on the model and was not over at that time, the newest; None: none."""
    return conn.execute(_AT_WORK, {"namespace": key[0], "name": key[1], "at": at}).scalar()


def observe(turn: Turn, input_seq: int, seen: Serves) -> None:
    """Keep what a serving object showed; it belongs to no remediation."""
    row = {"input_seq": input_seq, "remediation_id": "", "step": 0, "at": turn.now, "value": seen.plain()}
    turn.conn.execute(_ADD_OBSERVATION, row)


def soaked(conn: Connection, now: datetime, limit: int) -> list[ModelKey]:
    """The models of which it is to be asked by now whether their stable version has soaked."""
    return [(row.namespace, row.name) for row in conn.execute(_SOAKED, {"now": now, "most": limit})]


def ask_at(turn: Turn, key: ModelKey, at: datetime | None) -> None:
    """Ask then, or with None never, whether this model's stable version has soaked."""
    turn.conn.execute(_LOOK_AT.values(soaks_at=at), {"b_namespace": key[0], "b_name": key[1]})


def ask_all(turn: Turn) -> None:
    """How long versions soak may have changed: ask of every model whose stable version is not known to be good."""
    unproven = or_(_M.last_known_good.is_(None), _M.last_known_good != _M.stable)
    known = (_M.stable.is_not(None), _M.unknown_since.is_(None))
    turn.conn.execute(update(schema.models).where(*known, unproven).values(soaks_at=turn.now))
