"""decide(): the answer to "event x policy", from a situation that was read before.

Pure: no I/O, no clock, no memory. Whatever an answer rests on is in its `Situation`,
which is stored with the decision, so that the same question can be answered again, by a
replay, a test or `modelmend explain`, and must be answered alike.

The guards are asked in one fixed order (`_GUARDS`) and the first that refuses names the
reason. Each reason says by itself what may lift it (`Decision.retry_at`, a time, or
`Decision.retry_on`, a happening); a reason that nothing lifts is final for its event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.events.event import Event
from controller.policy import (
    Bindings,
    CommandAction,
    ExpressionError,
    Model,
    PageAction,
    Policy,
    Step,
    Trigger,
    render,
    render_verification,
)


class Outcome(StrEnum):
    """What a decision comes to."""

    REMEDIATE = "remediate"
    SUPPRESS = "suppress"
    NONE = "none"  # no policy matched


class Reason(StrEnum):
    """Why a policy did not act; also the `reason` label of the metric."""

    UNKNOWN_MODEL = "unknown_model"
    STALE = "stale"
    TOO_FEW_SAMPLES = "too_few_samples"
    UNCORROBORATED = "uncorroborated"
    ACCUMULATING = "accumulating"
    CONDITION_ERROR = "condition_error"
    CONDITION_FALSE = "condition_false"
    WAITING = "waiting"
    INHIBITED = "inhibited"
    PAUSED = "paused"
    SILENCED = "silenced"
    IN_PROGRESS = "in_progress"
    BREAKER_OPEN = "breaker_open"
    BUDGET_EXHAUSTED = "budget_exhausted"
    COOLDOWN = "cooldown"
    FLEET_LIMIT = "fleet_limit"
    AUDIT = "audit"
    NO_POLICY_MATCHED = "no_policy_matched"
    INTERNAL_ERROR = "internal_error"
    POISON = "poison"


class Happening(StrEnum):
    """What can lift a refusal that no clock lifts."""

    REMEDIATION_ENDED = "remediation_ended"
    FLEET = "fleet"
    LIFTED = "lifted"
    CORROBORATED = "corroborated"
    UNINHIBITED = "uninhibited"


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """What is known of one trigger of the policy that names the event's type."""

    name: str
    digest: str
    when: bool | None  # None: the expression failed
    error: str | None
    seen: int  # evidence that counts, this event's included; 0 without a counter
    since: datetime | None  # since when its condition is open; None: it opens none, or is not open
    required: tuple[str | None, ...]  # per `require`: the id of what meets it, None where unmet


@dataclass(frozen=True, slots=True)
class Holding:
    """A condition that makes `unless` hold, and why it still does."""

    condition: str
    type: str
    state: str  # open | unknown | ended | error
    until: datetime | None  # ended: when its `within` is over


@dataclass(frozen=True, slots=True)
class Bar:
    """A pause or a silence in force for this event and policy."""

    id: str
    scope: str
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decide() may know besides event, model and policy. Counts, not events.

    Limits are those that apply to the policy: all changing remediations of the model, or
    the policy's own where it changes nothing, narrows its scope, or is audited.
    """

    known: bool  # the model has a document
    candidates: tuple[str, ...]  # namespaces, where the name alone meant several
    last_seen: datetime  # of the event's condition, else the event's own time
    over: datetime | None  # when the event's condition ended, if it is over
    used_up: datetime | None  # end of a recovered remediation that answered this event
    triggers: tuple[TriggerFacts, ...]
    wait_until: datetime | None  # the running wait of the open question
    unless: tuple[Holding, ...]
    pauses: tuple[Bar, ...]
    silences: tuple[Bar, ...]
    active: str | None  # the remediation that holds the model
    active_until: datetime | None  # an audited one: until when it counts as running
    failures: int  # that did not help, since the breaker was last closed
    breaker_open: bool
    spent: int  # of the budget
    budget_frees_at: datetime | None  # when the oldest of them leaves the window
    last_end: datetime | None  # cooldown counts from here
    fleet_active: int
    fleet_limit: int


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer, with the values that it rests on and what may lift it."""

    outcome: Outcome
    reason: Reason | None
    trigger: str | None
    values: dict[str, Any]
    parameters: tuple[dict[str, Any], ...] | None = None  # per step, every expression evaluated
    retry_at: datetime | None = None
    retry_on: Happening | None = None

    @property
    def liftable(self) -> bool:
        """True where the refusal may yet lift: the event stays, or becomes, the open question."""
        return self.retry_at is not None or self.retry_on is not None


@dataclass(frozen=True, slots=True)
class _Question:
    event: Event
    model: Model
    policy: Policy
    situation: Situation
    now: datetime


