"""decide(): every guard and reason, in the order in which they are asked, and what lifts each."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from controller.decision import (
    Decision,
    Happening,
    HoldFacts,
    Holding,
    Outcome,
    Reason,
    Refusal,
    Shared,
    Situation,
    admissible,
    breaker_trips,
    decide,
    hold,
    triggered,
)
from controller.events.event import Event
from controller.policy import (
    CommandAction,
    Corroboration,
    Expression,
    JobAction,
    Model,
    ModelSelector,
    Policy,
    RequestAction,
    RolloutAction,
    RolloutVerification,
    Serving,
    Step,
    Trigger,
    VersionPlace,
    WorkflowAction,
)
from tests.conftest import NOON
from tests.unit.cases import (
    BROKEN_FEED,
    DAY,
    DEGRADED,
    DRIFT,
    HOUR,
    LIMITS,
    MINUTE,
    MODEL,
    PAGE,
    QUALITY,
    QUIET,
    RESOLVED,
    SAMPLED,
    SECOND,
    TIMEOUT,
    bar,
    command,
    drift,
    facts,
    policy,
    request,
    situation,
)

BACKED = Trigger("backed", DRIFT, require=(Corroboration(DEGRADED, None, 3 * DAY),))
WAITS = policy(wait=5 * MINUTE)
PAGES = policy(PAGE)


def answer(given: Situation, about: Policy | None = None, event: Event | None = None, now: datetime = NOON) -> Decision:
    """What is decided of the example event."""
    return decide(event or drift(), MODEL, about or policy(), given, now)


def test_actions_on_a_cluster_are_rendered_for_the_model() -> None:
    """What a step on a cluster is to do stands in the decision: by the Model's serving object and names of versions."""
    ladder = (
        Step("train", WorkflowAction("retrain-model", TIMEOUT, {"model": Expression("model.name")})),
        Step("nightly", JobAction("nightly-train", TIMEOUT)),
        Step("abort", RolloutAction("abort", TIMEOUT), (RolloutVerification("stable", MINUTE, HOUR),)),
    )
    served = replace(
        MODEL,
        serving=Serving("Rollout", "salary", VersionPlace("env", "VERSION")),
        version_names=("salary-predictor-{version}",),
    )
    event = drift(version="salary-predictor-v5")
    found = decide(event, served, policy(*ladder), situation(), NOON)
    assert found.parameters is not None
    assert [step["kind"] for step in found.parameters] == ["workflow", "job", "rollout"]
    train, _, abort = found.parameters
    serving = {"kind": "Rollout", "name": "salary", "version": {"in": "env", "name": "VERSION", "container": None}}
    assert train["action"]["parameters"] == {"model": "salary-predictor"}
    assert train["action"]["serving"] == abort["action"]["serving"] == abort["verify"][0]["serving"] == serving
    assert (abort["action"]["do"], abort["action"]["about"]) == ("abort", "v5")


def test_a_version_that_cannot_be_set_is_a_condition_error() -> None:
    """What an event calls a version, and is none, stops the decision by name."""
    served = replace(MODEL, serving=Serving("Rollout", "salary", VersionPlace("image", "reg/salary:{version}")))
    about = policy(Step("back", RolloutAction("to", TIMEOUT, to=Expression("data.good"))))
    found = decide(drift(data={"driftScore": 0.44, "good": "v4/../evil"}), served, about, situation(), NOON)
    assert (found.outcome, found.reason) == (Outcome.SUPPRESS, Reason.CONDITION_ERROR)
    assert found.values == {"error": "steps: to: want a version that can be an image's tag, got 'v4/../evil'"}


