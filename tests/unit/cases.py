"""Policies, situations and remediations as simple as can be: a test changes only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from controller.decision import Bar, Holding, Situation, TriggerFacts
from controller.events.event import Event
from controller.judge import Judgement, Verdict
from controller.policy import (
    Breaker,
    Budget,
    CommandAction,
    CommandVerification,
    Expression,
    Limits,
    Model,
    ModelSelector,
    PageAction,
    Policy,
    QuietVerification,
    RequestAction,
    ResolvedVerification,
    Step,
    Trigger,
    Verification,
)
from controller.remediation import Cause, Input, Phase, Remediation, Tick, Transition, advance
from tests.conftest import NOON

DRIFT, DEGRADED, QUALITY = "ml.data.drift.detected", "ml.performance.degraded", "ml.data.quality.failed"
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
TIMEOUT = 15 * MINUTE
"""Of every action here."""

MODEL = Model("ml", "salary-predictor", digest="m", labels={"tier": "prod"}, baseline={"f1": 0.9})
SAMPLED = CommandVerification(
    ("check",), timeout=MINUTE, every=MINUTE, settle=10 * MINUTE, hold=5 * MINUTE, within=4 * HOUR
)
QUIET = QuietVerification(quiet=30 * MINUTE, settle=10 * MINUTE, within=4 * HOUR)
RESOLVED = ResolvedVerification(settle=10 * MINUTE, hold=5 * MINUTE, within=4 * HOUR)
PAGE = Step("page", PageAction("oncall"))
LIMITS = Limits(cooldown=DAY, budget=Budget(2, 7 * DAY), breaker=Breaker(2, 14 * DAY), max_age=2 * DAY, min_samples=0)
WHEN = Expression("data.driftScore > 0.25")
ANY = Trigger("drift", DRIFT, when=WHEN, digest="t")


def drift(**changes: Any) -> Event:
    """The example event, a minute before noon."""
    event = Event(
        source="urn:drift-detector",
        id="drift-99201",
        type=DRIFT,
        subject=None,
        time=NOON - MINUTE,
        time_marked=False,
        namespace="ml",
        model="salary-predictor",
        dataset=None,
        version="v5",
        family="drift",
        over=False,
        about="feature=salary",
        data={"feature": "salary", "driftScore": 0.44},
        extensions={},
        digest="e",
    )
    return replace(event, **changes)


def command(name: str = "retrain", *verify: Verification, idempotent: bool = False) -> Step:
    """A rung that runs a command; without `verify` it is not verified."""
    return Step(name, CommandAction(("python", "retrain.py"), TIMEOUT, idempotent), verify)


def request(name: str = "hook", *verify: Verification) -> Step:
    """A rung that makes a request."""
    return Step(name, RequestAction("https://train.example/run", TIMEOUT), verify)


def policy(*steps: Step, **changes: Any) -> Policy:
    """An enforced policy with one trigger; the ladder is one unverified command where none is given."""
    plain = Policy(
        namespace="ml",
        name="retrain",
        digest="p",
        text={},
        mode="enforce",
        severity="P2",
        models=ModelSelector(("salary-*",)),
        triggers=(ANY,),
        wait=timedelta(),
        unless=(),
        limits=LIMITS,
        approval_expires=DAY,
        steps=steps or (command(),),
    )
    return replace(plain, **changes)


def facts(name: str = "drift", **changes: Any) -> TriggerFacts:
    """A trigger that is true."""
    return replace(TriggerFacts(name, "t", when=True, error=None, seen=0, since=NOON - HOUR, required=()), **changes)


def situation(**changes: Any) -> Situation:
    """Nothing stands against acting."""
    free = Situation(
        known=True,
        candidates=(),
        last_seen=NOON - MINUTE,
        over=None,
        used_up=None,
        triggers=(facts(),),
        wait_until=None,
        unless=(),
        pauses=(),
        silences=(),
        active=None,
        preempts=None,
        continues=None,
        start=0,
        active_until=None,
        failures=0,
        breaker_open=False,
        spent=0,
        budget_frees_at=None,
        last_end=None,
        fleet_active=0,
        fleet_limit=5,
    )
    return replace(free, **changes)


def bar(id_: str = "p-1", hours: float | None = None, scope: str = "model") -> Bar:
    """A pause or silence that ends so many hours after noon, or never by itself."""
    return Bar(id_, scope, None if hours is None else NOON + hours * HOUR, "maintenance")


BROKEN_FEED = Holding("c-feed", QUALITY, "open", None)


def remediation(*steps: Step, **changes: Any) -> Remediation:
    """A remediation of this ladder as it is when just decided."""
    ladder = steps or (command(),)
    changing = any(step.changing for step in ladder)
    fresh = Remediation(
        id="r-abc",
        decision_id=1,
        event_seq=1,
        namespace="ml",
        model="salary-predictor",
        policy_ns="ml",
        policy="retrain",
        policy_digest="p",
        model_digest="m",
        mode="enforce",
        severity="P2",
        trigger="drift",
        families=("drift",),
        evidence=("c-1",),
        parameters=(),
        steps=ladder,
        phase=Phase.PENDING,
        reason=Cause.DECIDED,
        started_at=NOON,
        phase_since=NOON,
        changing=changing,
        holds_model=changing,
        next_at=NOON,
    )
    return replace(fresh, **changes)


def said(verdict: Verdict | None) -> Tick:
    """A tick that brings what verification says."""
    return Tick(judgement=Judgement(verdict, {"samples": 3}))


def moved(given: Remediation, *inputs: Input, now: datetime = NOON) -> Transition:
    """The transition of the last of these inputs; every one of them moves it."""
    transition = None
    for one in inputs:
        transition = advance(given, one, now)
        assert transition is not None
        given = transition.remediation
    assert transition is not None
    return transition


def flags(r: Remediation) -> tuple[bool, bool, bool]:
    """holds_model, changing, acted."""
    return r.holds_model, r.changing, r.acted
