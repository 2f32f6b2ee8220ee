"""decide() itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from controller.decision.answer import Decision, Outcome, Reason
from controller.decision.guards import AFTER_TRIGGERS, BEFORE_TRIGGERS, Question, about, first_true, guard_inhibited
from controller.decision.situation import Situation
from controller.events.event import Event
from controller.policy import (
    Bindings,
    ExpressionError,
    Model,
    Policy,
    Step,
    render,
    render_verification,
)


def decide(event: Event, model: Model, policy: Policy, situation: Situation, now: datetime) -> Decision:
    """Answer one event for one policy that it matches; always answers, never raises for bad data.

    :param model: the model's document, or a bare `Model` of that name where it has none.
    :param now: the time of the decision; limits go by it, windows by the event's `time`.
    """
    question = Question(event, model, _left_of(policy, situation), situation, now)
    for guard in BEFORE_TRIGGERS:
        if refusal := guard(question):
            return refusal
    trigger, refusal = first_true(question)
    if refusal:
        return refusal
    for guard in AFTER_TRIGGERS:
        if refusal := guard(question):
            return about(refusal, trigger)
    try:
        bindings = Bindings.of(event, model, now, situation.state)
        parameters = tuple(_rendered(step, bindings, model) for step in policy.steps)
    except ExpressionError as error:
        return Decision(Outcome.SUPPRESS, Reason.CONDITION_ERROR, trigger, {"error": f"steps: {error}"})
    if policy.mode == "audit":
        return Decision(Outcome.SUPPRESS, Reason.AUDIT, trigger, {"mode": "audit"}, parameters)
    return Decision(Outcome.REMEDIATE, None, trigger, _winning_values(question, trigger), parameters)


def _left_of(policy: Policy, situation: Situation) -> Policy:
    """The policy with the steps that a person has tried again: only what would be done may be urgent, or change."""
    return replace(policy, steps=policy.steps[situation.retried_from :]) if situation.retried_from else policy


def _rendered(step: Step, bindings: Bindings, model: Model) -> dict[str, Any]:
    """A step with every expression evaluated: `kind`, `action`, and one entry of `verify` per verification."""
    verify = [render_verification(verification, bindings, model) for verification in step.verify]
    action = render(step.action, bindings, model)
    return {"name": step.name, "kind": step.action.kind, "action": action, "verify": verify}


def admissible(event: Event, model: Model, policy: Policy, situation: Situation, now: datetime) -> bool:
    """Whether the event may be kept as evidence: known, not stale, enough samples, `unless` not holding."""
    question = Question(event, model, policy, situation, now)
    return not any(guard(question) for guard in (*BEFORE_TRIGGERS, guard_inhibited))


def triggered(event: Event, model: Model, policy: Policy, situation: Situation, now: datetime) -> bool:
    """Whether a trigger is true with its `require`, and the event may be answered at all and is not muted."""
    if situation.unless or situation.pauses or situation.silences:
        return False
    question = Question(event, model, policy, situation, now)
    return not any(guard(question) for guard in BEFORE_TRIGGERS) and first_true(question)[0] is not None


def _winning_values(q: Question, trigger: str | None) -> dict[str, Any]:
    facts = next(facts for facts in q.situation.triggers if facts.name == trigger)
    values: dict[str, Any] = {"corroborated_by": [met for met in facts.required if met]}
    if facts.seen:
        values["seen"] = facts.seen
    counter = next(trigger.counter for trigger in q.policy.triggers if trigger.name == facts.name)
    if counter is not None and counter.kind == "sum":
        values |= {"counted": "sum", "at_least": counter.at_least, "within": counter.within}
    if facts.periods:
        values["periods"] = list(facts.periods)
    if facts.since:
        values["since"] = facts.since
    return values
