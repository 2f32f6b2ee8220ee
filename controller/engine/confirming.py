"""Labels that come after the end: what a performance event says of a remediation that is provisional."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.engine.moving import brought, note
from controller.engine.notices import notify
from controller.engine.rules import Rules
from controller.events.scalars import parse_time
from controller.events.types import MONITOR_CHECKED, PERFORMANCE_DEGRADED, PERFORMANCE_RECOVERED
from controller.judge import Verdict
from controller.policy import normalised, spellings
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

_GOOD = frozenset({PERFORMANCE_RECOVERED, MONITOR_CHECKED})


def judge_late(ledger: Ledger, rules: Rules, used: Used, input_seq: int) -> list[dict[str, str]]:
    """Have the labels that an event carries judge the model's provisional remediations that they are about.

    Gives each of these with what it was called, or `why_not`.
    """
    told: list[dict[str, str]] = []
    good = used.event.type in _GOOD
    if not good and used.event.type != PERFORMANCE_DEGRADED:
        return told
    for past in list(ledger.past(used.key)):
        r = remediations.read(ledger.turn.conn, past.id) if past.confirm_until is not None else None
        if r is None or r.rung.confirm is None:
            continue
        if why := _not_about(ledger, used, r, r.rung.confirm.metric):
            told.append({"remediation": r.id, "why_not": why})
            continue
        told.append({"remediation": r.id, "called": str(Cause.CONFIRMED if good else Cause.CONFIRMED_WORSE)})
        values = {"event": used.event.id, "metric": r.rung.confirm.metric, "value": used.event.data.get("value")}
        if good:
            note(ledger, rules, confirmed(r, ledger.turn.now, values), input_seq)
        else:
            _worse(ledger, rules, used, r, values, input_seq)
    return told


def _not_about(ledger: Ledger, used: Used, r: Remediation, metric: str) -> str:
    """Why these labels are not of the metric, and of the version brought or a time after the action; '': they are."""
    data = used.event.data
    if data.get("metric") != metric or r.action_ended is None:
        return f"it waits for labels of {metric}"
    version = brought(ledger, r)
    if used.event.version is not None and version is not None:
        same = normalised(version, used.model.version_names) in spellings(used.event, used.model)
        return "" if same else f"it brought {version}, and this is about {used.event.version}"
    window = data.get("window")
    start = parse_time(window.get("start")) if isinstance(window, dict) else None
    if start is None:
        return "the event names no version that was brought, and no `window` with a start"
    return "" if start >= r.action_ended else "its `window` begins before the action ended"


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
    added = undo(r.rung, model, r.version_before, brought(ledger, r))
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
