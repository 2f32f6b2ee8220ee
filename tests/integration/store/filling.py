"""Rows as the engine writes them, for what reads or purges them: each function writes one and fills in the rest."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Table, insert

from controller import schema

from .conftest import NOON


def add(conn: Connection, table: Table, **values: Any) -> None:
    """One row of any table; what is not given and not nullable gets a plain value of its type."""
    for column in table.columns:
        if column.name in values or column.nullable or column.server_default is not None or _counts(table, column):
            continue
        values[column.name] = _plain(column)
    conn.execute(insert(table).values(values))


def _counts(table: Table, column: Any) -> bool:
    return bool(
        column.primary_key
        and len(table.primary_key.columns) == 1
        and column.autoincrement is not False
        and not isinstance(column.type, type(schema.documents.c.digest.type))
    )


def _plain(column: Any) -> Any:
    match type(column.type).__name__:
        case "Instant":
            return NOON
        case "Json":
            return []
        case "Boolean":
            return False
        case "Text":
            return column.name
        case _:
            return 0


def event(conn: Connection, seq: int, at: datetime, **values: Any) -> None:
    """A decided event, received at `at`."""
    add(
        conn,
        schema.events,
        **{
            "seq": seq,
            "source": "urn:drift-detector",
            "id": f"e-{seq}",
            "type": "ml.data.drift.detected",
            "time": at,
            "received_at": at,
            "last_seen_at": at,
            "model": "salary-predictor",
            "family": "drift",
            "about": "feature=salary",
            "data": {"driftScore": 0.44},
            "extensions": {},
            "decided_at": at,
            "input_seq": seq,
        }
        | values,
    )


def condition(conn: Connection, number: int, event_seq: int, *, ended: datetime | None, **values: Any) -> None:
    """A condition of salary-predictor; open for a day from NOON where it is not ended."""
    add(
        conn,
        schema.conditions,
        **{
            "id": f"c-{number}",
            "source": "urn:drift-detector",
            "kind": "model",
            "namespace": "ml",
            "name": "salary-predictor",
            "family": "drift",
            "about": f"feature=f{number}",
            "type": "ml.data.drift.detected",
            "ended": ended,
            "ended_by": None if ended is None else "event:e-1",
            "expires": NOON + timedelta(days=1),
            "event_seq": event_seq,
        }
        | values,
    )


def decision(conn: Connection, number: int, event_seq: int, at: datetime, **values: Any) -> None:
    """A decision of policy ml/retrain."""
    add(
        conn,
        schema.decisions,
        **{
            "id": number,
            "input_seq": number,
            "event_seq": event_seq,
            "policy_ns": "ml",
            "policy": "retrain",
            "policy_digest": "p1",
            "namespace": "ml",
            "model": "salary-predictor",
            "attempt": 1,
            "outcome": "suppress",
            "reason": "cooldown",
            "values": {"cooldown": "24h"},
            "situation": {"facts": 1},
            "now": at,
        }
        | values,
    )


def remediation(conn: Connection, name: str, *, started: datetime, ended: datetime | None, **values: Any) -> None:
    """A remediation with a transition, an intent and an observation."""
    over = ended is not None
    add(
        conn,
        schema.remediations,
        **{
            "id": name,
            "decision_id": 1,
            "event_seq": 1,
            "namespace": "ml",
            "model": "salary-predictor",
            "policy_ns": "ml",
            "policy": "retrain",
            "policy_digest": "p1",
            "phase": "Succeeded" if over else "Running",
            "reason": "recovered" if over else "started",
            "verdict": "recovered" if over else "none",
            "evidence": [],
            "families": ["drift"],
            "holds_model": not over,
            "started_at": started,
            "phase_since": ended or started,
            "ended_at": ended,
        }
        | values,
    )
    add(
        conn,
        schema.transitions,
        remediation_id=name,
        version=1,
        from_phase="",
        to_phase="Pending",
        now=started,
        values={},
        input_seq=1,
    )
    add(
        conn,
        schema.intents,
        remediation_id=name,
        step=0,
        attempt=1,
        action="command",
        key=f"{name}-0",
        end_state={"argv": ["true"]},
    )
    add(conn, schema.observations, remediation_id=name, at=started, value={"state": "done"}, input_seq=1)
    add(conn, schema.targets, remediation_id=name, kind="k", namespace="ml", name=name)


def question(conn: Connection, event_seq: int, decision_id: int, **values: Any) -> None:
    """The open question of ml/retrain and salary-predictor."""
    add(
        conn,
        schema.questions,
        **{
            "policy_ns": "ml",
            "policy": "retrain",
            "namespace": "ml",
            "model": "salary-predictor",
            "event_seq": event_seq,
            "decision_id": decision_id,
            "reason": "cooldown",
            "retry_on": "remediation_ended",
            "severity": "P2",
        }
        | values,
    )


def document(conn: Connection, digest: str, kind: str, name: str, text: dict[str, Any] | None = None) -> None:
    """A document of namespace ml."""
    add(conn, schema.documents, digest=digest, kind=kind, namespace="ml", name=name, text=text or {})


def policy_set(conn: Connection, seq: int, since: datetime, members: list[str], refused: tuple[str, ...] = ()) -> None:
    """A set that came into force."""
    add(conn, schema.policy_sets, seq=seq, since=since, digest=f"set-{seq}", members=members, refused=list(refused))
