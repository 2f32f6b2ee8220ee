"""Events that may kill the process: after an unclean stop the backlog is taken one by one.

Each id is committed as in hand before its event is decided. One found in hand at the next
start is the suspect: it is first decided in a child process that writes nothing. If the
child dies, the event is quarantined as `poison`; it stops nothing but itself.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pydantic_core import to_jsonable_python
from sqlalchemy import func, select

from controller import schema
from controller.decision import Decision, Outcome, Reason
from controller.engine.deciding import decision_row
from controller.engine.rules import Rules
from controller.store import quarantine
from controller.store.acts import Act
from controller.store.leader import Leadership, Turn
from controller.store.ledger import Ledger
from controller.store.undecided import Stored, in_hand, one, take_in_hand

PROBE_SECONDS = 60.0
"""A child that has not decided by then counts as dead."""


def take(leadership: Leadership, seq: int) -> None:
    """Commit that this event is about to be decided."""
    with leadership.transaction() as turn:
        take_in_hand(turn, seq)


def probe_suspects(leadership: Leadership, quarantined: Callable[[Stored, str, str], None]) -> int:
    """Try what was in hand when the process died; returns up to which event to go on one by one."""
    with leadership.db.read() as conn:
        suspects = [stored for seq in in_hand(conn) if (stored := one(conn, seq)) is not None]
        events = schema.events.c
        last = conn.execute(select(func.max(events.seq)).where(events.decided_at.is_(None))).scalar()
    for stored in suspects:
        died = _probe(leadership.db.url, stored.seq)
        if died is not None:
            quarantined(stored, "poison", f"deciding it ended the process: {died}")
    return last or 0


def still_deadly(leadership: Leadership, act: Act) -> str | None:
    """Why an act must not be carried out: it replays poison, and a child process that tried it died."""
    if act.kind != "replay":
        return None
    with leadership.db.read() as conn:
        item = quarantine.get(conn, act.ref)
    if item is None or item["reason"] != "poison" or item["event_seq"] is None:
        return None
    died = _probe(leadership.db.url, item["event_seq"])
    return died and f"deciding it still ends the process: {died}"


def _probe(url: str, seq: int) -> str | None:
    """Decide an event in a child process; how that died, or None where it lived."""
    command = [sys.executable, "-m", "controller.engine.probe", str(seq)]
    try:
        done = subprocess.run(  # noqa: S603 — our own module in our own interpreter
            command,
            input=url.encode(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PROBE_SECONDS:.0f} s"
    return f"signal {-done.returncode}" if done.returncode < 0 else None


def quarantine_event(leadership: Leadership, rules: Rules, stored: Stored, reason: str, message: str) -> int:
    """Decide an event as `internal_error` or `poison` and keep it for people; returns what that drove out."""
    with leadership.transaction() as turn:
        return set_aside(turn, rules, stored, reason, message)


def set_aside(turn: Turn, rules: Rules, stored: Stored, reason: str, message: str) -> int:
    """The same inside a transaction."""
    ledger = Ledger(turn)
    model, known, candidates = rules.model_of(stored.event)
    ledger.load([(model.namespace, model.name)])
    used = rules.used_about(ledger, stored.seq, stored.event, model, known=known, candidates=candidates)
    decision = Decision(Outcome.SUPPRESS, Reason(reason), None, {"error": message})
    input_seq = turn.input("event", str(stored.seq))
    ledger.record(decision_row(ledger, used, turn.decision_id(), input_seq, 1, decision, None))
    ledger.decided(stored.seq, input_seq)
    ledger.flush()
    body: dict[str, Any] = to_jsonable_python(asdict(stored.event))
    return quarantine.put(
        turn.conn, turn.now, origin="engine", reason=reason, message=message, body=body, event_seq=stored.seq
    )
