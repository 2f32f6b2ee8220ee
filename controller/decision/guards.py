"""The guards, in the order in which they are asked; the first that refuses names the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from controller.decision.answer import Decision, Happening, Outcome, Reason
from controller.decision.outdated import outdated
from controller.decision.situation import ASKED_AGAIN, Bar, Frozen, Holding, Shared, Situation, TriggerFacts
from controller.events.event import Event
from controller.policy import DUE, OTHERS, Counter, Model, Policy, Trigger


@dataclass(frozen=True, slots=True)
class Question:
    """What a guard is asked about."""

    event: Event
    model: Model
    policy: Policy
    situation: Situation
    now: datetime

    @property
    def urgent(self) -> bool:
        """Whether it would begin with what restores."""
        return self.policy.urgent and self.situation.start == 0

    @property
    def pages(self) -> bool:
        """Whether it would only page, since it goes on where no step acts any more: no limit of acting holds that."""
        return self.situation.start > 0 and not any(step.acting for step in self.policy.steps[self.situation.start :])


def about(refusal: Decision, trigger: str | None) -> Decision:
    """The refusal, naming the trigger that it held back."""
    return replace(refusal, trigger=trigger)


def _refuse(
    reason: Reason,
    values: dict[str, Any],
    *,
    at: datetime | None = None,
    on: Happening | None = None,
) -> Decision:
    return Decision(Outcome.SUPPRESS, reason, None, values, retry_at=at, retry_on=on)


def _unknown_model(q: Question) -> Decision | None:
    if q.situation.candidates:
        return _refuse(Reason.UNKNOWN_MODEL, {"model": q.model.name, "candidates": list(q.situation.candidates)})
    if q.situation.known or q.policy.models.unknown == "act":
        return None
    return _refuse(Reason.UNKNOWN_MODEL, {"model": q.model.name, "namespace": q.model.namespace})


def _stale(q: Question) -> Decision | None:
    situation = q.situation
    if situation.over is not None:
        return _refuse(Reason.STALE, {"why": "over", "ended": situation.over})
    if situation.used_up is not None:
        return _refuse(Reason.STALE, {"why": "used_up", "ended": situation.used_up})
    if situation.done_since is not None:
        return _refuse(Reason.STALE, {"why": "done_since", "ended": situation.done_since})
    if found := outdated(q.event, q.model, situation.state, situation.last_seen):
        return _refuse(Reason.STALE, found)
    age = q.now - situation.last_seen
    if age > q.policy.limits.max_age:
        values = {"why": "too_old", "last_seen": situation.last_seen, "age": age, "max_age": q.policy.limits.max_age}
        return _refuse(Reason.STALE, values)
    return None


def _too_few_samples(q: Question) -> Decision | None:
    wanted = q.policy.limits.min_samples
    if not wanted or not _carries_number(q.event):
        return None
    found = q.event.data.get("sampleCount")
    if isinstance(found, int | float) and found >= wanted:
        return None
    return _refuse(Reason.TOO_FEW_SAMPLES, {"sample_count": found, "min_samples": wanted})


def _carries_number(event: Event) -> bool:
    if event.over:
        return False
    if event.family == "drift":
        return "driftScore" in event.data or "pValue" in event.data
    return event.family == "performance" and "value" in event.data


def first_true(q: Question) -> tuple[str | None, Decision | None]:
    """The first trigger that is true with its `require`, or why none is.

    It is asked again when the first of them may have become true, whichever names the reason.
    """
    refusals: dict[Reason, Decision] = {}
    ripe: list[datetime] = []
    by_name = {trigger.name: trigger for trigger in q.policy.triggers}
    for facts in q.situation.triggers:
        refusal = _untrue(q, by_name[facts.name], facts)
        if refusal is None:
            return facts.name, None
        assert refusal.reason is not None
        refusals.setdefault(refusal.reason, about(refusal, facts.name))
        if refusal.retry_at is not None:
            ripe.append(refusal.retry_at)
    for reason in (Reason.UNCORROBORATED, Reason.ACCUMULATING, Reason.CONDITION_ERROR):
        if reason in refusals:
            return None, replace(refusals[reason], retry_at=min(ripe, default=None))
    return None, refusals.get(Reason.CONDITION_FALSE) or _refuse(Reason.CONDITION_FALSE, {})


def _untrue(q: Question, trigger: Trigger, facts: TriggerFacts) -> Decision | None:
    if facts.when is None:
        return _refuse(Reason.CONDITION_ERROR, {"when": _source(trigger), "error": facts.error})
    if not facts.when:
        return _refuse(Reason.CONDITION_FALSE, {"when": _source(trigger)})
    if trigger.counter is not None and facts.seen < trigger.counter.at_least:
        return _refuse(Reason.ACCUMULATING, _counted(trigger.counter, facts))
    if trigger.sustained is not None:
        if facts.since is None:
            return _refuse(Reason.ACCUMULATING, {"since": None, "sustained": trigger.sustained})
        ripe = facts.since + trigger.sustained
        if q.now < ripe:
            return _refuse(Reason.ACCUMULATING, {"since": facts.since, "sustained": trigger.sustained}, at=ripe)
    missing = [need.type for need, met in zip(trigger.require, facts.required, strict=True) if met is None]
    if missing:
        return _refuse(Reason.UNCORROBORATED, {"missing": missing}, on=Happening.CORROBORATED)
    return None


def _counted(counter: Counter, facts: TriggerFacts) -> dict[str, Any]:
    values: dict[str, Any] = {"seen": facts.seen, "at_least": counter.at_least, "within": counter.within}
    if counter.kind == "sum":
        values["counted"] = "sum"
    if counter.periods is not None:
        values |= {"every": counter.periods.every, "periods": list(facts.periods)}
    return values


def _source(trigger: Trigger) -> str | None:
    return trigger.when.source if trigger.when else None


def _waiting(q: Question) -> Decision | None:
    if not q.policy.wait or q.urgent:
        return None
    until = q.situation.wait_until or q.now + q.policy.wait
    return _refuse(Reason.WAITING, {"until": until, "wait": q.policy.wait}, at=until) if q.now < until else None


def guard_inhibited(q: Question) -> Decision | None:
    """`unless`, as a guard; of an urgent policy that may also change, it is asked before its changing steps only."""
    if q.urgent and q.policy.changing:
        return None
    refusal = inhibited(q.situation.unless)
    untils = [holding.until for holding in q.situation.unless]
    if refusal is None or q.event.type != DUE or None in untils:
        return refusal
    # What is due by a calendar was measured on nothing: it need not come anew.
    return replace(refusal, retry_at=max(until for until in untils if until))


def inhibited(unless: tuple[Holding, ...]) -> Decision | None:
    """The refusal of `unless`, where one of its conditions holds."""
    if not unless:
        return None
    first = unless[0]
    values = {"condition": first.condition, "type": first.type, "state": first.state, "until": first.until}
    if first.dataset is not None:
        values["dataset"] = first.dataset
    return _refuse(Reason.INHIBITED, values, on=Happening.UNINHIBITED)


def barred(reason: Reason, bars: tuple[Bar, ...]) -> Decision | None:
    """The refusal of pauses, or of silences: it lifts when the last of them has ended."""
    if not bars:
        return None
    first = bars[0]
    values = {"id": first.id, "scope": first.scope, "until": first.until, "why": first.why}
    if any(bar.until is None for bar in bars):
        return _refuse(reason, values, on=Happening.LIFTED)
    return _refuse(reason, values, at=max(bar.until for bar in bars if bar.until), on=Happening.LIFTED)


def _paused(q: Question) -> Decision | None:
    return barred(Reason.PAUSED, q.situation.pauses)


def _silenced(q: Question) -> Decision | None:
    return barred(Reason.SILENCED, q.situation.silences)


def _frozen(q: Question) -> Decision | None:
    if not q.policy.changing or q.urgent or q.pages:
        return None
    return guard_frozen(q.situation.frozen)


def guard_frozen(frozen: tuple[Frozen, ...]) -> Decision | None:
    """The refusal of freezes: it lifts when the last of them has ended, and this model's share of its spread too."""
    if not frozen:
        return None
    last = max(frozen, key=lambda found: (found.ask_at, found.id))
    return _refuse(Reason.FROZEN, {"freeze": last.id, "until": last.until}, at=last.ask_at)


