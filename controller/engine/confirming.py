"""Labels that come after the end: what a performance event says of a remediation that is provisional."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.engine.moving import note
from controller.engine.notices import notify
from controller.engine.rules import Rules
from controller.judge import Verdict
from controller.policy import spellings
from controller.policy.undoing import undo, undoing, why_not
from controller.remediation import (
    Cause,
    Phase,
    Remediation,
    confirmed,
    confirmed_worse,
    remediation_id,
)
from controller.store import remediations
from controller.store.ledger import Ledger
from controller.store.situation import Used

_WORSE = "ml.performance.degraded"
_GOOD = frozenset({"ml.performance.recovered", "ml.monitor.checked"})


def judge_late(ledger: Ledger, rules: Rules, used: Used, input_seq: int) -> None:
    """Have the labels that an event carries judge the model's provisional remediations that they are about."""
    if used.event.type != _WORSE and used.event.type not in _GOOD:
        return
    for past in list(ledger.past(used.key)):
        r = remediations.read(ledger.turn.conn, past.id) if past.confirm_until is not None else None
        if r is None or r.rung.confirm is None or not _about(ledger, used, r, r.rung.confirm.metric):
            continue
        values = {"event": used.event.id, "metric": r.rung.confirm.metric, "value": used.event.data.get("value")}
        if used.event.type in _GOOD:
            note(ledger, rules, confirmed(r, ledger.turn.now, values), input_seq)
        else:
            _worse(ledger, rules, used, r, values, input_seq)


def _about(ledger: Ledger, used: Used, r: Remediation, metric: str) -> bool:
    """Whether these labels are of the metric, and of the version that was brought, or of a time after the action."""
    data = used.event.data
    if data.get("metric") != metric or r.action_ended is None:
        return False
    brought = _brought(ledger, r)
    if used.event.version is not None and brought is not None:
        return brought in spellings(used.event, used.model)
    window = data.get("window")
    start = _moment(window.get("start")) if isinstance(window, dict) else None
    return start is not None and start >= r.action_ended


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


def _brought(ledger: Ledger, r: Remediation) -> str | None:
    found = remediations.outputs(ledger.turn.conn, r).get("version") or r.parameters[r.step]["action"].get("to")
    return str(found) if found else None


def _worse(ledger: Ledger, rules: Rules, used: Used, r: Remediation, values: dict[str, Any], input_seq: int) -> None:
    """It counts as one that did not help, people are told, and what served before is brought back where it can be."""
    model = remediations.model_of(ledger.turn.conn, r.model_digest, r.namespace, r.model)
    reason = why_not(r.rung, model, r.version_before)
    if reason is None and used.state.serving == r.version_before:
        reason = f"{r.version_before} serves already"
    holder = remediations.in_the_way(ledger.turn.conn, r, model.target)
    if reason is None and holder is not None:
        reason = f"remediation {holder} is at work on the model"
    told = {"not_restored": reason} if reason else {"restores": r.version_before}
    note(ledger, rules, confirmed_worse(r, ledger.turn.now, {**values, **told}), input_seq)
    if reason is None:
        _restore(ledger, rules, used, r, input_seq)


def _restore(ledger: Ledger, rules: Rules, used: Used, r: Remediation, input_seq: int) -> None:
    now, event = ledger.turn.now, used.event
    model = remediations.model_of(ledger.turn.conn, r.model_digest, r.namespace, r.model)
    assert r.version_before is not None
    added = undo(r.rung, model, r.version_before, _brought(ledger, r))
    policy = remediations.policy_of(ledger.turn.conn, r.policy_digest)
    own = len(policy.steps)
    after = replace(
        r,
        id=remediation_id(event.source, event.id, used.seq, (r.policy_ns, f"{r.policy}/{r.id}"), used.key, 0),
        event_seq=used.seq,
        parameters=(*r.parameters[:own], added),
        steps=(*policy.steps, undoing(added)),
        phase=Phase.PENDING,
        reason=Cause.DECIDED,
        started_at=now,
        phase_since=now,
        changing=False,
        acted=False,
        restored=False,
        action_failed=False,
        urgent=True,
        holds_model=True,
        waits_for=None,
        step=own,
        attempt=1,
        verify_index=0,
        action_ended=None,
        approved=False,
        verdict=Verdict.WORSE,
        continues=r.id,
        failed_at=None,
        confirm_until=None,
        ended_at=None,
        next_at=now,
        version=1,
    )
    values = {"decision": r.decision_id, "continues": r.id, "restores": r.version_before}
    remediations.create(ledger.turn, after, input_seq, values, model.target)
    ledger.started(after, model.target)
    notify(ledger.turn, rules, after, values)
