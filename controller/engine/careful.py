"""Events that may kill the process: after an unclean stop the backlog is taken with care.

Each batch is committed as in hand before it is decided. What is found in hand at the next
start is suspect: a child process that writes nothing decides it first, event by event, and
says which it is at. Where the child dies, that event is quarantined as `poison`, and the
rest is tried again; so each event that kills stops nothing but itself. (One id committed
for each event would do as well, but a backlog would then take two commits for each event.)
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
from controller.engine.rules import DEFAULT_NAMESPACE
from controller.policy import Model
from controller.store import quarantine
from controller.store.acts import Act
from controller.store.leader import Leadership, Turn
from controller.store.ledger import Ledger
from controller.store.undecided import Stored, in_hand, one, take_in_hand

PROBE_SECONDS = 20.0
"""A child that has not begun and decided by then, with a second more for each event, counts as dead."""


def take(leadership: Leadership, *seqs: int) -> None:
    """Commit that these events are about to be decided."""
    with leadership.transaction() as turn:
        take_in_hand(turn, seqs)


def suspects(leadership: Leadership) -> bool:
    """Whether events were in hand when a process ended."""
    with leadership.db.read() as conn:
        return bool(in_hand(conn))


def probe_suspects(leadership: Leadership, quarantined: Callable[[Stored, str, str], None]) -> int:
    """Try what was in hand when the process died; returns up to which event to go on with care."""
    with leadership.db.read() as conn:
        held = {seq: stored for seq in in_hand(conn) if (stored := one(conn, seq)) is not None}
        events = schema.events.c
        last = conn.execute(select(func.max(events.seq)).where(events.decided_at.is_(None))).scalar()
    while held and (found := _probe(leadership.db.url, *held)):
        seq, died = found
        quarantined(held.pop(seq), "poison", f"deciding it ended the process: {died}")
    return last or 0


def still_deadly(leadership: Leadership, act: Act) -> str | None:
    """Why an act must not be carried out: it replays poison, and a child process that tried it died."""
    if act.kind != "replay":
        return None
    with leadership.db.read() as conn:
        item = quarantine.get(conn, act.ref)
    if item is None or item["event_seq"] is None:
        return None
    try:
        found = _probe(leadership.db.url, item["event_seq"])
    except OSError as error:
        return f"it could not be tried in a process of its own: {error}"
    return f"deciding it still ends the process: {found[1]}" if found else None


def _probe(url: str, *seqs: int) -> tuple[int, str] | None:
    """Decide events in a child process; at which that died and how, or None where it lived."""
    command = [sys.executable, "-m", "controller.engine.probe", *map(str, seqs)]
    try:
        done = subprocess.run(  # noqa: S603 — our own module in our own interpreter
            command,
            input=url.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_SECONDS + len(seqs),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said, how = error.stdout or b"", "no answer in time"
    else:
        said, how = done.stdout, f"signal {-done.returncode}"
        if done.returncode >= 0:
            return None
    at = said.split()  # nothing said: it died before it began, which tells nothing of any event
    return (int(at[-1]), how) if at else None


def quarantine_event(leadership: Leadership, stored: Stored, reason: str, message: str) -> int:
    """Decide an event as `internal_error` or `poison` and keep it for people; returns what that drove out."""
    with leadership.transaction() as turn:
        return set_aside(turn, stored, reason, message)


def set_aside(turn: Turn, stored: Stored, reason: str, message: str) -> int:
    """The same inside a transaction; of the event only its number and name are touched: the rest may be what failed."""
    ledger = Ledger(turn)
    model = Model.bare(stored.event.namespace or DEFAULT_NAMESPACE, stored.event.model or "")
    decision = Decision(Outcome.SUPPRESS, Reason(reason), None, {"error": message})
    input_seq = turn.input("event", str(stored.seq))
    ledger.record(decision_row(turn, stored.seq, model, turn.decision_id(), input_seq, 1, decision, None))
    ledger.decided(stored.seq, input_seq)
    ledger.flush()
    body: dict[str, Any] = to_jsonable_python(asdict(stored.event))
    return quarantine.put(
        turn.conn, turn.now, origin="engine", reason=reason, message=message, body=body, event_seq=stored.seq
    )