def _in_progress(q: Question) -> Decision | None:
    active, until = q.situation.active, q.situation.active_until
    if active is None or q.pages:
        return None
    values = {"remediation": active, "until": until}
    if until is not None:
        return _refuse(Reason.IN_PROGRESS, values, at=until)
    return _refuse(Reason.IN_PROGRESS, values, on=Happening.REMEDIATION_ENDED)


def _breaker_open(q: Question) -> Decision | None:
    if q.pages or not q.situation.breaker_open:
        return None
    breaker = q.policy.limits.breaker
    values = {"failures": q.situation.failures, "limit": breaker.failures, "within": breaker.within}
    return _refuse(Reason.BREAKER_OPEN, values, on=Happening.LIFTED)


def _budget_exhausted(q: Question) -> Decision | None:
    budget = q.policy.limits.budget
    if q.urgent or q.pages or q.situation.spent < budget.max:
        return None
    frees_at = q.situation.budget_frees_at
    values = {"spent": q.situation.spent, "max": budget.max, "within": budget.within, "until": frees_at}
    return _refuse(Reason.BUDGET_EXHAUSTED, values, at=frees_at or q.now + budget.within)


def _cooldown(q: Question) -> Decision | None:
    """From the end of the last remediation that counts, or what others deployed or trained since."""
    ends = [(q.situation.last_end, "remediation")]
    if q.policy.changing:
        state = q.situation.state
        ends += [(state.deployed_at, "deployment")] if state.deployed_by == OTHERS else []
        ends += [(state.trained_at, "training")] if state.trained_by == OTHERS else []
    last_end, by = max(((end, by) for end, by in ends if end is not None), default=(None, ""))
    cooldown = q.policy.limits.cooldown
    if q.urgent or q.pages or last_end is None or q.now >= last_end + cooldown:
        return None
    until = last_end + cooldown
    values = {"last_end": last_end, "cooldown": cooldown, "until": until}
    return _refuse(Reason.COOLDOWN, values | ({} if by == "remediation" else {"by": f"{by} by others"}), at=until)


