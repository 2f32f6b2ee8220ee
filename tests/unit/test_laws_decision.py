"""Laws of decide(), over whatever situations Hypothesis thinks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from pydantic_core import from_json, to_json, to_jsonable_python

from controller.decision import (
    Bar,
    Decision,
    Happening,
    HoldFacts,
    Holding,
    Outcome,
    Reason,
    Situation,
    TriggerFacts,
    admissible,
    breaker_trips,
    decide,
    hold,
)
from controller.events.event import Event
from controller.policy import Breaker, Budget, Corroboration, Counter, Limits, ModelSelector, Policy, Trigger
from tests.conftest import NOON
from tests.unit.cases import (
    DAY,
    DEGRADED,
    DRIFT,
    MODEL,
    PAGE,
    QUALITY,
    SAMPLED,
    command,
    drift,
    policy,
    request,
)

T = TypeVar("T")
SITUATION = TypeAdapter(Situation)

# The order in which the guards are asked: what comes earlier hides what comes later.
ORDER: tuple[Reason | None, ...] = (
    Reason.UNKNOWN_MODEL, Reason.STALE, Reason.TOO_FEW_SAMPLES,
    Reason.CONDITION_FALSE, Reason.CONDITION_ERROR, Reason.ACCUMULATING, Reason.UNCORROBORATED,
    Reason.WAITING, Reason.INHIBITED, Reason.PAUSED, Reason.SILENCED, Reason.IN_PROGRESS, Reason.BREAKER_OPEN,
    Reason.BUDGET_EXHAUSTED, Reason.COOLDOWN, Reason.FLEET_LIMIT, Reason.AUDIT, None,
)  # fmt: skip
UNTRUE = frozenset(ORDER[3:7])

# What may lift each reason: a time, a happening; None: never, True: always, False: sometimes.
LIFTS: dict[Reason, tuple[bool | None, Happening | None]] = {
    Reason.UNKNOWN_MODEL: (None, None),
    Reason.STALE: (None, None),
    Reason.TOO_FEW_SAMPLES: (None, None),
    Reason.CONDITION_FALSE: (None, None),
    Reason.CONDITION_ERROR: (None, None),
    Reason.ACCUMULATING: (False, None),
    Reason.UNCORROBORATED: (False, Happening.CORROBORATED),
    Reason.WAITING: (True, None),
    Reason.INHIBITED: (None, Happening.UNINHIBITED),
    Reason.PAUSED: (False, Happening.LIFTED),
    Reason.SILENCED: (False, Happening.LIFTED),
    Reason.BREAKER_OPEN: (None, Happening.LIFTED),
    Reason.BUDGET_EXHAUSTED: (True, None),
    Reason.COOLDOWN: (True, None),
    Reason.FLEET_LIMIT: (None, Happening.FLEET),
    Reason.AUDIT: (None, None),
}


@dataclass(frozen=True)
class Case:
    """All that decide() is given."""

    event: Event
    policy: Policy
    situation: Situation

    def answer(self, now: datetime = NOON) -> Decision:
        """The decision."""
        return decide(self.event, MODEL, self.policy, self.situation, now)

    def but(self, situation: Situation) -> Case:
        """The same in another situation."""
        return replace(self, situation=situation)


def ago(most: timedelta) -> st.SearchStrategy[datetime]:
    """Moments up to noon."""
    return st.timedeltas(timedelta(), most).map(lambda age: NOON - age)


def ahead(most: timedelta) -> st.SearchStrategy[datetime]:
    """Moments after noon."""
    return st.timedeltas(timedelta(microseconds=1), most).map(lambda left: NOON + left)


spans = st.timedeltas(timedelta(seconds=1), 20 * DAY)
short = st.text("abc-", min_size=1, max_size=4)
needs = st.builds(Corroboration, st.sampled_from([DEGRADED, QUALITY]), st.none(), st.none() | spans)
counters = st.builds(Counter, st.integers(1, 4), spans)
triggers = st.builds(
    Trigger, name=st.just(""), type=st.just(DRIFT), sustained=st.none() | spans, counter=st.none() | counters,
    require=st.lists(needs, max_size=2).map(tuple),
)  # fmt: skip
limits = st.builds(
    Limits, cooldown=spans, budget=st.builds(Budget, st.integers(1, 4), spans), breaker=st.builds(Breaker, st.integers(1, 4), spans),
    max_age=spans, min_samples=st.sampled_from([0, 0, 0, 500]),
)  # fmt: skip
policies = st.builds(
    lambda steps, named, **changes: policy(
        *steps, triggers=tuple(replace(one, name=f"t{at}") for at, one in enumerate(named)), **changes
    ),
    steps=st.sampled_from([(command(),), (command("a", SAMPLED), request(), PAGE), (PAGE,)]),
    named=st.lists(triggers, min_size=1, max_size=3),
    mode=st.sampled_from(["audit", "enforce"]),
    wait=st.just(timedelta()) | spans,
    limits=limits,
    models=st.sampled_from([ModelSelector(), ModelSelector(unknown="act")]),
)
ENOUGH = drift(data={"driftScore": 0.4, "sampleCount": 900.0})
events = st.sampled_from([drift(), ENOUGH, drift(family="performance", data={"value": 0.4}), drift(family=None)])
bars = st.builds(Bar, short, st.sampled_from(["all", "model"]), st.none() | ahead(5 * DAY), short)
holdings = st.builds(
    Holding, short, st.just(QUALITY), st.sampled_from(["open", "unknown", "ended"]), st.none() | ahead(DAY)
)


@st.composite
def facts_of(draw: st.DrawFn, trigger: Trigger, *, true: bool) -> TriggerFacts:
    """What is known of a trigger: anything, or what makes it true."""
    when = True if true else draw(st.sampled_from([True, True, False, None]))
    least = trigger.counter.at_least if trigger.counter else 0
    lasted = NOON - (trigger.sustained or timedelta())
    return TriggerFacts(
        name=trigger.name,
        digest="t",
        when=when,
        error="no such key" if when is None else None,
        seen=draw(st.integers(least if true else 0, 5)),
        since=lasted if true else draw(st.none() | ago(30 * DAY)),
        required=tuple(draw(st.sampled_from(["c-2", "c-3"] if true else ["c-2", None])) for _ in trigger.require),
    )


HINDRANCES = (
    "known", "candidates", "last_seen", "over", "used_up", "samples", "triggers", "triggers", "wait", "unless", "pauses", "silences",
    "active", "breaker", "budget", "cooldown", "fleet",
)  # fmt: skip
some_bars = st.lists(bars, min_size=1, max_size=2).map(tuple)
some_holdings = st.lists(holdings, min_size=1, max_size=2).map(tuple)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Situations as the store may read them: nothing, or a few of the guards, in the way."""
    about = draw(policies)
    bound = about.limits
    drawn = draw(st.lists(st.sampled_from(HINDRANCES), max_size=3))

    def of(name: str, hindered: st.SearchStrategy[T], free: st.SearchStrategy[T]) -> T:
        return draw(hindered if name in drawn else free)

    spent = of("budget", st.integers(bound.budget.max, 6), st.integers(0, bound.budget.max - 1))
    active = of("active", short, st.none())
    limit = draw(st.integers(1, 6))
    found = Situation(
        known="known" not in drawn,
        candidates=of("candidates", st.just(("hr", "ml")), st.just(())),
        last_seen=of("last_seen", ago(40 * DAY), ago(bound.max_age)),
        over=of("over", ago(DAY), st.none()),
        used_up=of("used_up", ago(DAY), st.none()),
        triggers=tuple(draw(facts_of(trigger, true="triggers" not in drawn)) for trigger in about.triggers),
        wait_until=of("wait", st.none() | ahead(DAY), ago(DAY)),
        unless=of("unless", some_holdings, st.just(())),
        pauses=of("pauses", some_bars, st.just(())),
        silences=of("silences", some_bars, st.just(())),
        active=active,
        preempts=None,
        continues=None,
        start=0,
        active_until=draw(ahead(DAY)) if active and about.mode == "audit" else None,
        failures=draw(st.integers(0, 5)),
        breaker_open="breaker" in drawn,
        spent=spent,
        budget_frees_at=draw(ahead(bound.budget.within)) if spent >= bound.budget.max else None,
        last_end=of("cooldown", ago(30 * DAY), st.none() | ago(DAY).map(lambda end: end - bound.cooldown)),
        fleet_active=of("fleet", st.integers(limit, 9), st.integers(0, limit - 1)),
        fleet_limit=limit,
    )
    return Case(draw(events if "samples" in drawn else st.just(ENOUGH)), about, found)