def test_nothing_in_the_way() -> None:
    """With nothing against it the answer is to remediate, with every step's parameters evaluated."""
    ladder = (
        replace(command("retrain", SAMPLED), action=CommandAction(("retrain", Expression("model.name")), TIMEOUT)),
        replace(
            request("hook", QUIET, RESOLVED),
            action=RequestAction("https://x.example/", TIMEOUT, body={"s": Expression("data.driftScore")}),
        ),
        PAGE,
    )
    found = answer(
        situation(triggers=(facts("backed", seen=3, required=("c-2",)),)), policy(*ladder, triggers=(BACKED,))
    )
    assert (found.outcome, found.reason, found.trigger) == (Outcome.REMEDIATE, None, "backed")
    assert found.values == {"corroborated_by": ["c-2"], "seen": 3, "since": NOON - HOUR}
    assert not found.liftable
    assert found.parameters is not None
    assert [step["kind"] for step in found.parameters] == ["command", "request", "page"]
    assert found.parameters[0]["action"]["argv"] == ["retrain", "salary-predictor"]
    assert found.parameters[1]["action"]["body"] == {"s": 0.44}
    assert [part["kind"] for part in found.parameters[1]["verify"]] == ["quiet", "resolved"]
    assert found.parameters[2] == {"name": "page", "kind": "page", "action": {"receiver": "oncall"}, "verify": []}


def test_winning_values_leave_out_what_is_not_there() -> None:
    """A trigger without counter, condition or `require` won by its event alone."""
    assert answer(situation(triggers=(facts(since=None),))).values == {"corroborated_by": []}


# what the situation is, the reason and its values, the time and the happening that may lift it
Row = tuple[Policy, dict[str, Any], Reason, dict[str, Any], datetime | None, Happening | None]
GUARDS: dict[str, Row] = {
    "no document": (policy(), {"known": False}, Reason.UNKNOWN_MODEL, {"model": "salary-predictor", "namespace": "ml"}, None, None),
    "two documents": (
        policy(models=ModelSelector(unknown="act")), {"known": False, "candidates": ("hr", "ml")},
        Reason.UNKNOWN_MODEL, {"model": "salary-predictor", "candidates": ["hr", "ml"]}, None, None,
    ),
    "over": (policy(), {"over": NOON - HOUR}, Reason.STALE, {"why": "over", "ended": NOON - HOUR}, None, None),
    "used up": (policy(), {"used_up": NOON - HOUR}, Reason.STALE, {"why": "used_up", "ended": NOON - HOUR}, None, None),
    "too old": (
        policy(), {"last_seen": NOON - 3 * DAY}, Reason.STALE,
        {"why": "too_old", "last_seen": NOON - 3 * DAY, "age": 3 * DAY, "max_age": 2 * DAY}, None, None,
    ),
    "wait begins": (WAITS, {}, Reason.WAITING, {"until": NOON + 5 * MINUTE, "wait": 5 * MINUTE}, NOON + 5 * MINUTE, None),
    "wait runs": (WAITS, {"wait_until": NOON + SECOND}, Reason.WAITING, {"until": NOON + SECOND, "wait": 5 * MINUTE}, NOON + SECOND, None),
    "broken feed": (
        policy(), {"unless": (BROKEN_FEED, Holding("c-2", QUALITY, "unknown", None))}, Reason.INHIBITED,
        {"condition": "c-feed", "type": QUALITY, "state": "open", "until": None}, None, Happening.UNINHIBITED,
    ),
    "feed just mended": (
        policy(), {"unless": (Holding("c-feed", QUALITY, "ended", NOON + HOUR),)}, Reason.INHIBITED,
        {"condition": "c-feed", "type": QUALITY, "state": "ended", "until": NOON + HOUR}, None, Happening.UNINHIBITED,
    ),
    "paused": (
        policy(), {"pauses": (bar("p-1"),)}, Reason.PAUSED,
        {"id": "p-1", "scope": "model", "until": None, "why": "maintenance"}, None, Happening.LIFTED,
    ),
    "paused until": (
        policy(), {"pauses": (bar("p-1", 1), bar("p-2", 3), bar("p-3", 2))}, Reason.PAUSED,
        {"id": "p-1", "scope": "model", "until": NOON + HOUR, "why": "maintenance"}, NOON + 3 * HOUR, Happening.LIFTED,
    ),
    "paused until, and without end": (
        policy(), {"pauses": (bar("p-1", 1), bar("p-2"))}, Reason.PAUSED,
        {"id": "p-1", "scope": "model", "until": NOON + HOUR, "why": "maintenance"}, None, Happening.LIFTED,
    ),
    "silenced": (
        policy(), {"silences": (bar("s-1", 1, "silence"),)}, Reason.SILENCED,
        {"id": "s-1", "scope": "silence", "until": NOON + HOUR, "why": "maintenance"}, NOON + HOUR, Happening.LIFTED,
    ),
    "another acts": (
        policy(), {"active": "r-1"}, Reason.IN_PROGRESS, {"remediation": "r-1", "until": None}, None, Happening.REMEDIATION_ENDED,
    ),
    "an audited one counts as running": (
        policy(mode="audit"), {"active": "r-1", "active_until": NOON + HOUR}, Reason.IN_PROGRESS,
        {"remediation": "r-1", "until": NOON + HOUR}, NOON + HOUR, None,
    ),
    "breaker": (
        policy(), {"breaker_open": True, "failures": 3}, Reason.BREAKER_OPEN,
        {"failures": 3, "limit": 2, "within": 14 * DAY}, None, Happening.LIFTED,
    ),
    "budget": (
        policy(), {"spent": 2, "budget_frees_at": NOON + DAY}, Reason.BUDGET_EXHAUSTED,
        {"spent": 2, "max": 2, "within": 7 * DAY, "until": NOON + DAY}, NOON + DAY, None,
    ),
    "budget, nobody knows until when": (
        policy(), {"spent": 3}, Reason.BUDGET_EXHAUSTED, {"spent": 3, "max": 2, "within": 7 * DAY, "until": None}, NOON + 7 * DAY, None,
    ),
    "cooldown": (
        policy(), {"last_end": NOON - HOUR}, Reason.COOLDOWN,
        {"last_end": NOON - HOUR, "cooldown": DAY, "until": NOON + 23 * HOUR}, NOON + 23 * HOUR, None,
    ),
    "fleet": (policy(), {"fleet_active": 5}, Reason.FLEET_LIMIT, {"active": 5, "limit": 5}, None, Happening.FLEET),
}  # fmt: skip


