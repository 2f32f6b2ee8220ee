"""From rows to a `Situation`: what decide() is told about one event and one policy.

Windows go by the events' own time, limits by the time of the decision; both are bounded
above by the turn's `now`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.decision import (
    Bar,
    Frozen,
    HoldFacts,
    Holding,
    Situation,
    TriggerFacts,
    breaker_trips,
    outdated,
)
from controller.events.condition import Condition, Dataset, Subject, about_of
from controller.events.event import Event, feature_of
from controller.policy import (
    DUE,
    Bindings,
    Corroboration,
    Expression,
    ExpressionError,
    Model,
    ModelState,
    Policy,
    Since,
    Trigger,
    version_of,
)
from controller.silences import paused, silenced
from controller.store.causes import causes_of, shared_cause
from controller.store.counting import Tally
from controller.store.ledger import Ledger
from controller.store.ledger_rows import ModelKey, Past
from controller.store.past import (
    active_of,
    asked_until,
    counted_past,
    did_not_help,
    evidence_floor,
    helped,
    last_end,
    relapse,
    spends,
)


@dataclass(frozen=True, slots=True)
class Used:
    """An event in use for one model that it concerns, and its condition after it was moved."""

    seq: int
    event: Event
    model: Model
    known: bool
    candidates: tuple[str, ...]
    condition: Condition | None
    bindings: Bindings
    state: ModelState

    @property
    def key(self) -> ModelKey:
        """Namespace and name of the model."""
        return self.model.namespace, self.model.name

    @property
    def version(self) -> str | None:
        """The version that the event is about, as the bindings have found it."""
        return self.bindings.event.get("version")

    @property
    def subject(self) -> Subject:
        """What the event is about: the model, or a dataset that it reads."""
        return about_of(self.event, self.model.namespace)


def datasets_of(model: Model) -> list[Dataset]:
    """The datasets whose conditions concern a model: each input as named for its namespace, and for all."""
    return [Dataset(namespace, own.dataset) for own in model.inputs for namespace in ("", model.namespace)]


def concerning(ledger: Ledger, model: Model) -> list[Condition]:
    """The conditions of a model, and those of its inputs that are about what it reads."""
    found = list(ledger.conditions((model.namespace, model.name)))
    if model.inputs:
        ledger.load((), datasets_of(model))
        for dataset in datasets_of(model):
            conditions = ledger.conditions(dataset)
            found += [one for one in conditions if model.reads(dataset.name, feature_of(one.about))]
    return found


def situation(
    ledger: Ledger,
    used: Used,
    policy: Policy,
    fleet_limit: int,
    earlier: tuple[TriggerFacts, ...] = (),
    *,
    frozen: tuple[Frozen, ...] = (),
) -> Situation:
    """All that decide() may know.

    :param earlier: facts of the attempt before: `when` is evaluated once per event and trigger.
    :param frozen: the freezes of the set in force.
    """
    now = ledger.turn.now
    condition = used.condition
    over = condition.ended if condition is not None else None
    last_seen = condition.last_seen if condition is not None else used.event.time
    counted = counted_past(policy, ledger.past(used.key))
    failures = failures_since_closed(ledger, policy, used.key, counted)
    spent = sorted(past.started_at for past in counted if spends(past, policy, now))
    budget, breaker = policy.limits.budget, policy.limits.breaker
    active, until = active_of(policy, ledger.past(used.key), now)
    if active is None and holds_target(policy) and used.model.target is not None:
        active = ledger.holder(used.model.target)
    preempts = active if active is not None and _gives_way(ledger, policy, active) else None
    question = ledger.question(policy, used.key)
    continues, start = relapse(policy, ledger.past(used.key), question.since if question else now)
    whens = {facts.digest: facts for facts in earlier}
    asked_again = question is not None and question.event_seq == used.seq
    judged = used.event.type != DUE  # what is due by a calendar was measured on nothing
    measured = (condition.renewed_at if condition else used.event.time) if asked_again and judged else None
    return Situation(
        known=used.known,
        candidates=used.candidates,
        last_seen=last_seen,
        over=over,
        used_up=_used_up(used, last_seen, ledger.past(used.key)),
        triggers=tuple(
            _trigger_facts(ledger, used, policy, trigger, whens.get(trigger.digest))
            for trigger in policy.triggers_of(used.event)
        ),
        wait_until=question.wait_until if question else None,
        unless=holdings(ledger, policy, used.model, measured),
        pauses=pauses(ledger, policy, used.model),
        silences=silences(ledger, used.event, policy, used.model),
        frozen=frozen,
        done_since=_done_since(used, policy),
        active=None if preempts else active,
        preempts=preempts,
        active_until=until,
        continues=continues,
        start=start,
        failures=len(failures),
        breaker_open=breaker_trips(failures, breaker.failures, breaker.within),
        spent=len(spent),
        budget_frees_at=spent[-budget.max] + budget.within if len(spent) >= budget.max else None,
        last_end=last_end(policy, counted),
        asked_until=asked_until(policy, ledger.past(used.key)),
        fleet_active=ledger.fleet_active,
        fleet_limit=fleet_limit,
        state=used.state,
        version=used.version,
    )


def failures_since_closed(ledger: Ledger, policy: Policy, key: ModelKey, counted: list[Past]) -> list[datetime]:
    """When remediations ended that acted and did not help, since a person last closed the breaker."""
    closed = [resume.at for resume in ledger.resumes if (resume.policy, resume.model) == (policy.key, "/".join(key))]
    since = max(closed, default=None)
    failures = [failed for past in counted if (failed := did_not_help(past)) is not None]
    return [failed for failed in failures if since is None or failed > since]


def holds_target(policy: Policy) -> bool:
    """Whether a remediation of this policy holds the object that serves its model: at most one does at a time."""
    return policy.acting and policy.mode != "audit"


def _gives_way(ledger: Ledger, policy: Policy, active: str) -> bool:
    """Whether an urgent policy takes the model over from this one: from every other that is not urgent itself."""
    if not policy.urgent or policy.mode == "audit":
        return False
    holder = ledger.remediation(active)
    return holder is not None and not holder.urgent


def _used_up(used: Used, last_seen: datetime, past: list[Past]) -> datetime | None:
    """The end of the last recovered remediation that answered the event.

    What only restored has answered nothing that is said of the version that serves: it is as good as it was.
    """
    of_stable = used.version is not None and used.version == used.state.serving
    ends = [
        found.ended_at
        for found in past
        if helped(found)
        and used.event.family in found.families
        and found.ended_at is not None
        and (found.acted or not of_stable)
    ]
    last = max(ends, default=None)
    return last if last is not None and last_seen < last else None


def _done_since(used: Used, policy: Policy) -> datetime | None:
    """When a model was trained, or deployed, after it had become due that it is."""
    if used.event.type != DUE:
        return None
    since = next((trigger.due for trigger in policy.triggers_of(used.event) if isinstance(trigger.due, Since)), None)
    last = since.last_of(used.state) if since else None
    counted = used.event.data.get("last")
    return last if last and (counted is None or last > datetime.fromisoformat(counted)) else None


def _trigger_facts(
    ledger: Ledger, used: Used, policy: Policy, trigger: Trigger, earlier: TriggerFacts | None
) -> TriggerFacts:
    when, error = (earlier.when, earlier.error) if earlier is not None else (None, None)
    if trigger.sustained is not None and used.condition is not None and used.condition.event_seq != used.seq:
        newest = ledger.event(used.condition.event_seq)
        when, error = _test(trigger.when, _bindings(ledger, newest, used.model))
    elif earlier is None:
        when, error = _test(trigger.when, used.bindings)
    counted = Tally(0)
    if trigger.counter is not None and when:
        floor = evidence_floor(policy, trigger.counter, ledger.past(used.key), used.state)
        counted = ledger.seen(policy, trigger, used.key, floor)
    condition = used.condition
    is_open = condition is not None and condition.state(ledger.turn.now) == "open"
    return TriggerFacts(
        name=trigger.name,
        digest=trigger.digest,
        when=when,
        error=error,
        seen=counted.seen,
        periods=counted.periods,
        since=condition.since if condition is not None and is_open else None,
        required=tuple(_met(ledger, used.model, need) for need in trigger.require),
    )


def _test(when: Expression | None, bindings: Bindings) -> tuple[bool | None, str | None]:
    if when is None:
        return True, None
    try:
        return when.test(bindings), None
    except ExpressionError as error:
        return None, str(error)


def _matching(ledger: Ledger, model: Model, need: Corroboration) -> list[Condition]:
    found = [condition for condition in concerning(ledger, model) if condition.type == need.type]
    return sorted(found, key=lambda condition: condition.id)


def _met(ledger: Ledger, model: Model, need: Corroboration) -> str | None:
    """The condition that meets `require`: open, or last seen at most `within` ago, be it over or unknown since."""
    now = ledger.turn.now
    for condition in _matching(ledger, model, need):
        recent = need.within is not None and condition.last_seen >= now - need.within
        if not (condition.state(now) == "open" or recent) or _asked(ledger, model, condition, need) is not True:
            continue
        if need.versions == "any" or not _about_former(ledger, model, condition):
            return condition.id
    return None


def _about_former(ledger: Ledger, model: Model, condition: Condition) -> bool:
    """Whether its newest event is about a version that no longer serves."""
    state = ledger.state((model.namespace, model.name))
    if state.serving is None:
        return False
    newest = ledger.find_event(condition.event_seq)
    return newest is not None and state.former(version_of(newest, model, state))


def _asked(ledger: Ledger, model: Model, condition: Condition, need: Corroboration) -> bool | None:
    if need.when is None:
        return True
    newest = ledger.find_event(condition.event_seq)
    if newest is None:  # older than what is kept: nobody can say any more, as for an expression that fails
        return None
    return _test(need.when, _bindings(ledger, newest, model))[0]


def _bindings(ledger: Ledger, event: Event, model: Model) -> Bindings:
    return Bindings.of(event, model, ledger.turn.now, ledger.state((model.namespace, model.name)))


def holdings(ledger: Ledger, policy: Policy, model: Model, measured: datetime | None = None) -> tuple[Holding, ...]:
    """What makes `unless` hold: open or unknown, or `within` after the end; an expression that fails holds too.

    :param measured: of an open question, when its condition was last renewed. What held then still holds:
        what was measured on a broken feed never triggers.
    """
    now = ledger.turn.now
    found = []
    for need in policy.unless:
        for condition in _matching(ledger, model, need):
            state = condition.state(now)
            until = _until(condition, need.within)
            if until is not None and now >= until and not _held_at(condition, until, measured):
                continue
            asked = _asked(ledger, model, condition, need)
            if asked is False:
                continue
            named = "error" if asked is None else {"over": "ended"}.get(state, state)
            dataset = condition.name if isinstance(condition.subject, Dataset) else None
            found.append(Holding(condition.id, condition.type, named, until if state == "over" else None, dataset))
    return tuple(found)


def _until(condition: Condition, within: timedelta | None) -> datetime | None:
    return condition.ended + (within or timedelta()) if condition.ended is not None else None


def _held_at(condition: Condition, until: datetime, moment: datetime | None) -> bool:
    return moment is not None and condition.since <= moment < until


def pauses(ledger: Ledger, policy: Policy, model: Model) -> tuple[Bar, ...]:
    """Pauses in force for the policy and model."""
    return tuple(
        Bar(row.id, row.scope, row.until, row.why)
        for row in ledger.pauses
        if paused(row.scope, row.namespace, row.name, policy, model)
    )


def silences(ledger: Ledger, event: Event, policy: Policy, model: Model) -> tuple[Bar, ...]:
    """Silences in force for the event, policy and model."""
    return tuple(
        Bar(row.id, "silence", row.until, row.why)
        for row in ledger.silences
        if silenced(row.matchers, event, policy, model)
    )


def hold_facts(
    ledger: Ledger, policy: Policy, used: Used, *, first: bool, frozen: tuple[Frozen, ...] = ()
) -> HoldFacts:
    """What is asked again before a rung; `first`: before the first, which also asks `maxAge`."""
    condition = used.condition
    last_seen = condition.last_seen if condition is not None else used.event.time
    return HoldFacts(
        over=condition.ended if condition is not None else None,
        too_old=first and ledger.turn.now - last_seen > policy.limits.max_age,
        unless=holdings(ledger, policy, used.model),
        pauses=pauses(ledger, policy, used.model),
        silences=silences(ledger, used.event, policy, used.model),
        frozen=frozen,
        shared=shared_cause(ledger, policy, causes_of(policy, used.event, used.model)),
        outdated=outdated(used.event, used.model, used.state, last_seen) if first else None,
    )