def stands(decision: Decision) -> int:
    """How far the guards let it through."""
    return ORDER.index(decision.reason)


@given(cases())
def test_always_answers(case: Case) -> None:
    """An answer is an act without a reason, or a refusal with one of the closed set; acts come from enforced policies."""
    found = case.answer()
    assert found.reason in ORDER
    assert (found.outcome is Outcome.REMEDIATE) is (found.reason is None)
    assert found.outcome is not Outcome.NONE
    assert (found.parameters is not None) is (found.reason in (None, Reason.AUDIT))
    if found.outcome is Outcome.REMEDIATE:
        assert case.policy.mode == "enforce"
    if stands(found) >= ORDER.index(Reason.WAITING):
        assert found.trigger in {trigger.name for trigger in case.policy.triggers}


@given(cases())
def test_same_question_same_answer(case: Case) -> None:
    """decide() has no memory and asks nothing else: the same question is answered alike."""
    assert case.answer() == case.answer()


@given(cases())
def test_stored_situation_decides_alike(case: Case) -> None:
    """A situation that was stored as JSON text and read again is the same and is decided alike."""
    stored = to_json(to_jsonable_python(asdict(case.situation)))
    read = SITUATION.validate_python(from_json(stored))
    assert read == case.situation
    assert case.but(read).answer() == case.answer()


