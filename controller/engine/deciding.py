"""Answering "event x policy": situation, decide(), and what follows from the answer in the store.

What follows: a row; for a refusal that may lift, the open question; for an act, a
remediation. All inside the caller's transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

from controller.decision import Decision, Happening, Outcome, Reason, Situation, TriggerFacts, admissible, decide
from controller.engine.correlating import correlated
from controller.engine.moving import claim, note
from controller.engine.notices import notify
from controller.engine.rules import Rules
from controller.policy import ExpressionError, Model, Policy, Trigger
from controller.policy.undoing import paging, undoing
from controller.remediation import Cause, Phase, Remediation, may_change, relapsed, remediation_id, run_length
from controller.store import remediations
from controller.store.causes import causes_of, shared_cause
from controller.store.counting import evidence_value
from controller.store.leader import Turn
from controller.store.ledger import Ledger
from controller.store.ledger_rows import Question
from controller.store.past import evidence_floor
from controller.store.plain import plain
from controller.store.situation import Used, concerning, holds_target, situation

_TICK = timedelta(microseconds=1)


def answer(
    ledger: Ledger,
    rules: Rules,
    used: Used,
    policy: Policy,
    input_seq: int,
    *,
    attempt: int = 1,
    earlier: tuple[TriggerFacts, ...] | None = None,
) -> Decision:
    """Decide one event for one policy and record it.

    :param attempt: 1 when the event is used; more when it is asked again.
    :param earlier: trigger facts of the attempt before, where an open question is asked again; None: the
        event is being used, so it may become evidence.
    """
    now = ledger.turn.now
    frozen = rules.frozen(policy, used.model, now, known=used.known)
    facts = situation(ledger, used, policy, rules.fleet_limit, earlier or (), frozen=frozen)
    if earlier is None:
        facts = _with_evidence(ledger, used, policy, facts)
    if policy.correlate is not None:
        facts = correlated(ledger, used, policy, facts, again=earlier is not None)
    decision = decide(used.event, used.model, policy, facts, now)
    if facts.continues is not None and _triggered(decision):
        facts = _with_relapse(ledger, rules, used, policy, facts, input_seq)
        decision = decide(used.event, used.model, policy, facts, now)
        if decision.outcome is Outcome.REMEDIATE:
            decision = replace(decision, values={**decision.values, **_relapse_of(ledger, used, policy, facts)})
    _record(ledger, rules, used, policy, decision, facts, input_seq, attempt)
    return decision


def answer_retry(
    ledger: Ledger,
    rules: Rules,
    used: Used,
    policy: Policy,
    input_seq: int,
    attempt: int,
    earlier: tuple[TriggerFacts, ...],
    goes_on: tuple[str, int],
) -> Decision:
    """Decide an event once more since a person wants a step tried again; a refusal leaves nothing behind.

    :param earlier: trigger facts of the remediation's own decision: what was counted then has not to be counted anew.
    :param goes_on: the id of the remediation that the new one goes on with, and its first step.
    """
    now = ledger.turn.now
    rest = replace(policy, steps=policy.steps[goes_on[1] :])  # what it would do: only that may be urgent
    frozen = rules.frozen(rest, used.model, now, known=used.known)
    found = situation(ledger, used, rest, rules.fleet_limit, earlier, frozen=frozen)
    counts = {before.digest: before for before in earlier}
    facts = replace(
        found,
        triggers=tuple(_counted_before(facts, counts.get(facts.digest)) for facts in found.triggers),
        shared=shared_cause(ledger, rest, causes_of(rest, used.event, used.model)),
        wait_until=now,  # it has waited already
        continues=None,
        start=0,
        retried_from=goes_on[1],
    )
    decision = decide(used.event, used.model, policy, facts, now)
    if decision.outcome is Outcome.REMEDIATE:
        _record(ledger, rules, used, policy, decision, facts, input_seq, attempt, goes_on)
    return decision


def _counted_before(facts: TriggerFacts, before: TriggerFacts | None) -> TriggerFacts:
    return replace(facts, seen=before.seen, periods=before.periods) if before is not None else facts


def _record(  # noqa: PLR0913, PLR0917 — what was decided, about what, and as which input
    ledger: Ledger,
    rules: Rules,
    used: Used,
    policy: Policy,
    decision: Decision,
    facts: Situation,
    input_seq: int,
    attempt: int,
    goes_on: tuple[str, int] = ("", 0),
) -> None:
    row = decision_row(
        ledger.turn, used.seq, used.model, ledger.turn.decision_id(), input_seq, attempt, decision, policy
    )
    remediation = None
    if decision.outcome is Outcome.REMEDIATE or decision.reason is Reason.AUDIT:
        remediation = _start(ledger, rules, used, policy, decision, facts, row, goes_on)
    attached = remediation.id if remediation else facts.active if decision.reason is Reason.IN_PROGRESS else None
    ledger.record(row | {"situation": facts, "remediation_id": attached})
    _settle_question(ledger, rules, used, policy, decision, row["id"])


def _triggered(decision: Decision) -> bool:
    """Whether a trigger was true, whatever held it back."""
    order = list(Reason)
    return decision.reason is None or order.index(Reason.WAITING) <= order.index(decision.reason) <= order.index(
        Reason.AUDIT
    )


def _with_relapse(
    ledger: Ledger, rules: Rules, used: Used, policy: Policy, facts: Situation, input_seq: int
) -> Situation:
    """Note on the remediation that helped that it relapsed, once; the breaker counts it from now on."""
    assert facts.continues is not None
    before = remediations.read(ledger.turn.conn, facts.continues)
    if before is None or before.reason is Cause.RELAPSED:
        return facts
    note(ledger, rules, relapsed(before, ledger.turn.now, {"event": used.event.id}), input_seq)
    counted = situation(ledger, used, policy, rules.fleet_limit, facts.triggers, frozen=facts.frozen)
    return replace(facts, failures=counted.failures, breaker_open=counted.breaker_open)


def _relapse_of(ledger: Ledger, used: Used, policy: Policy, facts: Situation) -> dict[str, Any]:
    """What it relapses from: which remediation helped, when, and for how long it is on probation."""
    before = next(past for past in ledger.past(used.key) if past.id == facts.continues)
    left = {} if facts.start < len(policy.steps) else {"no_step_left": True}
    return {"relapse_of": before.id, "helped": before.ended_at, "probation": policy.probation, **left}


def decision_row(
    turn: Turn,
    event_seq: int,
    model: Model,
    decision_id: int,
    input_seq: int,
    attempt: int,
    decision: Decision,
    policy: Policy | None,
) -> dict[str, Any]:
    """The row of a decision; without a policy: that none matched."""
    return {
        "id": decision_id,
        "input_seq": input_seq,
        "event_seq": event_seq,
        "policy_ns": policy.namespace if policy else "",
        "policy": policy.name if policy else "",
        "policy_digest": policy.digest if policy else None,
        "model_digest": model.digest or None,
        "namespace": model.namespace,
        "model": model.name,
        "attempt": attempt,
        "outcome": str(decision.outcome),
        "reason": str(decision.reason) if decision.reason else "",
        "trigger": decision.trigger,
        "values": plain(decision.values),
        "parameters": plain(decision.parameters),
        "situation": None,
        "now": turn.now,
        "remediation_id": None,
    }


def _with_evidence(ledger: Ledger, used: Used, policy: Policy, facts: Situation) -> Situation:
    counting = [trigger for trigger in policy.triggers if trigger.counter is not None]
    if not counting or not admissible(used.event, used.model, policy, facts, ledger.turn.now):
        return facts
    by_name = {trigger.name: trigger for trigger in counting}
    counted = []
    for found in facts.triggers:
        trigger = by_name.get(found.name)
        counted.append(_counted(ledger, used, policy, trigger, found) if trigger and found.when else found)
    return replace(facts, triggers=tuple(counted))


def _counted(ledger: Ledger, used: Used, policy: Policy, trigger: Trigger, facts: TriggerFacts) -> TriggerFacts:
    assert trigger.counter is not None
    value: Any = evidence_value(trigger.counter, used.event.time)
    if trigger.counter.of is not None:
        try:
            value = trigger.counter.of.evaluate(used.bindings)
        except ExpressionError as error:
            return replace(facts, when=None, error=f"of: {error}")
        if not isinstance(value, str | float | int | bool):
            return replace(facts, when=None, error=f"of: want text or a number, got {type(value).__name__}")
        if trigger.counter.kind == "sum" and not _summable(value):
            return replace(facts, when=None, error=f"of: want a number of 0 or more, got {value!r}")
    ledger.add_evidence(policy, trigger, used.key, used.seq, used.event.time, value)
    after = evidence_floor(policy, trigger.counter, ledger.past(used.key), used.state)
    counted = ledger.seen(policy, trigger, used.key, after)
    return replace(facts, seen=counted.seen, periods=counted.periods)


def _summable(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < inf


def _start(
    ledger: Ledger,
    rules: Rules,
    used: Used,
    policy: Policy,
    decision: Decision,
    facts: Situation,
    row: dict[str, Any],
    goes_on: tuple[str, int],
) -> Remediation:
    """Begin a remediation; `goes_on`: the one that it goes on with ('' for none), and the step where it begins."""
    before, start = goes_on if goes_on[0] else (facts.continues, facts.start)
    now = ledger.turn.now
    audited = decision.reason is Reason.AUDIT
    evidence = _evidence(ledger, used, decision, facts)
    behind = (paging(),) if start >= len(policy.steps) else ()
    steps = (*policy.steps, *(undoing(added) for added in behind))
    acts = any(step.acting for step in steps[start:])
    remediation = Remediation(
        id=remediation_id(
            used.event.source, used.event.id, used.seq, (policy.namespace, policy.name), used.key, row["attempt"]
        ),
        decision_id=row["id"],
        event_seq=used.seq,
        namespace=used.model.namespace,
        model=used.model.name,
        policy_ns=policy.namespace,
        policy=policy.name,
        policy_digest=policy.digest,
        model_digest=used.model.digest or None,
        mode=policy.mode,
        severity=policy.severity,
        trigger=decision.trigger or "",
        families=_families(ledger, used, evidence),
        evidence=evidence,
        parameters=(*(decision.parameters or ()), *behind),
        steps=steps,
        phase=Phase.AUDITED if audited else Phase.PENDING,
        reason=Cause.AUDITED if audited else Cause.DECIDED,
        started_at=now,
        phase_since=now,
        changing=may_change(steps, start, acted=False),
        urgent=steps[start].restoring,
        holds_model=acts and not audited and facts.preempts is None,
        step=start,
        continues=before,
        waits_for=facts.preempts,
        ended_at=now if audited else None,
        held_until=now + run_length(policy) if audited else None,
        next_at=None if audited or facts.preempts else now,
    )
    target = used.model.target if acts and holds_target(policy) and facts.preempts is None else None
    remediations.create(ledger.turn, remediation, row["input_seq"], _beginning(row["id"], decision, facts), target)
    ledger.started(remediation, target)
    notify(ledger.turn, rules, remediation, {})
    if facts.preempts is not None:
        claim(ledger, rules, remediation, row["input_seq"])
    return remediation


def _beginning(decision_id: int, decision: Decision, facts: Situation) -> dict[str, Any]:
    """The values of its first transition."""
    waits = {"waits_for": facts.preempts} if facts.preempts else {}
    return {"decision": decision_id, **decision.values, **waits}


def _evidence(ledger: Ledger, used: Used, decision: Decision, facts: Situation) -> tuple[str, ...]:
    """The conditions that a remediation answers: the event's own, what corroborated it, what was counted with it."""
    trigger = next(found for found in facts.triggers if found.name == decision.trigger)
    ids = [used.condition.id] if used.condition is not None else []
    ids += [met for met in trigger.required if met is not None]
    if trigger.seen > 1:
        ids += sorted(
            condition.id
            for condition in concerning(ledger, used.model)
            if (condition.kind, condition.type) == (used.event.kind, used.event.type)
            and condition.state(ledger.turn.now) == "open"
        )
    return tuple(dict.fromkeys(ids))


