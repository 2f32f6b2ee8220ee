"""What stands now: the set of policies in force, the models known, and the counts of `status`. Read only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, union

from controller import schema
from controller.policy import ModelState
from controller.store import listing, outbox_rows, states
from controller.store.paging import Item, Page, instant, item, page

_D, _M, _R = schema.documents.c, schema.models.c, schema.remediations.c


def policy_set(conn: Connection) -> Item | None:
    """The set in force: `seq`, `since`, `digest`, `members` (digests), `refused` (messages); None: never one."""
    row = _set_row(conn)
    return None if row is None else item(row)


def policies(conn: Connection, *, limit: int = 100, cursor: str | None = None) -> Page:
    """The policies in force by namespace and name, with their documents."""
    return _documents(conn, "RemediationPolicy", limit, cursor)


def policy(conn: Connection, namespace: str, name: str) -> Item | None:
    """One policy in force with its document (`text`), or None."""
    return _document(conn, "RemediationPolicy", namespace, name)


def models(conn: Connection, *, limit: int = 100, cursor: str | None = None, namespace: str | None = None) -> Page:
    """Models with a document in force or with events, by namespace and name."""
    documented = select(_D.namespace, _D.name).where(_D.kind == "Model", _D.digest.in_(_members(conn)))
    known = union(select(_M.namespace, _M.name), documented).subquery()
    query = select(known.c.namespace, known.c.name)
    if namespace is not None:
        query = query.where(known.c.namespace == namespace)
    key = [known.c.namespace, known.c.name]
    return page(
        conn,
        query,
        key,
        limit=limit,
        cursor=cursor,
        newest_first=False,
        show=lambda row: _model(conn, row.namespace, row.name),
    )


def model(conn: Connection, namespace: str, name: str, now: datetime) -> Item | None:
    """One model: what is learnt of it, its document, conditions that are not over, questions; None: unknown."""
    shown = _model(conn, namespace, name)
    if not shown["documented"] and shown["firstSeen"] is None:
        return None
    document = _document(conn, "Model", namespace, name)
    about: dict[str, Any] = {"namespace": namespace, "model": name, "limit": 500}
    found: list[Item] = []
    for state in ("open", "unknown"):
        found += listing.conditions(conn, now, state=state, **about)["items"]
    return shown | {
        "text": document["text"] if document else None,
        "conditions": found,
        "questions": listing.questions(conn, **about)["items"],
    }


def status(conn: Connection, now: datetime) -> Item:
    """Counts and dates for the operator; `now` is the time of asking."""
    events, questions, quarantine = schema.events, schema.questions, schema.quarantine
    conditions, pauses, inputs = schema.conditions.c, schema.pauses.c, schema.inputs
    active = select(_R.phase, func.count()).where(_R.ended_at.is_(None)).group_by(_R.phase)
    still = pauses.lifted_at.is_(None) & (pauses.until.is_(None) | (pauses.until > now))
    last = conn.execute(select(inputs).order_by(inputs.c.seq.desc()).limit(1)).one_or_none()
    leader = conn.execute(select(schema.leader)).one_or_none()
    newest = _set_row(conn)
    return {
        "now": instant(now),
        "backlog": _count(conn, events.c.decided_at.is_(None)),
        "activeRemediations": {phase: int(count) for phase, count in conn.execute(active)},
        "openConditions": _count(conn, conditions.ended.is_(None) & (conditions.expires > now)),
        "openQuestions": conn.execute(select(func.count()).select_from(questions)).scalar_one(),
        "pausesInForce": _count(conn, still),
        "outboxPending": outbox_rows.pending(conn),
        "quarantined": conn.execute(select(func.count()).select_from(quarantine)).scalar_one(),
        "lastInput": item(last) if last else None,
        "leader": item(leader) if leader else None,
        "policySet": item(newest) | {"members": len(newest.members)} if newest else None,
    }


def _count(conn: Connection, condition: Any) -> int:
    return conn.execute(select(func.count()).where(condition)).scalar_one()


def _set_row(conn: Connection) -> Row[Any] | None:
    return conn.execute(select(schema.policy_sets).order_by(schema.policy_sets.c.seq.desc()).limit(1)).one_or_none()


def _members(conn: Connection) -> list[str]:
    newest = _set_row(conn)
    return list(newest.members) if newest else []


def _documents(conn: Connection, kind: str, limit: int, cursor: str | None) -> Page:
    query = select(schema.documents).where(_D.kind == kind, _D.digest.in_(_members(conn)))
    return page(conn, query, [_D.namespace, _D.name], limit=limit, cursor=cursor, newest_first=False)


def _document(conn: Connection, kind: str, namespace: str, name: str) -> Item | None:
    mine = (_D.kind == kind, _D.namespace == namespace, _D.name == name, _D.digest.in_(_members(conn)))
    row = conn.execute(select(schema.documents).where(*mine)).first()
    return None if row is None else item(row)


def _model(conn: Connection, namespace: str, name: str) -> Item:
    seen = conn.execute(select(_M.first_seen).where(_M.namespace == namespace, _M.name == name)).scalar()
    about: dict[str, Any] = {"namespace": namespace, "model": name, "limit": 1}
    active = listing.remediations(conn, active=True, **about)["items"]
    last = listing.remediations(conn, active=False, **about)["items"]
    document = _document(conn, "Model", namespace, name)
    return {
        "namespace": namespace,
        "name": name,
        "firstSeen": instant(seen) if seen else None,
        **_learnt(states.read(conn, (namespace, name))),
        "documented": document is not None,
        "labels": (document or {}).get("text", {}).get("metadata", {}).get("labels", {}),
        "activeRemediation": active[0] if active else None,
        "lastRemediation": last[0] if last else None,
    }


def _learnt(state: ModelState) -> Item:
    """What is known of a model besides its document, as people read it."""
    moments = {
        "stableSince": state.stable_since,
        "unknownSince": state.unknown_since,
        "deployedAt": state.deployed_at,
        "trainedAt": state.trained_at,
        "goodSince": state.good_since,
        "goodUntil": state.good_until,
    }
    return {
        "stable": state.stable,
        "canary": state.canary,
        "arriving": state.arriving,
        "learntFrom": state.learnt_from,
        "deployedBy": state.deployed_by,
        "trainedBy": state.trained_by,
        "reference": state.reference,
        "lastKnownGood": state.last_known_good,
        "goodBy": state.good_by,
        **{name: instant(moment) if moment else None for name, moment in moments.items()},
    }
