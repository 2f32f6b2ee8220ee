"""A remediation: an ordered ladder of steps, a phase, a verdict; moved by one table, `advance`.

::

    Pending ──▶ Running ──▶ Verifying ──▶ Succeeded
       │ ▲         │            │   └───▶ next rung (Pending), or Failed
       │ └─next────┼─▶ Stopping ┤
       │   rung    │      │     └───────▶ Escalated (worse, unknown: stop and page)
       ▼           ▼      ▼
    Cancelled   Escalated Cancelled          Audited stands apart: terminal from its first moment

Pure: `advance` takes what happened and `now`, and returns the transition or None where
nothing changes. Pairs that cannot happen raise; terminal phases absorb everything. What
must be done in the world follows from the new phase (Running without an outcome: run the
intent), never from having been there when it changed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from controller.decision import Refusal
from controller.judge import Judgement, Verdict
from controller.policy import CommandAction, PageAction, Policy, Step

MOST_ATTEMPTS = 3
"""How often an idempotent command whose fate is unknown is run, the first time included."""
BETWEEN_ATTEMPTS = timedelta(seconds=5)
"""After the first cut-off; after the second twice as long: it may be the command that takes the server down."""
IN_CLUSTER = frozenset({"workflow", "job", "rollout"})
"""Kinds of actions that are begun in a cluster and end there by themselves: no process of ours runs them."""
STOPS_WITHIN = timedelta(minutes=2)
"""What runs in a cluster is given at least so long to stop: a pod has 30 s of grace, and exit handlers run."""
HELD_AT_MOST = timedelta(hours=24)
"""A held step waits this long, then it is cancelled and people are told (DESIGN 7)."""


class Phase(StrEnum):
    """Where a remediation stands; coarse, CamelCase."""

    PENDING = "Pending"
    RUNNING = "Running"
    VERIFYING = "Verifying"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ESCALATED = "Escalated"
    CANCELLED = "Cancelled"
    AUDITED = "Audited"

    @property
    def terminal(self) -> bool:
        """True where nothing can follow."""
        return self in _TERMINAL


_TERMINAL = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ESCALATED, Phase.CANCELLED, Phase.AUDITED})


class Cause(StrEnum):
    """Why a transition happened; the `reason` of its row."""

    DECIDED = "decided"
    AUDITED = "audited"
    STARTED = "started"
    HELD = "held"
    ACTION_DONE = "action_done"
    ACTION_FAILED = "action_failed"
    ACTION_UNKNOWN = "action_unknown"
    RUN_AGAIN = "run_again"
    TIMED_OUT = "timed_out"
    STOPPED = "stopped"
    VERIFIED = "verified"
    RECOVERED = "recovered"
    UNVERIFIED = "unverified"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNKNOWN = "unknown"
    PAGED = "paged"
    OVER = "over"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


class ActionReason(StrEnum):
    """Why an action in a cluster failed, or why its fate is unknown; beside `action_failed` and `action_unknown`."""

    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    INVALID = "invalid"
    QUOTA = "quota"
    NAME_TAKEN = "name_taken"
    WORKFLOW_FAILED = "workflow_failed"
    JOB_FAILED = "job_failed"
    CANDIDATE_REFUSED = "candidate_refused"
    NO_SERVING = "no_serving"
    NOT_SUPPORTED = "not_supported"
    OTHER_REVISION = "other_revision"
    NO_CANARY = "no_canary"
    PAUSED = "paused"
    TARGET_MANAGED = "target_managed"
    REVERTED = "reverted"
    OBJECT_LOST = "object_lost"
    NO_CLUSTER = "no_cluster"


@dataclass(frozen=True, slots=True)
class Intent:
    """What an action is about to do, committed before it is done."""

    id: int
    remediation_id: str
    step: int
    attempt: int
    action: str  # command | request | workflow | job | rollout
    key: str
    end_state: dict[str, Any]
    pid: int | None = None
    pid_started: float | None = None
    first_tried_at: datetime | None = None
    outcome: str | None = None
    resource_version: str | None = None
    ref: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Remediation:
    """The state of one remediation, as its row holds it; `steps` are those of the policy it was decided by."""

    id: str
    decision_id: int
    event_seq: int
    namespace: str
    model: str
    policy_ns: str
    policy: str
    policy_digest: str
    model_digest: str | None
    mode: str
    severity: str
    trigger: str
    families: tuple[str, ...]
    evidence: tuple[str, ...]
    parameters: tuple[dict[str, Any], ...]
    steps: tuple[Step, ...] = field(repr=False)
    phase: Phase
    reason: Cause
    started_at: datetime
    phase_since: datetime
    message: str = ""
    changing: bool = False
    acted: bool = False
    holds_model: bool = False
    step: int = 0
    attempt: int = 1
    verify_index: int = 0
    action_ended: datetime | None = None
    deadline: datetime | None = None
    hold_reason: str | None = None
    hold_until: datetime | None = None
    stop_then: Literal["next", "cancelled"] | None = None
    verdict: Verdict = Verdict.NONE
    continues: str | None = None
    ended_at: datetime | None = None
    held_until: datetime | None = None
    next_at: datetime | None = None
    version: int = 1

    @property
    def rung(self) -> Step:
        """The step that it stands on."""
        return self.steps[self.step]

    @property
    def key(self) -> str:
        """The idempotency key, or object name, of the action at hand."""
        return f"{self.id}-{self.step}-{self.attempt}"


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to look: what was asked again, what verification says."""

    refusal: Refusal | None = None
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Acted:
    """The action's end, as it was seen."""

    state: Literal["done", "failed", "stopped", "unknown"]
    message: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    reason: str = ""  # an ActionReason