def _families(ledger: Ledger, used: Used, evidence: tuple[str, ...]) -> tuple[str, ...]:
    found = {used.event.family} if used.event.family else set()
    for condition in concerning(ledger, used.model):
        if condition.id in evidence and condition.kind in ("model", "dataset"):
            found.add(condition.family)
    return tuple(sorted(found))


def _settle_question(
    ledger: Ledger, rules: Rules, used: Used, policy: Policy, decision: Decision, decision_id: int
) -> None:
    question = ledger.question(policy, used.key)
    if decision.liftable and question is not None and _riper(question, used, decision):
        return
    if decision.liftable:
        ledger.ask(_question(ledger, used, policy, decision, decision_id, question))
    elif question is None:
        return
    elif decision.outcome is Outcome.REMEDIATE or decision.reason is Reason.AUDIT or question.event_seq == used.seq:
        ledger.close(question)
    else:
        return
    if question is not None and question.retry_on == Happening.FLEET:  # perhaps it had been woken for a free slot
        ledger.pass_slot_on(rules.fleet_limit)


def _riper(question: Question, used: Used, decision: Decision) -> bool:
    """Whether an open question has come further than a new event: what waits or lasts is not displaced by less."""
    if question.event_seq == used.seq or question.reason not in (Reason.WAITING, Reason.ACCUMULATING):
        return False
    order = list(Reason)
    assert decision.reason is not None
    return order.index(decision.reason) < order.index(Reason(question.reason))


def _question(
    ledger: Ledger, used: Used, policy: Policy, decision: Decision, decision_id: int, before: Question | None
) -> Question:
    """The open question; asked at the latest when its event has become too old, which closes it."""
    now = ledger.turn.now
    last_seen = used.condition.last_seen if used.condition else used.event.time
    too_old = max(last_seen + policy.limits.max_age, now) + _TICK
    waiting = decision.reason is Reason.WAITING
    return Question(
        policy_ns=policy.namespace,
        policy=policy.name,
        namespace=used.model.namespace,
        model=used.model.name,
        event_seq=used.seq,
        decision_id=decision_id,
        condition_id=used.condition.id if used.condition else None,
        reason=str(decision.reason),
        wait_until=decision.retry_at if waiting else before.wait_until if before else None,
        retry_at=min(decision.retry_at or too_old, too_old),
        retry_on=str(decision.retry_on) if decision.retry_on else None,
        severity=policy.severity,
        since=before.since if before else now,
    )