@pytest.mark.parametrize("name", GUARDS)
def test_guard(name: str) -> None:
    """Each guard names its reason, the values that decided, and what may lift it."""
    about, given, reason, values, at, on = GUARDS[name]
    found = answer(situation(**given), about)
    assert (found.outcome, found.reason, found.values) == (Outcome.SUPPRESS, reason, values)
    assert (found.retry_at, found.retry_on) == (at, on)
    assert found.liftable is bool(at or on)
    assert found.parameters is None


# just on the other side of each limit
PASSES: dict[str, tuple[Policy, dict[str, Any]]] = {
    "`unknown: act`": (policy(models=ModelSelector(unknown="act")), {"known": False}),
    "exactly maxAge": (policy(), {"last_seen": NOON - 2 * DAY}),
    "wait is over": (WAITS, {"wait_until": NOON}),
    "no wait, whatever was asked before": (policy(), {"wait_until": NOON + HOUR}),
    "budget left": (policy(), {"spent": 1}),
    "failures without a trip": (policy(), {"failures": 9}),
    "cooldown just over": (policy(), {"last_end": NOON - DAY}),
    "a slot is free": (policy(), {"fleet_active": 4}),
    "page-only takes no fleet slot": (PAGES, {"fleet_active": 5}),
}


@pytest.mark.parametrize("name", PASSES)
def test_guard_passes(name: str) -> None:
    """A limit that is not reached, or does not apply, refuses nothing."""
    about, given = PASSES[name]
    assert answer(situation(**given), about).outcome is Outcome.REMEDIATE


def test_audit_ignores_the_fleet_and_comes_last() -> None:
    """An audited policy passes every guard, takes no slot, and says with which parameters it would have acted."""
    found = answer(situation(fleet_active=5), policy(mode="audit"))
    assert (found.outcome, found.reason, found.trigger, found.values) == (
        Outcome.SUPPRESS,
        Reason.AUDIT,
        "drift",
        {"mode": "audit"},
    )
    assert found.parameters is not None
    assert not found.liftable


