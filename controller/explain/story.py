"""One sentence for each transition of a remediation: what happened, and what followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controller.explain.reasons import because, length, listed, relapse, when
from controller.remediation import Cause

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Turn:
    """A transition: the step that it stands on after, the one that was tried before, phases, values."""

    step: str
    tried: str
    before: str
    after: str
    values: Row
    model: str


_MOVES_ON = frozenset({Cause.ACTION_FAILED, Cause.STOPPED, Cause.UNCHANGED})


def step_name(steps: Sequence[str], index: Any) -> str:
    """`step 2 (page)`; without the name where the policy's text is not at hand."""
    if not isinstance(index, int):
        return "the step"
    return f"step {index + 1} ({steps[index]})" if 0 <= index < len(steps) else f"step {index + 1}"


def _said(values: Row) -> str:
    message = str(values.get("message") or "").strip()
    return f": {message}" if message else ""


def _by(values: Row) -> str:
    way = _WAYS.get(str(values.get("way") or ""), "")
    said = f" (“{values['why']}”)" if values.get("why") else " without a comment"
    return f"{values.get('who') or 'somebody'}{way}{said}"


_WAYS = {"page": " on the page", "command": " with the command", "api": " through the API"}


def _decided(t: _Turn) -> str:
    waits = t.values.get("waits_for")
    behind = f", once remediation {waits} has been stopped for it" if waits else ""
    if said := relapse(t.values):
        follows = "no step is left behind the one that helped" if t.values.get("no_step_left") else ""
        comes = f"{follows}, so people are told" if follows else f"{t.step} comes next, behind the one that helped"
        return f"decided: {said}; {comes}{behind}"
    return f"decided; {t.step} comes first{behind}"


def _started(t: _Turn) -> str:
    return f"{t.step} started"


def _held(t: _Turn) -> str:
    reason = str(t.values.get("held") or "")
    why = f"{reason}: {because(reason, t.values, t.model)}" if reason else "no reason kept"
    if t.after == "Cancelled":
        return f"{t.step} was held until its time was up, so it was given up and people were told; {why}"
    return f"{t.step} is held: {why}"


def _action_done(t: _Turn) -> str:
    return f"the action of {t.step} is done{_said(t.values)}; whether it helped is verified next"


def _action_failed(t: _Turn) -> str:
    return f"the action of {t.tried} failed{_said(t.values)}{_next(t)}"


def _action_unknown(t: _Turn) -> str:
    return f"what became of the action of {t.step} is not known{_said(t.values)}; it stopped there and people were told"


def _run_again(t: _Turn) -> str:
    return f"the action of {t.step} was cut off{_said(t.values)}; the policy calls it idempotent, so it is run again"


def _timed_out(t: _Turn) -> str:
    until = when(t.values.get("deadline"))
    return f"the action of {t.step} ran longer than its timeout (until {until}); it is being stopped"


def _stopped(t: _Turn) -> str:
    return f"the action of {t.tried} was seen to stop{_said(t.values)}{_next(t)}"


def _verified(t: _Turn) -> str:
    return f"one verification of {t.step} is passed{_evidence(t.values)}; the next begins"


def _recovered(t: _Turn) -> str:
    return f"{t.step} helped, and that is verified{_evidence(t.values)}"


def _unverified(t: _Turn) -> str:
    return f"the action of {t.step} is done{_said(t.values)}; the policy asks for no proof, so there is none"


def _unchanged(t: _Turn) -> str:
    return f"{t.tried} did not help{_evidence(t.values)}{_next(t)}"


def _worse(t: _Turn) -> str:
    if t.after == "Pending":
        return f"the model became worse{_evidence(t.values)}; version {t.values.get('restores')} is brought back"
    why = t.values.get("not_restored")
    instead = f"; what served before is not brought back: {why}" if why else ""
    return f"after {t.step} the model is worse{_evidence(t.values)}{instead}; it stopped there and people were told"


def _provisional(t: _Turn) -> str:
    return (
        f"{t.step} helped by early signs{_evidence(t.values)}; labels of {t.values.get('metric')} have the last word, "
        f"until {when(t.values.get('until'))}"
    )


def _confirmed(t: _Turn) -> str:
    return f"labels of {t.values.get('metric')} confirm that {t.step} helped (event {t.values.get('event')})"


def _confirmed_worse(t: _Turn) -> str:
    why, version = t.values.get("not_restored"), t.values.get("restores")
    then = f"version {version} is brought back" if version else f"nothing is brought back: {why}"
    labels = f"labels of {t.values.get('metric')} say that the model is worse (event {t.values.get('event')})"
    return f"{labels}; {then}; people were told"


def _unconfirmed(t: _Turn) -> str:
    return f"no labels came until {when(t.values.get('until'))}: whether {t.step} helped is unknown; people were told"


def _relapsed(t: _Turn) -> str:
    return f"its trigger became true again within its probation (event {t.values.get('event')}); the breaker counts it"


def _restored(t: _Turn) -> str:
    return f"what served before serves again, and that is verified{_evidence(t.values)}; people were told"


def _not_restored(t: _Turn) -> str:
    version = t.values.get("version")
    return (
        f"VERSION {version} COULD NOT BE BROUGHT BACK, or nobody saw it{_said(t.values)}; people were told to look now"
    )


def _unknown(t: _Turn) -> str:
    return f"whether {t.step} helped could not be seen{_evidence(t.values)}; it stopped there and people were told"


def _paged(t: _Turn) -> str:
    return f"{t.step}: people were told"


def _over(t: _Turn) -> str:
    return f"{t.step} was not started: {because('stale', t.values, t.model)}"


def _superseded(t: _Turn) -> str:
    return f"nothing was touched by {t.step}: what the event was about has been replaced{_said(t.values)}"


