"""What the JSON API, the commands and `explain` read: rows as JSON, newest first.

Read only. `now` is needed where a state follows from it (conditions, silences, pauses).
Each list takes `limit` (at most 500) and `cursor` and gives a `Page`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select

from controller import schema
from controller.store.paging import Item, Page, item, page

_E, _C, _D, _R, _Q = (
    schema.events.c,
    schema.conditions.c,
    schema.decisions.c,
    schema.remediations.c,
    schema.questions.c,
)
_S, _P, _N = schema.silences.c, schema.pauses.c, schema.quarantine.c

_EVENT = [column for column in _E if column.name not in ("in_hand", "input_seq")]
_DECISION = [column for column in _D if column.name != "situation"]
_REMEDIATION = [column for column in _R if column.name not in ("parameters", "attempt", "version")]
_QUARANTINED = [column for column in _N if column.name != "body"]


def _where(query: Select[Any], *conditions: tuple[ColumnElement[Any], Any]) -> Select[Any]:
    """The query narrowed by those columns whose wanted value is not None."""
    for column, value in conditions:
        if value is not None:
            query = query.where(column == value)
    return query


def _policy(policy: str | None) -> tuple[str | None, str | None]:
    """Namespace and name of `namespace/name`; a bare name is of namespace `default`."""
    if policy is None:
        return None, None
    namespace, slash, name = policy.rpartition("/")
    return (namespace if slash else "default"), name


# ── events ──────────────────────────────────────────────────────────────────────────────────────


def events(  # noqa: PLR0913 — an argument for each filter of the API
    conn: Connection,
    *,
    limit: int = 100,
    cursor: str | None = None,
    namespace: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    type: str | None = None,  # noqa: A002 — the filter's name in the API
    source: str | None = None,
    id: str | None = None,  # noqa: A002 — likewise
    since: datetime | None = None,
    undecided: bool | None = None,
) -> Page:
    """Events, the last received first; `since` is the earliest receipt."""
    query = _where(
        select(*_EVENT),
        (_E.namespace, namespace),
        (_E.model, model),
        (_E.dataset, dataset),
        (_E.type, type),
        (_E.source, source),
        (_E.id, id),
    )
    if since is not None:
        # An hour's margin: numbers follow the time of receipt only as well as the clock does.
        query = query.where(_E.seq >= first_received(conn, since - timedelta(hours=1)), _E.received_at >= since)
    if undecided is not None:
        query = query.where(_E.decided_at.is_(None) if undecided else _E.decided_at.is_not(None))
    return page(conn, query, [_E.seq], limit=limit, cursor=cursor, show=_event)


def first_received(conn: Connection, moment: datetime) -> int:
    """The number of about the first event received at or after `moment`, by bisection: receipt needs no index."""
    low, high = conn.execute(select(func.min(_E.seq), func.max(_E.seq))).one()
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        query = select(_E.seq, _E.received_at).where(_E.seq >= middle).order_by(_E.seq).limit(1)
        seq, received_at = conn.execute(query).one()
        if received_at < moment:
            low = seq + 1
        else:
            high = middle
    return int(low)


def event(conn: Connection, seq: int, now: datetime) -> Item | None:
    """One event with its `decisions` (all attempts), `conditions`, `questions` and `remediations`; None: unknown."""
    row = conn.execute(select(*_EVENT).where(_E.seq == seq)).one_or_none()
    if row is None:
        return None
    decided = conn.execute(select(*_DECISION).where(_D.event_seq == seq).order_by(_D.id)).all()
    kind = "model" if row.model is not None else "dataset"
    mine = (_C.kind == kind, _C.name == (row.model or row.dataset))
    moved = select(schema.conditions).where(*mine, _C.source == row.source, _C.family == row.family)
    if row.over and row.about == "":
        moved = moved.where(_C.ended_by == f"event:{row.id}")
    else:
        moved = moved.where(_C.about == row.about)
    return _event(row) | {
        "decisions": [_decision(found) for found in decided],
        "conditions": [_condition(found, now) for found in conn.execute(moved.order_by(_C.id))],
        "questions": questions(conn, event=seq)["items"],
        "remediations": _remediations_by_id(conn, {found.remediation_id for found in decided}),
    }


def _event(row: Row[Any]) -> Item:
    shown = item(row)
    shown["decided"] = shown["decidedAt"] is not None
    return shown


# ── conditions and questions ────────────────────────────────────────────────────────────────────


def conditions(  # noqa: PLR0913 — an argument for each filter of the API
    conn: Connection,
    now: datetime,
    *,
    limit: int = 100,
    cursor: str | None = None,
    namespace: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    family: str | None = None,
    source: str | None = None,
    state: str | None = None,
) -> Page:
    """Conditions, the last seen first; `state` is open, over or unknown at `now`."""
    query = _where(select(schema.conditions), (_C.namespace, namespace), (_C.family, family), (_C.source, source))
    if model is not None:
        query = query.where(_C.name == model, _C.kind.in_(("model", "moment")))
    if dataset is not None:
        query = query.where(_C.name == dataset, _C.kind.in_(("dataset", "dataset_moment")))
    states = {
        "open": and_(_C.ended.is_(None), _C.expires > now),
        "unknown": and_(_C.ended.is_(None), _C.expires <= now),
        "over": _C.ended.is_not(None),
    }
    if state is not None:
        query = query.where(states[state])
    key = [_C.last_seen, _C.id]
    return page(conn, query, key, limit=limit, cursor=cursor, show=lambda row: _condition(row, now))


def condition(conn: Connection, condition_id: str, now: datetime) -> Item | None:
    """One condition, or None."""
    row = conn.execute(select(schema.conditions).where(_C.id == condition_id)).one_or_none()
    return None if row is None else _condition(row, now)


def _condition(row: Row[Any], now: datetime) -> Item:
    state = "over" if row.ended is not None else "open" if now < row.expires else "unknown"
    shown = item(row)
    name = shown.pop("name")
    of_dataset = row.kind in ("dataset", "dataset_moment")
    shown |= {"model": None, "dataset": name} if of_dataset else {"model": name, "dataset": None}
    return shown | {"state": state}


def questions(
    conn: Connection,
    *,
    limit: int = 100,
    cursor: str | None = None,
    namespace: str | None = None,
    model: str | None = None,
    event: int | None = None,
) -> Page:
    """Open questions: refused events that will be asked again, the newest first."""
    query = _where(select(schema.questions), (_Q.namespace, namespace), (_Q.model, model), (_Q.event_seq, event))
    key = [_Q.since, _Q.policy_ns, _Q.policy, _Q.namespace, _Q.model]
    return page(conn, query, key, limit=limit, cursor=cursor, show=_question)


def _question(row: Row[Any]) -> Item:
    return _renamed(item(row), decisionId="decision", eventSeq="event", conditionId="condition")


def _renamed(shown: Item, **names: str) -> Item:
    for old, new in names.items():
        shown[new] = shown.pop(old)
    return shown


# ── decisions and remediations ──────────────────────────────────────────────────────────────────


def decisions(  # noqa: PLR0913 — an argument for each filter of the API
    conn: Connection,
    *,
    limit: int = 100,
    cursor: str | None = None,
    namespace: str | None = None,
    model: str | None = None,
    policy: str | None = None,
    event: int | None = None,
    outcome: str | None = None,
    reason: str | None = None,
    remediation: str | None = None,
) -> Page:
    """Decisions, the last taken first; `policy` is `namespace/name`, `event` the event's seq."""
    policy_ns, policy_name = _policy(policy)
    query = _where(
        select(*_DECISION),
        (_D.namespace, namespace),
        (_D.model, model),
        (_D.policy_ns, policy_ns),
        (_D.policy, policy_name),
        (_D.event_seq, event),
        (_D.outcome, outcome),
        (_D.reason, reason),
        (_D.remediation_id, remediation),
    )
    return page(conn, query, [_D.now, _D.id], limit=limit, cursor=cursor, show=_decision)


