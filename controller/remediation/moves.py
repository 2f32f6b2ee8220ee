"""Each way a remediation moves: one function for a phase and an input, named after both."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

from controller.decision import Refusal
from controller.judge import Verdict
from controller.policy import CommandAction, PageAction
from controller.remediation.inputs import (
    Acted,
    Approve,
    Cancel,
    Preempt,
    Reject,
    TakeOver,
    Tick,
    Transition,
    Undo,
    Wait,
)
from controller.remediation.state import IN_CLUSTER, ActionReason, Cause, Phase, Remediation, may_change

MOST_ATTEMPTS = 3
"""How often an idempotent command whose fate is unknown is run, the first time included."""
BETWEEN_ATTEMPTS = timedelta(seconds=5)
"""After the first cut-off; after the second twice as long: it may be the command that takes the server down."""
STOPS_WITHIN = timedelta(minutes=2)
"""What runs in a cluster is given at least so long to stop: a pod has 30 s of grace, and exit handlers run."""
GIVES_WAY_WITHIN = timedelta(minutes=5)
"""An action that is stopped for an urgent remediation has at most so long: the model must not be left without help."""
HELD_AT_MOST = timedelta(hours=24)
"""A held step waits this long, then it is cancelled and people are told (DESIGN 7)."""


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
    settled |= {"approval_expires": None}
    settled |= {"next_at": None if phase.terminal else now, "phase_since": now} | changes
    if phase.terminal:
        settled |= {"ended_at": now, "holds_model": False, "waits_for": None}
        if phase is not Phase.CANCELLED:  # one that may have changed things keeps the cooldown
            settled["changing"] = settled.get("acted", r.acted)
    after = replace(r, phase=phase, reason=cause, version=r.version + 1, **settled)
    return Transition(after, r.phase, values or {}, page)


def _word(given: Approve | Cancel | Reject) -> dict[str, Any]:
    """A person's word, for the record."""
    return {"who": given.who, "why": given.why} | ({"way": given.way} if given.way else {})


def pending_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    """Start the step, hold it, ask a person first, or page."""
    if r.waits_for is not None:
        return None
    if tick.refusal is not None:
        return _refused(r, tick.refusal, now)
    if isinstance(r.rung.action, PageAction):
        return _moved(r, Phase.ESCALATED, Cause.PAGED, now, page=r.rung.action.receiver)
    if tick.not_degraded is not None:
        return _moved(r, Phase.CANCELLED, Cause.NOT_DEGRADED, now, tick.not_degraded)
    if tick.approval is not None and not r.approved:
        expires = now + tick.approval
        values = {"until": expires}
        return _moved(
            r, Phase.AWAITING_APPROVAL, Cause.AWAITING, now, values, approval_expires=expires, next_at=expires
        )
    deadline = now + r.rung.action.timeout
    begun: dict[str, Any] = {"acted": r.acted or r.rung.changing, "restored": r.restored or r.rung.restoring}
    begun["changing"] = may_change(r.steps, r.step, acted=begun["acted"])
    if r.attempt == 1 and not r.rung.undoes:  # an action that is run again may have changed what serves
        begun["version_before"] = tick.serving
    return _moved(r, Phase.RUNNING, Cause.STARTED, now, deadline=deadline, next_at=deadline, **begun)


def awaiting_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    """Nobody has answered: what it would answer may be over meanwhile, or the time to answer."""
    if tick.refusal is not None and tick.refusal.final:
        return _moved(r, Phase.CANCELLED, Cause.OVER, now, tick.refusal.values)
    if r.approval_expires is not None and now >= r.approval_expires:
        return _moved(r, Phase.CANCELLED, Cause.EXPIRED, now, {"until": r.approval_expires})
    return None


def awaiting_approve(r: Remediation, approve: Approve, now: datetime) -> Transition:
    """Yes: the step is about to start, and all that may hold it is asked again."""
    return _moved(r, Phase.PENDING, Cause.APPROVED, now, _word(approve), approved=True)


def awaiting_reject(r: Remediation, reject: Reject, now: datetime) -> Transition:
    """No: it is over; what was done before stays done."""
    return _moved(r, Phase.CANCELLED, Cause.REJECTED, now, _word(reject))


def pending_wait(r: Remediation, wait: Wait, now: datetime) -> Transition:
    """It waits for another one than before."""
    values = {"remediation": wait.behind}
    return _moved(r, Phase.PENDING, Cause.WAITS, now, values, waits_for=wait.behind, next_at=None)