def _awaiting(t: _Turn) -> str:
    until = f", until {when(t.values['until'])}" if t.values.get("until") else ""
    return f"a person is asked before {t.step}{until}"


def _approved(t: _Turn) -> str:
    return f"{t.step} was approved by {_by(t.values)}; what may hold it is asked again"


def _rejected(t: _Turn) -> str:
    return f"{t.step} was rejected by {_by(t.values)}; nothing more is done"


def _expired(t: _Turn) -> str:
    until = f" until {when(t.values['until'])}" if t.values.get("until") else ""
    return f"nobody answered{until} whether {t.step} may start, and that is a no"


def _waits(t: _Turn) -> str:
    return f"it waits for remediation {t.values.get('remediation')} to stop"


def _took_over(t: _Turn) -> str:
    return f"it took the model over from remediation {t.values.get('remediation')}; {t.step} comes first"


def _preempted(t: _Turn) -> str:
    urgent = f"the urgent remediation {t.values['by']}" if t.values.get("by") else "an urgent remediation"
    if t.after == "Stopping":
        return f"{urgent} wants the model; the action of {t.step} is being stopped"
    if t.before == "Stopping":
        return f"the action of {t.step} was seen to stop{_said(t.values)}; {urgent} goes on with the model"
    return f"{urgent} took the model over"


def _not_degraded(t: _Turn) -> str:
    before, recovered = t.values.get("before"), t.values.get("recovered")
    return f"nothing was started: it was {before:.6g} before {t.step}, so `{recovered}` holds already"


def _cancelled(t: _Turn) -> str:
    if t.after == "Stopping":
        return f"cancelled by {_by(t.values)}; the action of {t.step} is being stopped"
    if t.before == "Stopping":
        return f"the action of {t.step} was seen to stop{_said(t.values)}"
    return f"cancelled by {_by(t.values)}"


def _evidence(values: Row) -> str:
    """What the verdict rests on, in brackets."""
    facts = []
    if values.get("quiet_since"):
        facts.append(f"quiet for {length(values.get('quiet'))} since {when(values['quiet_since'])}")
    if values.get("over_since"):
        facts.append(f"over since {when(values['over_since'])}: {listed(values.get('conditions', []))}")
    if values.get("since"):
        facts.append(f"so since {when(values['since'])}")
    if values.get("samples") is not None:
        facts.append(f"{values['samples']} samples")
    facts += [f"{name} {values[name]:.6g}" for name in ("value", "before", "stable") if name in values]
    if values.get("sign_of_life") is False:
        facts.append("its source gave no sign of life")
    if values.get("met"):
        facts.append("the trigger was met again meanwhile")
    facts += [f"{label} {listed(values[key])}" for key, label in _CONDITIONS if values.get(key)]
    if values.get("message"):
        facts.append(str(values["message"]).strip())
    return f" ({'; '.join(facts)})" if facts else ""


_CONDITIONS = (
    ("open", "still open:"),
    ("ended_before_action", "over before the action was:"),
    ("renewed", "renewed since:"),
)


def _next(t: _Turn) -> str:
    if t.after == "Failed":
        return "; no step is left"
    return f"; {t.step} is next" if t.after == "Pending" else ""


_CAUSES: dict[Cause, Callable[[_Turn], str] | str] = {
    Cause.DECIDED: _decided,
    Cause.AUDITED: "recorded only: the policy is in mode audit, nothing was done",
    Cause.STARTED: _started,
    Cause.HELD: _held,
    Cause.ACTION_DONE: _action_done,
    Cause.ACTION_FAILED: _action_failed,
    Cause.ACTION_UNKNOWN: _action_unknown,
    Cause.RUN_AGAIN: _run_again,
    Cause.TIMED_OUT: _timed_out,
    Cause.STOPPED: _stopped,
    Cause.VERIFIED: _verified,
    Cause.RECOVERED: _recovered,
    Cause.UNVERIFIED: _unverified,
    Cause.UNCHANGED: _unchanged,
    Cause.WORSE: _worse,
    Cause.PROVISIONAL: _provisional,
    Cause.CONFIRMED: _confirmed,
    Cause.CONFIRMED_WORSE: _confirmed_worse,
    Cause.UNCONFIRMED: _unconfirmed,
    Cause.RELAPSED: _relapsed,
    Cause.RESTORED: _restored,
    Cause.NOT_RESTORED: _not_restored,
    Cause.UNKNOWN: _unknown,
    Cause.PAGED: _paged,
    Cause.OVER: _over,
    Cause.SUPERSEDED: _superseded,
    Cause.NOT_DEGRADED: _not_degraded,
    Cause.CANCELLED: _cancelled,
    Cause.AWAITING: _awaiting,
    Cause.APPROVED: _approved,
    Cause.REJECTED: _rejected,
    Cause.EXPIRED: _expired,
    Cause.PREEMPTED: _preempted,
    Cause.WAITS: _waits,
    Cause.TOOK_OVER: _took_over,
}


def told(row: Row, steps: Sequence[str], model: str) -> str:
    """The sentence of one transition row (`from`, `to`, `reason`, `step`, `values`)."""
    reason, step = str(row["reason"]), row.get("step")
    before, after = str(row["from"] or ""), str(row["to"])
    if reason not in set(Cause):
        return f"{before or 'nothing'} to {after}: {reason}"
    moved_on = Cause(reason) in _MOVES_ON and after == "Pending" and isinstance(step, int) and step > 0
    tried = step_name(steps, step - 1) if moved_on and isinstance(step, int) else step_name(steps, step)
    sentence = _CAUSES[Cause(reason)]
    if isinstance(sentence, str):
        return sentence
    return sentence(_Turn(step_name(steps, step), tried, before, after, row.get("values") or {}, model))