# every guard refuses; then one after the other is repaired, in the order in which they must be asked
REPAIRS: tuple[tuple[Reason, dict[str, Any]], ...] = (
    (Reason.UNKNOWN_MODEL, {"known": True}),
    (Reason.STALE, {"over": None}),
    (Reason.STALE, {"used_up": None}),
    (Reason.STALE, {"last_seen": NOON}),
    (Reason.TOO_FEW_SAMPLES, {}),
    (Reason.CONDITION_FALSE, {"triggers": (facts(),)}),
    (Reason.WAITING, {"wait_until": NOON}),
    (Reason.INHIBITED, {"unless": ()}),
    (Reason.PAUSED, {"pauses": ()}),
    (Reason.SILENCED, {"silences": ()}),
    (Reason.IN_PROGRESS, {"active": None}),
    (Reason.BREAKER_OPEN, {"breaker_open": False}),
    (Reason.BUDGET_EXHAUSTED, {"spent": 0}),
    (Reason.COOLDOWN, {"last_end": None}),
    (Reason.FLEET_LIMIT, {"fleet_active": 0}),
)


def test_order_of_guards() -> None:
    """Where everything refuses, the guards name the reason in the order of the design, one after the other."""
    about = policy(wait=5 * MINUTE, limits=replace(LIMITS, min_samples=500))
    event = drift()
    given = situation(
        known=False, over=NOON, used_up=NOON, last_seen=NOON - 9 * DAY, triggers=(facts(when=False),), unless=(BROKEN_FEED,),
        pauses=(bar(),), silences=(bar("s-1"),), active="r-1", breaker_open=True, spent=2, last_end=NOON, fleet_active=5,
    )  # fmt: skip
    for reason, repair in REPAIRS:
        assert answer(given, about, event).reason is reason
        given = replace(given, **repair)
        if reason is Reason.TOO_FEW_SAMPLES:
            event = drift(data={**event.data, "sampleCount": 500.0})
    assert answer(given, about, event).outcome is Outcome.REMEDIATE
    assert answer(given, replace(about, mode="audit"), event).reason is Reason.AUDIT


@pytest.mark.parametrize(
    ("reason", "repair"),
    [(reason, repair) for reason, repair in REPAIRS if reason not in (Reason.FLEET_LIMIT, Reason.TOO_FEW_SAMPLES)],
)
def test_audit_meets_every_guard(reason: Reason, repair: dict[str, Any]) -> None:
    """An audited policy is refused by each guard alone, as an enforced one would be."""
    broken: dict[str, Any] = {
        "known": False, "over": NOON, "used_up": NOON, "last_seen": NOON - 9 * DAY, "triggers": (facts(when=False),),
        "wait_until": NOON + SECOND, "unless": (BROKEN_FEED,), "pauses": (bar(),), "silences": (bar(),), "active": "r-1",
        "breaker_open": True, "spent": 2, "last_end": NOON,
    }  # fmt: skip
    given = situation(wait_until=NOON)
    about = policy(mode="audit", wait=5 * MINUTE)
    assert answer(given, about).reason is Reason.AUDIT
    assert answer(replace(given, **{key: broken[key] for key in repair}), about).reason is reason