def pending_take_over(r: Remediation, over: TakeOver, now: datetime) -> Transition:
    """The model is its own; its first step is about to start."""
    values = {"remediation": r.waits_for}
    return _moved(r, Phase.PENDING, Cause.TOOK_OVER, now, values, waits_for=None, holds_model=True)


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


def running_acted(r: Remediation, acted: Acted, now: datetime) -> Transition:
    """The action has ended, or nobody can say how."""
    values = _said(acted)
    if acted.state == "done":
        return _action_done(r, values, now)
    if acted.reason == ActionReason.OTHER_REVISION and not r.rung.undoes:
        return _superseded(r, values, now)
    if acted.state == "failed":
        return _next_rung(r, Cause.ACTION_FAILED, now, values, action_failed=True)
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
    untouched: dict[str, Any] = {"acted": False, "restored": False, "changing": False} if r.step == 0 else {}
    return _moved(r, Phase.CANCELLED, Cause.SUPERSEDED, now, values, **untouched)


def _action_done(r: Remediation, values: dict[str, Any], now: datetime) -> Transition:
    if not r.rung.verify:
        return _moved(r, Phase.SUCCEEDED, Cause.UNVERIFIED, now, values, action_ended=now, verdict=Verdict.NONE)
    return _moved(r, Phase.VERIFYING, Cause.ACTION_DONE, now, values, action_ended=now, verify_index=0)


def running_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    """Past the action's timeout it is to stop."""
    if r.deadline is None or now < r.deadline:
        return None
    late = replace(r, action_failed=True)
    return _stopping(late, Cause.TIMED_OUT, "next", now, {"deadline": r.deadline})


def running_cancel(r: Remediation, cancel: Cancel, now: datetime) -> Transition:
    """A person's word: the action is to stop."""
    return _stopping(r, Cause.CANCELLED, "cancelled", now, _word(cancel))


def _stopping(
    r: Remediation, cause: Cause, then: Literal["next", "cancelled", "preempted"], now: datetime, values: dict[str, Any]
) -> Transition:
    action = r.rung.action
    assert not isinstance(action, PageAction)
    room = max(action.timeout, STOPS_WITHIN) if action.kind in IN_CLUSTER else action.timeout
    deadline = now + (min(room, GIVES_WAY_WITHIN) if then == "preempted" else room)
    return _moved(r, Phase.STOPPING, cause, now, values, stop_then=then, deadline=deadline, next_at=deadline)


def stopping_acted(r: Remediation, acted: Acted, now: datetime) -> Transition:
    """It was seen to stop, or nobody can say what became of it."""
    values = _said(acted) | {"state": acted.state}
    if acted.state == "unknown":
        return _stop_and_page(r, Cause.ACTION_UNKNOWN, Verdict.UNKNOWN, now, values)
    if r.stop_then in ("cancelled", "preempted"):
        cause = Cause.PREEMPTED if r.stop_then == "preempted" else Cause.CANCELLED
        return _moved(r, Phase.CANCELLED, cause, now, values, action_ended=now)
    return _next_rung(r, Cause.STOPPED, now, values, action_ended=now)


def stopping_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    """Not seen to stop in time: its fate is unknown."""
    if r.deadline is None or now < r.deadline:
        return None
    values = {"deadline": r.deadline, "message": "not seen to stop"}
    return _stop_and_page(r, Cause.ACTION_UNKNOWN, Verdict.UNKNOWN, now, values)


def stopping_cancel(r: Remediation, cancel: Cancel, now: datetime) -> Transition | None:
    """What follows the stop is the end, by a person's word."""
    if r.stop_then == "cancelled":
        return None
    return _still_stopping(r, Cause.CANCELLED, "cancelled", now, _word(cancel), deadline=r.deadline)


def stopping_preempt(r: Remediation, preempt: Preempt, now: datetime) -> Transition | None:
    """What is being stopped already goes no further; a person's word to stop it stays theirs."""
    hurry = min(r.deadline or now, now + GIVES_WAY_WITHIN)
    if r.stop_then == "preempted" or (r.stop_then == "cancelled" and hurry == r.deadline):
        return None
    then: Literal["cancelled", "preempted"] = "cancelled" if r.stop_then == "cancelled" else "preempted"
    return _still_stopping(r, Cause.PREEMPTED, then, now, {"by": preempt.by}, deadline=hurry)


def _still_stopping(
    r: Remediation,
    cause: Cause,
    then: Literal["cancelled", "preempted"],
    now: datetime,
    values: dict[str, Any],
    *,
    deadline: datetime | None,
) -> Transition:
    """It is stopped for another reason than before: the stop itself goes on."""
    kept: dict[str, Any] = {"deadline": deadline, "phase_since": r.phase_since}
    return _moved(r, Phase.STOPPING, cause, now, values, stop_then=then, **kept)