@dataclass(frozen=True, slots=True)
class Cancel:
    """A person's word to stop."""

    who: str
    why: str


Input = Tick | Acted | Cancel


@dataclass(frozen=True, slots=True)
class Transition:
    """A remediation's next state, and what to write beside it."""

    remediation: Remediation
    from_phase: Phase
    values: dict[str, Any]
    page: str | None = None  # the receiver to page


class IllegalTransition(Exception):
    """An input that cannot come in this phase: a mistake in the caller, never swallowed."""


def remediation_id(source: str, event_id: str, event_seq: int, policy_ns: str, policy: str, attempt: int) -> str:
    """A short name that depends on nothing but what was decided: the same in every replay.

    :param event_seq: tells an id that its source uses again, after the first event was purged.
    """
    digest = hashlib.sha256()
    for part in (source, event_id, str(event_seq), policy_ns, policy, str(attempt)):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return "r-" + base64.b32encode(digest.digest())[:12].decode().lower()


def may_change(steps: tuple[Step, ...], start: int, *, acted: bool) -> bool:
    """Whether it counts as changing: a changing action has started, or may still come."""
    return acted or any(step.changing for step in steps[start:])


def run_length(policy: Policy) -> timedelta:
    """How long an audited remediation counts as running: each step's timeout, each verification's `within`."""
    total = timedelta()
    for step in policy.steps:
        if not isinstance(step.action, PageAction):
            total += step.action.timeout
        for verification in step.verify:
            total += verification.within
    return total


def advance(remediation: Remediation, given: Input, now: datetime) -> Transition | None:
    """The next state, or None where nothing changes.

    :raises IllegalTransition: where the input cannot come in this phase.
    """
    if remediation.phase.terminal:
        return None
    move = _TABLE.get((remediation.phase, type(given)))
    if move is None:
        raise IllegalTransition(f"{type(given).__name__} in {remediation.phase}")
    return move(remediation, given, now)


def _moved(
    r: Remediation,
    phase: Phase,
    cause: Cause,
    now: datetime,
    values: dict[str, Any] | None = None,
    *,
    page: str | None = None,
    **changes: Any,
) -> Transition:
    settled: dict[str, Any] = {"hold_reason": None, "hold_until": None, "deadline": None, "message": ""}
    settled |= {"next_at": None if phase.terminal else now, "phase_since": now} | changes
    if phase.terminal:
        settled |= {"ended_at": now, "holds_model": False}
        if phase is not Phase.CANCELLED:  # one that may have changed things keeps the cooldown
            settled["changing"] = settled.get("acted", r.acted)
    after = replace(r, phase=phase, reason=cause, version=r.version + 1, **settled)
    return Transition(after, r.phase, values or {}, page)