# event, what it is told to have, whether it counts as too few of 500
SAMPLES: dict[str, tuple[dict[str, Any], bool]] = {
    "drift without a count": ({}, True),
    "drift with too few": ({"data": {"driftScore": 0.4, "sampleCount": 499.0}}, True),
    "drift with enough": ({"data": {"driftScore": 0.4, "sampleCount": 500.0}}, False),
    "a count that is no number (a registered type)": ({"data": {"driftScore": 0.4, "sampleCount": "many"}}, True),
    "drift by p-value": ({"data": {"pValue": 0.01}}, True),
    "drift without its number (an alert)": ({"data": {"feature": "salary"}}, False),
    "performance": ({"family": "performance", "data": {"metric": "f1", "value": 0.8}}, True),
    "performance without its number": ({"family": "performance", "data": {"metric": "f1"}}, False),
    "quality": ({"family": "quality", "data": {"value": 0.8}}, False),
    "labels, a moment": ({"family": None, "data": {"count": 20.0}}, False),
    "it is over": ({"over": True}, False),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_min_samples(name: str) -> None:
    """`minSamples` is asked of drift and performance events that carry their number, and of nothing else."""
    changes, too_few = SAMPLES[name]
    event = drift(**changes)
    found = answer(situation(), policy(limits=replace(LIMITS, min_samples=500)), event)
    if too_few:
        assert (found.reason, found.liftable) == (Reason.TOO_FEW_SAMPLES, False)
        assert found.values == {"sample_count": event.data.get("sampleCount"), "min_samples": 500}
    else:
        assert found.outcome is Outcome.REMEDIATE
    assert answer(situation(), policy(), event).outcome is Outcome.REMEDIATE


def _about_model(expression: str) -> tuple[Step, ...]:
    return (replace(command(), action=CommandAction(("retrain", Expression(expression)), TIMEOUT)),)


@pytest.mark.parametrize("mode", ["enforce", "audit"])
def test_a_parameter_without_a_value(mode: str) -> None:
    """An action whose parameter cannot be told is not started with a hole in it: condition_error, in any mode."""
    found = answer(situation(), policy(*_about_model("data.threshold"), mode=mode))
    assert (found.outcome, found.reason, found.trigger) == (Outcome.SUPPRESS, Reason.CONDITION_ERROR, "drift")
    assert found.values["error"].startswith("steps: data.threshold: ")
    assert found.parameters is None
    assert not found.liftable


def test_parameters_come_after_the_limits() -> None:
    """What is held by a limit says so, whatever its parameters are."""
    assert answer(situation(last_end=NOON), policy(*_about_model("data.threshold"))).reason is Reason.COOLDOWN


def test_a_bare_model() -> None:
    """`unknown: act` decides about a model without a document, by its name alone."""
    about = policy(*_about_model("model.namespace"), models=ModelSelector(unknown="act"))
    found = decide(drift(), Model.bare("ml", "new"), about, situation(known=False), NOON)
    assert found.parameters is not None
    assert found.parameters[0]["action"]["argv"] == ["retrain", "ml"]


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"known": False}, False),
        ({"over": NOON}, False),
        ({"unless": (BROKEN_FEED,)}, False),
        ({"last_seen": NOON - 3 * DAY}, False),
        ({"active": "r-1", "pauses": (bar(),), "last_end": NOON, "breaker_open": True, "spent": 9}, True),
    ],
)
def test_admissible_evidence(changes: dict[str, Any], kept: bool) -> None:
    """Unknown, stale, too few samples or a broken feed make no evidence; a limit or a pause does not unmake it."""
    assert admissible(drift(), MODEL, policy(), situation(**changes), NOON) is kept
    assert not admissible(drift(), MODEL, policy(limits=replace(LIMITS, min_samples=1)), situation(**changes), NOON)


def test_a_shared_cause() -> None:
    """It is asked after every limit and before audit, a time or a person lifts it, and it holds nothing urgent."""
    found = Shared("feature=salary", 5, "c-1", NOON + HOUR)
    decision = decide(drift(), MODEL, policy(), situation(shared=found), NOON)
    assert (decision.reason, decision.retry_at, decision.retry_on) == (
        Reason.SHARED_CAUSE,
        NOON + HOUR,
        Happening.LIFTED,
    )
    full = situation(shared=found, fleet_active=9, fleet_limit=5)
    assert decide(drift(), MODEL, policy(), full, NOON).reason is Reason.FLEET_LIMIT
    audited = replace(policy(), mode="audit")
    assert decide(drift(), MODEL, audited, situation(shared=found), NOON).reason is Reason.SHARED_CAUSE
    urgent = replace(policy(), steps=(Step("abort", RolloutAction("abort", TIMEOUT)),))
    assert decide(drift(), MODEL, urgent, situation(shared=found), NOON).reason is not Reason.SHARED_CAUSE
    assert triggered(drift(), MODEL, policy(), situation(), NOON)
    assert not triggered(drift(), MODEL, policy(), situation(pauses=(bar(),)), NOON)
    assert not triggered(drift(), MODEL, policy(), situation(over=NOON), NOON)