@given(cases())
def test_what_lifts_a_refusal(case: Case) -> None:
    """Each reason is lifted by what the design names for it, later than now; all others are final."""
    found = case.answer()
    if found.reason is None:
        assert not found.liftable
    elif found.reason is Reason.IN_PROGRESS:
        audited = case.policy.mode == "audit"
        assert (found.retry_at is not None, found.retry_on) == (
            audited,
            None if audited else Happening.REMEDIATION_ENDED,
        )
    else:
        timed, happening = LIFTS[found.reason]
        assert found.retry_on is happening
        if timed is not False:
            assert (found.retry_at is not None) is bool(timed)
    if found.retry_at is not None:
        assert found.retry_at > NOON


@given(cases())
def test_asked_again_in_time_it_moves_on(case: Case) -> None:
    """At `retry_at`, everything else being as it was, waiting, cooldown and a sustained trigger refuse no more."""
    found = case.answer()
    if found.retry_at is None or found.reason not in (
        Reason.WAITING,
        Reason.COOLDOWN,
        Reason.ACCUMULATING,
        Reason.UNCORROBORATED,
    ):
        return
    later = case.but(replace(case.situation, wait_until=found.retry_at if found.reason is Reason.WAITING else NOON))
    again = later.answer(found.retry_at)
    before = later.answer(found.retry_at - timedelta(microseconds=1))
    if again.reason is not Reason.STALE:  # it may have become too old meanwhile
        assert (again.reason, again.trigger, again.retry_at) != (before.reason, before.trigger, before.retry_at)
        assert again.reason is not found.reason or found.reason in UNTRUE


Restraint = Callable[[Case, st.DataObject], Situation]
RESTRAINTS: dict[str, Restraint] = {
    "silence": lambda case, data: replace(case.situation, silences=(*case.situation.silences, data.draw(bars))),
    "pause": lambda case, data: replace(case.situation, pauses=(data.draw(bars), *case.situation.pauses)),
    "unless": lambda case, data: replace(case.situation, unless=(*case.situation.unless, data.draw(holdings))),
    "spent budget": lambda case, data: replace(
        case.situation, spent=case.situation.spent + data.draw(st.integers(1, 4)), budget_frees_at=data.draw(ahead(case.policy.limits.budget.within))
    ),
    "failures": lambda case, data: replace(case.situation, failures=case.situation.failures + data.draw(st.integers(1, 4))),
    "breaker": lambda case, data: replace(case.situation, breaker_open=True),
    "an active remediation": lambda case, data: replace(case.situation, active=data.draw(short)),
    "a later end": lambda case, data: replace(case.situation, last_end=max(data.draw(ago(DAY)), case.situation.last_end or NOON - 30 * DAY)),
    "a fuller fleet": lambda case, data: replace(case.situation, fleet_active=case.situation.fleet_active + data.draw(st.integers(1, 4))),
    "a smaller fleet": lambda case, data: replace(case.situation, fleet_limit=0),
    "older": lambda case, data: replace(case.situation, last_seen=case.situation.last_seen - data.draw(spans)),
    "over": lambda case, data: replace(case.situation, over=data.draw(ago(DAY))),
    "answered": lambda case, data: replace(case.situation, used_up=data.draw(ago(DAY))),
    "no document": lambda case, data: replace(case.situation, known=False),
    "a second document": lambda case, data: replace(case.situation, candidates=("hr", "ml")),
}  # fmt: skip