def decision(conn: Connection, decision_id: int) -> Item | None:
    """One decision with the `situation` that it rests on, or None."""
    row = conn.execute(select(schema.decisions).where(_D.id == decision_id)).one_or_none()
    return None if row is None else _decision(row)


def _decision(row: Row[Any]) -> Item:
    shown = _renamed(item(row), eventSeq="event", remediationId="remediation")
    shown["reason"] = shown["reason"] or None
    return shown


def remediations(
    conn: Connection,
    *,
    limit: int = 100,
    cursor: str | None = None,
    namespace: str | None = None,
    model: str | None = None,
    policy: str | None = None,
    phase: str | None = None,
    active: bool | None = None,
) -> Page:
    """Remediations, the last started first; `policy` is `namespace/name`."""
    policy_ns, policy_name = _policy(policy)
    query = _where(
        select(*_REMEDIATION),
        (_R.namespace, namespace),
        (_R.model, model),
        (_R.policy_ns, policy_ns),
        (_R.policy, policy_name),
        (_R.phase, phase),
    )
    if active is not None:
        query = query.where(_R.ended_at.is_(None) if active else _R.ended_at.is_not(None))
    return page(conn, query, [_R.started_at, _R.id], limit=limit, cursor=cursor, show=_remediation)


def remediation(conn: Connection, remediation_id: str) -> Item | None:
    """One remediation with `transitions`, `intents`, `observations`, `notifications`, `steps`; None: unknown."""
    row = conn.execute(select(schema.remediations).where(_R.id == remediation_id)).one_or_none()
    if row is None:
        return None
    t, i, o, x = schema.transitions.c, schema.intents.c, schema.observations.c, schema.outbox.c
    transitions = conn.execute(select(schema.transitions).where(t.remediation_id == row.id).order_by(t.version))
    intents = conn.execute(select(schema.intents).where(i.remediation_id == row.id).order_by(i.id))
    seen = conn.execute(select(schema.observations).where(o.remediation_id == row.id).order_by(o.at, o.id))
    told = conn.execute(select(schema.outbox).where(x.remediation_id == row.id).order_by(x.receiver, x.ordinal))
    return _remediation(row) | {
        "steps": _step_names(conn, row),
        "transitions": [_renamed(item(found), fromPhase="from", toPhase="to") for found in transitions],
        "intents": [item(found) for found in intents],
        "observations": [item(found) for found in seen],
        "notifications": [item(found) for found in told],
    }