def _asked_lately(q: Question) -> Decision | None:
    until = q.situation.asked_until
    if until is None or q.now >= until:
        return None
    values = {"last_end": until - ASKED_AGAIN, "cooldown": ASKED_AGAIN, "until": until, "by": "asking"}
    return _refuse(Reason.COOLDOWN, values, at=until)


def _fleet_limit(q: Question) -> Decision | None:
    situation = q.situation
    free = q.policy.mode == "audit" or situation.fleet_active < situation.fleet_limit
    if free or q.urgent or q.pages or not q.policy.changing:
        return None
    values = {"active": situation.fleet_active, "limit": situation.fleet_limit}
    return _refuse(Reason.FLEET_LIMIT, values, on=Happening.FLEET)


def _shared_cause(q: Question) -> Decision | None:
    return None if q.urgent or q.pages else shared(q.situation.shared)


def shared(found: Shared | None) -> Decision | None:
    """The refusal where many models have one cause."""
    if found is None:
        return None
    values = {"cause": found.cause, "models": found.models, "condition": found.condition, "until": found.until}
    return _refuse(Reason.SHARED_CAUSE, values, at=found.until, on=Happening.LIFTED)


_Guard = Callable[[Question], Decision | None]
BEFORE_TRIGGERS: tuple[_Guard, ...] = (_unknown_model, _stale, _too_few_samples)
AFTER_TRIGGERS: tuple[_Guard, ...] = (
    _waiting,
    guard_inhibited,
    _paused,
    _silenced,
    _frozen,
    _in_progress,
    _breaker_open,
    _budget_exhausted,
    _cooldown,
    _asked_lately,
    _fleet_limit,
    _shared_cause,
)