def running_preempt(r: Remediation, preempt: Preempt, now: datetime) -> Transition:
    """The action is stopped first: two that act on one object at once would be worse than either."""
    return _stopping(r, Cause.PREEMPTED, "preempted", now, {"by": preempt.by})


def preempt_now(r: Remediation, preempt: Preempt, now: datetime) -> Transition:
    """No action of it runs: it is over at once."""
    return _moved(r, Phase.CANCELLED, Cause.PREEMPTED, now, {"by": preempt.by})


def cancel_now(r: Remediation, cancel: Cancel, now: datetime) -> Transition:
    """A person's word, where no action runs."""
    return _moved(r, Phase.CANCELLED, Cause.CANCELLED, now, _word(cancel))


def verifying_tick(r: Remediation, tick: Tick, now: datetime) -> Transition | None:
    """What verification says."""
    judgement = tick.judgement
    if judgement is None:
        return None
    if judgement.verdict is None:
        return None
    if r.rung.undoes and judgement.verdict is Verdict.RECOVERED:
        return _moved(r, Phase.ESCALATED, Cause.RESTORED, now, judgement.values, page="default")
    if judgement.verdict is Verdict.RECOVERED:
        if r.verify_index + 1 < len(r.rung.verify):
            return _moved(r, Phase.VERIFYING, Cause.VERIFIED, now, judgement.values, verify_index=r.verify_index + 1)
        if r.rung.confirm is not None:
            until = now + r.rung.confirm.within
            values = {**judgement.values, "metric": r.rung.confirm.metric, "until": until}
            return _moved(r, Phase.SUCCEEDED, Cause.PROVISIONAL, now, values, confirm_until=until)
        return _moved(r, Phase.SUCCEEDED, Cause.RECOVERED, now, judgement.values, verdict=Verdict.RECOVERED)
    if judgement.verdict is Verdict.UNCHANGED:
        return _next_rung(r, Cause.UNCHANGED, now, judgement.values, verdict=Verdict.UNCHANGED)
    if judgement.verdict is Verdict.WORSE and tick.undo is not None:
        return _worse(r, tick.undo, now, judgement.values)
    cause = Cause.WORSE if judgement.verdict is Verdict.WORSE else Cause.UNKNOWN
    return _stop_and_page(r, cause, judgement.verdict, now, judgement.values)


def _next_rung(r: Remediation, cause: Cause, now: datetime, values: dict[str, Any], **changes: Any) -> Transition:
    if r.rung.undoes:
        return _not_restored(r, now, values)
    if r.step + 1 >= len(r.steps):
        return _moved(r, Phase.FAILED, cause, now, values, **changes)
    changing = may_change(r.steps, r.step + 1, acted=r.acted)
    below: dict[str, Any] = {"step": r.step + 1, "attempt": 1, "verify_index": 0, "stop_then": None, "approved": False}
    return _moved(r, Phase.PENDING, cause, now, values, changing=changing, **below, **changes)


def _worse(r: Remediation, undo: Undo, now: datetime, values: dict[str, Any]) -> Transition:
    """What served before is brought back, by a rung behind the ladder's last; or why it is not, and stop."""
    if undo.rung is None:
        return _stop_and_page(r, Cause.WORSE, Verdict.WORSE, now, {**values, "not_restored": undo.why_not})
    below: dict[str, Any] = {"step": len(r.steps), "attempt": 1, "verify_index": 0, "approved": False}
    behind: dict[str, Any] = {"steps": (*r.steps, undo.rung), "parameters": (*r.parameters, undo.parameters)}
    values = {**values, "restores": r.version_before}
    return _moved(
        r, Phase.PENDING, Cause.WORSE, now, values, verdict=Verdict.WORSE, changing=r.acted, **below, **behind
    )


def _not_restored(r: Remediation, now: datetime, values: dict[str, Any]) -> Transition:
    values = {**values, "version": r.parameters[-1]["action"]["to"]}
    return _moved(r, Phase.ESCALATED, Cause.NOT_RESTORED, now, values, verdict=Verdict.WORSE, page="default")


def _stop_and_page(r: Remediation, cause: Cause, verdict: Verdict, now: datetime, values: dict[str, Any]) -> Transition:
    if r.rung.undoes:
        return _not_restored(r, now, values)
    return _moved(r, Phase.ESCALATED, cause, now, values, verdict=verdict, page="default")