@pytest.mark.parametrize("name", RESTRAINTS)
@settings(max_examples=30)
@given(cases(), st.data())
def test_a_restraint_never_frees(name: str, case: Case, data: st.DataObject) -> None:
    """What holds back never turns a refusal into an act, nor lets it through to a later guard."""
    held = case.but(RESTRAINTS[name](case, data))
    assert stands(held.answer()) <= stands(case.answer())
    if case.answer().outcome is Outcome.SUPPRESS:
        assert held.answer().outcome is Outcome.SUPPRESS


@given(cases(), st.lists(st.sampled_from(sorted(RESTRAINTS)), min_size=1, max_size=4), st.data())
def test_restraints_together_never_free(case: Case, names: list[str], data: st.DataObject) -> None:
    """Any number of them, in any order, neither."""
    held = case
    for name in names:
        held = held.but(RESTRAINTS[name](held, data))
    assert stands(held.answer()) <= stands(case.answer())


@given(cases(), bars)
def test_a_bar_always_holds(case: Case, one: Bar) -> None:
    """With a pause or a silence in force nothing is done, whatever else is known."""
    assert case.but(replace(case.situation, pauses=(one,))).answer().outcome is Outcome.SUPPRESS
    assert case.but(replace(case.situation, silences=(one,))).answer().outcome is Outcome.SUPPRESS


@given(cases())
def test_no_limit_is_exceeded(case: Case) -> None:
    """Whoever may act has budget, a closed breaker, its cooldown behind it, no other at work, and a slot."""
    if case.answer().outcome is not Outcome.REMEDIATE:
        return
    found, bound = case.situation, case.policy.limits
    assert found.spent < bound.budget.max
    assert not found.breaker_open
    assert found.active is None
    assert found.last_end is None or NOON - found.last_end >= bound.cooldown
    assert not case.policy.changing or found.fleet_active < found.fleet_limit
    assert NOON - found.last_seen <= bound.max_age
    assert not found.unless


@given(cases())
def test_audit_differs_only_at_the_end(case: Case) -> None:
    """Audited, a policy is refused as if enforced, but for the fleet; where it would act it says audit."""
    free = case.but(replace(case.situation, fleet_active=0, fleet_limit=1, active_until=None))
    audited = replace(free, policy=replace(case.policy, mode="audit")).answer()
    enforced = replace(free, policy=replace(case.policy, mode="enforce")).answer()
    if enforced.outcome is Outcome.REMEDIATE:
        assert (audited.reason, audited.parameters) == (Reason.AUDIT, enforced.parameters)
    else:
        assert audited == enforced


@given(cases())
def test_evidence_is_what_reaches_the_triggers(case: Case) -> None:
    """An event is evidence when no guard before the triggers refuses it and no `unless` holds."""
    kept = admissible(case.event, MODEL, case.policy, case.situation, NOON)
    open_ = case.but(replace(case.situation, unless=()))
    assert kept is (not case.situation.unless and stands(open_.answer()) > ORDER.index(Reason.TOO_FEW_SAMPLES))


facts_to_hold = st.builds(
    HoldFacts, over=st.none() | ago(DAY), too_old=st.booleans(), unless=st.lists(holdings, max_size=2).map(tuple),
    pauses=st.just(()) | some_bars, silences=st.just(()) | some_bars,
)  # fmt: skip


@given(facts_to_hold, bars)
def test_hold_law(known: HoldFacts, one: Bar) -> None:
    """A page is held by no more than a change is; a pause or a silence holds both; only what is stale is final."""
    change, page = hold(True, known), hold(False, known)
    assert change is not None or page is None
    for refusal in (change, page):
        assert refusal is None or refusal.final is (refusal.reason is Reason.STALE)
    for barred in (replace(known, pauses=(one,)), replace(known, silences=(one,))):
        assert hold(True, barred) is not None
        assert hold(False, barred) is not None


@given(st.lists(ago(40 * DAY), max_size=8), ago(40 * DAY), st.integers(1, 5), spans)
def test_breaker_law(failures: list[datetime], one: datetime, limit: int, within: timedelta) -> None:
    """The order of failures does not matter, one more never closes the breaker, and too few never open it."""
    trips = breaker_trips(failures, limit, within)
    assert trips is breaker_trips(failures[::-1], limit, within)
    assert breaker_trips([*failures, one], limit, within) or not trips
    assert not (trips and len(failures) < limit)
    assert breaker_trips([one] * limit, limit, within)