def decide(event: Event, model: Model, policy: Policy, situation: Situation, now: datetime) -> Decision:
    """Answer one event for one policy that it matches; always answers, never raises for bad data.

    :param model: the model's document, or a bare `Model` of that name where it has none.
    :param now: the time of the decision; limits go by it, windows by the event's `time`.
    """
    question = _Question(event, model, policy, situation, now)
    for guard in _GUARDS_BEFORE:
        if refusal := guard(question):
            return refusal
    trigger, refusal = _first_true(question)
    if refusal:
        return refusal
    for guard in _GUARDS_AFTER:
        if refusal := guard(question):
            return _about(refusal, trigger)
    try:
        bindings = Bindings.of(event, model, now)
        parameters = tuple(_rendered(step, bindings) for step in policy.steps)
    except ExpressionError as error:
        return Decision(Outcome.SUPPRESS, Reason.CONDITION_ERROR, trigger, {"error": f"steps: {error}"})
    if policy.mode == "audit":
        return Decision(Outcome.SUPPRESS, Reason.AUDIT, trigger, {"mode": "audit"}, parameters)
    return Decision(Outcome.REMEDIATE, None, trigger, _winning_values(question, trigger), parameters)


def _rendered(step: Step, bindings: Bindings) -> dict[str, Any]:
    """A step with every expression evaluated: `kind`, `action`, and one entry of `verify` per verification."""
    kind = "page" if isinstance(step.action, PageAction) else _changing_kind(step)
    verify = [render_verification(verification, bindings) for verification in step.verify]
    return {"name": step.name, "kind": kind, "action": render(step.action, bindings), "verify": verify}


def _changing_kind(step: Step) -> str:
    return "command" if isinstance(step.action, CommandAction) else "request"


def admissible(event: Event, model: Model, policy: Policy, situation: Situation, now: datetime) -> bool:
    """Whether the event may be kept as evidence: known, not stale, enough samples, `unless` not holding."""
    question = _Question(event, model, policy, situation, now)
    return not any(guard(question) for guard in (*_GUARDS_BEFORE, _inhibited))


def _about(refusal: Decision, trigger: str | None) -> Decision:
    return replace(refusal, trigger=trigger)


def _refuse(
    reason: Reason,
    values: dict[str, Any],
    *,
    at: datetime | None = None,
    on: Happening | None = None,
) -> Decision:
    return Decision(Outcome.SUPPRESS, reason, None, values, retry_at=at, retry_on=on)


def _unknown_model(q: _Question) -> Decision | None:
    if q.situation.candidates:
        return _refuse(Reason.UNKNOWN_MODEL, {"model": q.model.name, "candidates": list(q.situation.candidates)})
    if q.situation.known or q.policy.models.unknown == "act":
        return None
    return _refuse(Reason.UNKNOWN_MODEL, {"model": q.model.name, "namespace": q.model.namespace})


def _stale(q: _Question) -> Decision | None:
    situation = q.situation
    if situation.over is not None:
        return _refuse(Reason.STALE, {"why": "over", "ended": situation.over})
    if situation.used_up is not None:
        return _refuse(Reason.STALE, {"why": "used_up", "ended": situation.used_up})
    age = q.now - situation.last_seen
    if age > q.policy.limits.max_age:
        values = {"why": "too_old", "last_seen": situation.last_seen, "age": age, "max_age": q.policy.limits.max_age}
        return _refuse(Reason.STALE, values)
    return None


def _too_few_samples(q: _Question) -> Decision | None:
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


def _first_true(q: _Question) -> tuple[str | None, Decision | None]:
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
        refusals.setdefault(refusal.reason, _about(refusal, facts.name))
        if refusal.retry_at is not None:
            ripe.append(refusal.retry_at)
    for reason in (Reason.UNCORROBORATED, Reason.ACCUMULATING, Reason.CONDITION_ERROR):
        if reason in refusals:
            return None, replace(refusals[reason], retry_at=min(ripe, default=None))
    return None, refusals.get(Reason.CONDITION_FALSE) or _refuse(Reason.CONDITION_FALSE, {})


def _untrue(q: _Question, trigger: Trigger, facts: TriggerFacts) -> Decision | None:
    if facts.when is None:
        return _refuse(Reason.CONDITION_ERROR, {"when": _source(trigger), "error": facts.error})
    if not facts.when:
        return _refuse(Reason.CONDITION_FALSE, {"when": _source(trigger)})
    if trigger.counter is not None and facts.seen < trigger.counter.at_least:
        values = {"seen": facts.seen, "at_least": trigger.counter.at_least, "within": trigger.counter.within}
        return _refuse(Reason.ACCUMULATING, values)
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


def _source(trigger: Trigger) -> str | None:
    return trigger.when.source if trigger.when else None


def _waiting(q: _Question) -> Decision | None:
    if not q.policy.wait:
        return None
    until = q.situation.wait_until or q.now + q.policy.wait
    return _refuse(Reason.WAITING, {"until": until, "wait": q.policy.wait}, at=until) if q.now < until else None