def test_what_is_tried_again_is_what_is_left() -> None:
    """From a restoring step on it is urgent, whatever stood before; the parameters are of the whole ladder."""
    ladder = (*policy().steps, Step("abort", RolloutAction("abort", TIMEOUT)))
    tried = replace(policy(), steps=ladder)
    lately = situation(last_end=NOON - timedelta(minutes=1))
    assert decide(drift(), MODEL, tried, lately, NOON).reason is Reason.COOLDOWN
    found = decide(drift(), MODEL, tried, replace(lately, retried_from=len(ladder) - 1), NOON)
    assert (found.outcome, len(found.parameters or ())) == (Outcome.REMEDIATE, len(ladder))


NOTHING = HoldFacts(over=None, too_old=False, unless=(), pauses=(), silences=())
ENDED, OLD = {"why": "over", "ended": NOON}, {"why": "too_old"}


@pytest.mark.parametrize(
    ("changes", "before_change", "before_page"),
    [
        ({}, None, None),
        ({"over": NOON}, (Reason.STALE, ENDED, True), None),
        ({"too_old": True}, (Reason.STALE, OLD, True), (Reason.STALE, OLD, True)),
        ({"over": NOON, "too_old": True}, (Reason.STALE, ENDED, True), (Reason.STALE, OLD, True)),
        ({"unless": (BROKEN_FEED,)}, (Reason.INHIBITED, {"condition": "c-feed", "type": QUALITY, "state": "open", "until": None}, False), None),
        ({"pauses": (bar(),)}, *[(Reason.PAUSED, {"id": "p-1", "scope": "model", "until": None, "why": "maintenance"}, False)] * 2),
        ({"silences": (bar("s-1", 1),)}, *[(Reason.SILENCED, {"id": "s-1", "scope": "model", "until": NOON + HOUR, "why": "maintenance"}, False)] * 2),
    ],
)  # fmt: skip
def test_hold(
    changes: dict[str, Any], before_change: tuple[Any, ...] | None, before_page: tuple[Any, ...] | None
) -> None:
    """Before a rung: pause and silence hold any, `unless` and the condition's end a changing one, age the first."""
    given = replace(NOTHING, **changes)
    assert hold(True, given) == (Refusal(*before_change) if before_change else None)
    assert hold(False, given) == (Refusal(*before_page) if before_page else None)


def test_what_restores_first_is_given_up_when_it_is_over() -> None:
    """Before the first rung, or where people are asked; a page and a later restoring rung are not."""
    ended = replace(NOTHING, over=NOON)
    assert hold(False, ended, restores_first=True) == Refusal(Reason.STALE, ENDED, final=True)
    assert hold(False, ended) is None
    assert hold(False, replace(NOTHING, unless=(BROKEN_FEED,)), restores_first=True) is None


def test_order_of_holds() -> None:
    """What ends the remediation comes before what holds it, and `unless` before pause before silence."""
    given = replace(NOTHING, over=NOON, unless=(BROKEN_FEED,), pauses=(bar(),), silences=(bar(),))
    found = []
    for repair in ({}, {"over": None}, {"unless": ()}, {"pauses": ()}, {"silences": ()}):
        given = replace(given, **repair)
        refusal = hold(True, given)
        found.append(refusal.reason if refusal else None)
    assert found == [Reason.STALE, Reason.INHIBITED, Reason.PAUSED, Reason.SILENCED, None]


@pytest.mark.parametrize(
    ("ages", "limit", "trips"),
    [
        ([], 1, False),
        ([0], 1, True),
        ([0], 2, False),
        ([0, 13], 2, True),
        ([0, 14], 2, False),  # a window is half open: (end - within, end]
        ([30, 0, 40], 2, True),  # in any order
        ([0, 10, 20, 30], 3, False),
        ([0, 15, 16, 17, 40], 3, True),  # long ago, but nobody has closed it
    ],
)
def test_breaker_trips(ages: list[int], limit: int, trips: bool) -> None:
    """The breaker opens when `limit` failures fall within one window, and stays open."""
    assert breaker_trips([NOON - timedelta(days=age) for age in ages], limit, 14 * DAY) is trips