def _remediation(row: Row[Any]) -> Item:
    shown = _renamed(item(row), decisionId="decision", eventSeq="event", evidence="conditions")
    return shown | {"active": row.ended_at is None}


def _remediations_by_id(conn: Connection, ids: Iterable[str | None]) -> list[Item]:
    found = (remediation(conn, wanted) for wanted in sorted(filter(None, ids)))
    return [shown for shown in found if shown is not None]


def _step_names(conn: Connection, row: Row[Any]) -> list[str]:
    """Of the policy's steps, and of what was added behind them: bringing back what served before."""
    digest = row.policy_digest
    text = conn.execute(select(schema.documents.c.text).where(schema.documents.c.digest == digest)).scalar()
    steps = ((text or {}).get("spec") or {}).get("steps") or []
    added = row.parameters[len(steps) :] if steps else ()
    return [str(step.get("name", "")) for step in (*steps, *added)]


# ── silences, pauses, quarantine ────────────────────────────────────────────────────────────────


def silences(
    conn: Connection, now: datetime, *, limit: int = 100, cursor: str | None = None, state: str | None = None
) -> Page:
    """Silences, those that end last first; `state` is pending, active or expired at `now`."""
    ended = or_(_S.ends_at <= now, _S.ended_early_at.is_not(None))
    states = {
        "expired": ended,
        "pending": and_(~ended, _S.starts_at > now),
        "active": and_(~ended, _S.starts_at <= now),
    }
    query = select(schema.silences)
    if state is not None:
        query = query.where(states[state])
    key = [_S.ends_at, _S.id]
    return page(conn, query, key, limit=limit, cursor=cursor, show=lambda row: _silence(row, now))


def silence(conn: Connection, silence_id: str, now: datetime) -> Item | None:
    """One silence, or None."""
    row = conn.execute(select(schema.silences).where(_S.id == silence_id)).one_or_none()
    return None if row is None else _silence(row, now)


def _silence(row: Row[Any], now: datetime) -> Item:
    over = row.ended_early_at is not None or row.ends_at <= now
    return item(row) | {"state": "expired" if over else "pending" if row.starts_at > now else "active"}


def pauses(
    conn: Connection, now: datetime, *, limit: int = 100, cursor: str | None = None, in_force: bool | None = True
) -> Page:
    """Pauses, newest first: those in force at `now`, those that ended (False), or all (None)."""
    over = or_(_P.lifted_at.is_not(None), _P.until <= now)
    query = select(schema.pauses)
    if in_force is True:
        query = query.where(_P.lifted_at.is_(None), or_(_P.until.is_(None), _P.until > now))
    elif in_force is False:
        query = query.where(over)
    key = [_P.since, _P.id]
    return page(conn, query, key, limit=limit, cursor=cursor, show=lambda row: _pause(row, now))


def _pause(row: Row[Any], now: datetime) -> Item:
    return item(row) | {"inForce": row.lifted_at is None and (row.until is None or row.until > now)}


def quarantine(
    conn: Connection,
    *,
    limit: int = 100,
    cursor: str | None = None,
    origin: str | None = None,
    reason: str | None = None,
) -> Page:
    """What could not be used, the last seen first, without its bodies."""
    query = _where(select(*_QUARANTINED), (_N.origin, origin), (_N.reason, reason))
    return page(conn, query, [_N.last_seen, _N.digest], limit=limit, cursor=cursor)


def quarantined(conn: Connection, digest: str) -> Item | None:
    """One item of the quarantine with its `body`, or None."""
    row = conn.execute(select(schema.quarantine).where(_N.digest == digest)).one_or_none()
    return None if row is None else item(row)