def _pending_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    if tick.refusal is not None:
        return _refused(r, tick.refusal, now)
    if isinstance(r.rung.action, PageAction):
        return _moved(r, Phase.ESCALATED, Cause.PAGED, now, page=r.rung.action.receiver)
    deadline = now + r.rung.action.timeout
    acted = r.acted or r.rung.changing
    return _moved(r, Phase.RUNNING, Cause.STARTED, now, deadline=deadline, next_at=deadline, acted=acted, changing=True)


def _refused(r: Remediation, refusal: Refusal, now: datetime) -> Transition | None:
    if refusal.final:
        return _moved(r, Phase.CANCELLED, Cause.OVER, now, refusal.values)
    if r.hold_until is not None and now >= r.hold_until:
        values = {"held": refusal.reason, **refusal.values}
        return _moved(r, Phase.CANCELLED, Cause.HELD, now, values, page="default")
    if r.hold_reason == refusal.reason:
        return None
    until = r.hold_until or now + HELD_AT_MOST
    held = replace(
        r,
        reason=Cause.HELD,
        hold_reason=str(refusal.reason),
        hold_until=until,
        next_at=until,
        version=r.version + 1,
    )
    return Transition(held, r.phase, {"held": refusal.reason, **refusal.values})


def _running_acted(r: Remediation, acted: Acted, now: datetime) -> Transition:
    values = _said(acted)
    if acted.state == "done":
        return _action_done(r, values, now)
    if acted.reason == ActionReason.OTHER_REVISION:
        return _superseded(r, values, now)
    if acted.state == "failed":
        return _next_rung(r, Cause.ACTION_FAILED, now, values)
    action = r.rung.action
    if isinstance(action, CommandAction) and action.idempotent and r.attempt < MOST_ATTEMPTS:
        again = now + r.attempt * BETWEEN_ATTEMPTS
        return _moved(r, Phase.PENDING, Cause.RUN_AGAIN, now, values, attempt=r.attempt + 1, next_at=again)
    return _stop_and_page(r, Cause.ACTION_UNKNOWN, Verdict.UNKNOWN, now, values)


def _said(acted: Acted) -> dict[str, Any]:
    values: dict[str, Any] = {"message": acted.message, "outputs": acted.outputs}
    return values | {"reason": acted.reason} if acted.reason else values


def _superseded(r: Remediation, values: dict[str, Any], now: datetime) -> Transition:
    """What the event was about is gone, and nothing was touched: no failure that limits would count."""
    untouched: dict[str, Any] = {"acted": False, "changing": False} if r.step == 0 else {}
    return _moved(r, Phase.CANCELLED, Cause.SUPERSEDED, now, values, **untouched)


def _action_done(r: Remediation, values: dict[str, Any], now: datetime) -> Transition:
    if not r.rung.verify:
        return _moved(r, Phase.SUCCEEDED, Cause.UNVERIFIED, now, values, action_ended=now, verdict=Verdict.NONE)
    return _moved(r, Phase.VERIFYING, Cause.ACTION_DONE, now, values, action_ended=now, verify_index=0)


def _running_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    if r.deadline is None or now < r.deadline:
        return None
    return _stopping(r, Cause.TIMED_OUT, "next", now, {"deadline": r.deadline})


def _running_cancel(r: Remediation, cancel: Cancel, now: datetime) -> Transition:
    return _stopping(r, Cause.CANCELLED, "cancelled", now, {"who": cancel.who, "why": cancel.why})


def _stopping(
    r: Remediation, cause: Cause, then: Literal["next", "cancelled"], now: datetime, values: dict[str, Any]
) -> Transition:
    action = r.rung.action
    assert not isinstance(action, PageAction)
    deadline = now + (max(action.timeout, STOPS_WITHIN) if action.kind in IN_CLUSTER else action.timeout)
    return _moved(r, Phase.STOPPING, cause, now, values, stop_then=then, deadline=deadline, next_at=deadline)