def _inhibited(q: _Question) -> Decision | None:
    return inhibited(q.situation.unless)


def inhibited(unless: tuple[Holding, ...]) -> Decision | None:
    """The refusal of `unless`, where one of its conditions holds."""
    if not unless:
        return None
    first = unless[0]
    values = {"condition": first.condition, "type": first.type, "state": first.state, "until": first.until}
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


def _paused(q: _Question) -> Decision | None:
    return barred(Reason.PAUSED, q.situation.pauses)


def _silenced(q: _Question) -> Decision | None:
    return barred(Reason.SILENCED, q.situation.silences)


def _in_progress(q: _Question) -> Decision | None:
    active, until = q.situation.active, q.situation.active_until
    if active is None:
        return None
    values = {"remediation": active, "until": until}
    if until is not None:
        return _refuse(Reason.IN_PROGRESS, values, at=until)
    return _refuse(Reason.IN_PROGRESS, values, on=Happening.REMEDIATION_ENDED)


def _breaker_open(q: _Question) -> Decision | None:
    if not q.situation.breaker_open:
        return None
    breaker = q.policy.limits.breaker
    values = {"failures": q.situation.failures, "limit": breaker.failures, "within": breaker.within}
    return _refuse(Reason.BREAKER_OPEN, values, on=Happening.LIFTED)


def _budget_exhausted(q: _Question) -> Decision | None:
    budget = q.policy.limits.budget
    if q.situation.spent < budget.max:
        return None
    frees_at = q.situation.budget_frees_at
    values = {"spent": q.situation.spent, "max": budget.max, "within": budget.within, "until": frees_at}
    return _refuse(Reason.BUDGET_EXHAUSTED, values, at=frees_at or q.now + budget.within)


def _cooldown(q: _Question) -> Decision | None:
    last_end, cooldown = q.situation.last_end, q.policy.limits.cooldown
    if last_end is None or q.now >= last_end + cooldown:
        return None
    until = last_end + cooldown
    return _refuse(Reason.COOLDOWN, {"last_end": last_end, "cooldown": cooldown, "until": until}, at=until)


def _fleet_limit(q: _Question) -> Decision | None:
    situation = q.situation
    if not q.policy.changing or q.policy.mode == "audit" or situation.fleet_active < situation.fleet_limit:
        return None
    values = {"active": situation.fleet_active, "limit": situation.fleet_limit}
    return _refuse(Reason.FLEET_LIMIT, values, on=Happening.FLEET)


def _winning_values(q: _Question, trigger: str | None) -> dict[str, Any]:
    facts = next(facts for facts in q.situation.triggers if facts.name == trigger)
    values: dict[str, Any] = {"corroborated_by": [met for met in facts.required if met]}
    if facts.seen:
        values["seen"] = facts.seen
    if facts.since:
        values["since"] = facts.since
    return values


_Guard = Callable[[_Question], Decision | None]
_GUARDS_BEFORE: tuple[_Guard, ...] = (_unknown_model, _stale, _too_few_samples)
_GUARDS_AFTER: tuple[_Guard, ...] = (
    _waiting,
    _inhibited,
    _paused,
    _silenced,
    _in_progress,
    _breaker_open,
    _budget_exhausted,
    _cooldown,
    _fleet_limit,
)


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """What is asked again, live, before a rung starts."""

    over: datetime | None  # when the condition of the event that triggered ended, if it is over
    too_old: bool  # asked before the first rung only
    unless: tuple[Holding, ...]
    pauses: tuple[Bar, ...]
    silences: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a rung may not start now; `final` ends the remediation, else it is held."""

    reason: Reason
    values: dict[str, Any]
    final: bool


def hold(changing: bool, facts: HoldFacts) -> Refusal | None:  # noqa: FBT001 - `rung.changing` says itself
    """Whether the next rung may start: pause and silence hold any, `unless` a changing one.

    A changing rung whose conditions are over, and any first rung whose event has become too
    old, is not held but given up.
    """
    if changing and facts.over is not None:
        return Refusal(Reason.STALE, {"why": "over", "ended": facts.over}, final=True)
    if facts.too_old:
        return Refusal(Reason.STALE, {"why": "too_old"}, final=True)
    held_by = (
        inhibited(facts.unless) if changing else None,
        barred(Reason.PAUSED, facts.pauses),
        barred(Reason.SILENCED, facts.silences),
    )
    for refusal in held_by:
        if refusal is not None and refusal.reason is not None:
            return Refusal(refusal.reason, refusal.values, final=False)
    return None


def breaker_trips(failures: list[datetime], limit: int, within: timedelta) -> bool:
    """Whether `limit` failures ever fell within one window since the breaker was closed: it then stays open."""
    ordered = sorted(failures)
    return any(ordered[i + limit - 1] - ordered[i] < within for i in range(len(ordered) - limit + 1))