def _stopping_acted(r: Remediation, acted: Acted, now: datetime) -> Transition:
    values = _said(acted) | {"state": acted.state}
    if acted.state == "unknown":
        return _stop_and_page(r, Cause.ACTION_UNKNOWN, Verdict.UNKNOWN, now, values)
    if r.stop_then == "cancelled":
        return _moved(r, Phase.CANCELLED, Cause.CANCELLED, now, values, action_ended=now)
    return _next_rung(r, Cause.STOPPED, now, values, action_ended=now)


def _stopping_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    if r.deadline is None or now < r.deadline:
        return None
    values = {"deadline": r.deadline, "message": "not seen to stop"}
    return _stop_and_page(r, Cause.ACTION_UNKNOWN, Verdict.UNKNOWN, now, values)


def _stopping_cancel(r: Remediation, cancel: Cancel, now: datetime) -> Transition | None:
    if r.stop_then == "cancelled":
        return None
    values = {"who": cancel.who, "why": cancel.why}
    kept: dict[str, Any] = {"deadline": r.deadline, "phase_since": r.phase_since}
    return _moved(r, Phase.STOPPING, Cause.CANCELLED, now, values, stop_then="cancelled", **kept)


def _cancel_now(r: Remediation, cancel: Cancel, now: datetime) -> Transition:
    return _moved(r, Phase.CANCELLED, Cause.CANCELLED, now, {"who": cancel.who, "why": cancel.why})


def _verifying_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    judgement = tick.judgement
    if judgement is None:
        return None
    if judgement.verdict is None:
        return None
    if judgement.verdict is Verdict.RECOVERED:
        if r.verify_index + 1 < len(r.rung.verify):
            return _moved(r, Phase.VERIFYING, Cause.VERIFIED, now, judgement.values, verify_index=r.verify_index + 1)
        return _moved(r, Phase.SUCCEEDED, Cause.RECOVERED, now, judgement.values, verdict=Verdict.RECOVERED)
    if judgement.verdict is Verdict.UNCHANGED:
        return _next_rung(r, Cause.UNCHANGED, now, judgement.values, verdict=Verdict.UNCHANGED)
    cause = Cause.WORSE if judgement.verdict is Verdict.WORSE else Cause.UNKNOWN
    return _stop_and_page(r, cause, judgement.verdict, now, judgement.values)


def _next_rung(r: Remediation, cause: Cause, now: datetime, values: dict[str, Any], **changes: Any) -> Transition:
    if r.step + 1 >= len(r.steps):
        return _moved(r, Phase.FAILED, cause, now, values, **changes)
    changing = may_change(r.steps, r.step + 1, acted=r.acted)
    below: dict[str, Any] = {"step": r.step + 1, "attempt": 1, "verify_index": 0, "stop_then": None}
    return _moved(r, Phase.PENDING, cause, now, values, changing=changing, **below, **changes)


def _stop_and_page(r: Remediation, cause: Cause, verdict: Verdict, now: datetime, values: dict[str, Any]) -> Transition:
    return _moved(r, Phase.ESCALATED, cause, now, values, verdict=verdict, page="default")


_TABLE: dict[tuple[Phase, type], Callable[[Remediation, Any, datetime], Transition | None]] = {
    (Phase.PENDING, Tick): _pending_tick,
    (Phase.PENDING, Cancel): _cancel_now,
    (Phase.RUNNING, Tick): _running_tick,
    (Phase.RUNNING, Acted): _running_acted,
    (Phase.RUNNING, Cancel): _running_cancel,
    (Phase.STOPPING, Tick): _stopping_tick,
    (Phase.STOPPING, Acted): _stopping_acted,
    (Phase.STOPPING, Cancel): _stopping_cancel,
    (Phase.VERIFYING, Tick): _verifying_tick,
    (Phase.VERIFYING, Cancel): _cancel_now,
}
