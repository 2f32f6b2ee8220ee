"""Judging by what came of itself: the events and the ends of conditions while a verification ran."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controller.judge.sample import ConditionEnd, Judgement, Sample, Verdict
from controller.policy import QuietVerification, ResolvedVerification


def judge_quiet(spec: QuietVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """For `quiet` after `settle` nothing met the trigger, while its source showed life in the later half of it."""
    start, deadline = since + spec.settle, since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    met = [sample.at for sample in samples if sample.state == "met" and sample.at > start]
    quiet_since = max([start, *met])
    # A sign at the very beginning proves nothing of the silence that followed.
    alive = any(sample.state == "life" and sample.at > quiet_since + spec.quiet / 2 for sample in samples)
    ripe = quiet_since + spec.quiet
    if alive and ripe <= min(now, deadline):
        return Judgement(Verdict.RECOVERED, {"quiet_since": quiet_since, "quiet": spec.quiet})
    if now >= deadline:
        return Judgement(Verdict.UNCHANGED if met else Verdict.UNKNOWN, {"met": bool(met), "sign_of_life": alive})
    return Judgement(None, {}, min(ripe if ripe > now else deadline, deadline))


def judge_resolved(
    spec: ResolvedVerification, ends: Sequence[ConditionEnd], action_ended: datetime, since: datetime, now: datetime
) -> Judgement:
    """Every condition of the evidence was ended by an event later than the action, and stayed over for `for`."""
    start = since + spec.settle
    open_ = [end.id for end in ends if end.ended is None]
    early = [end.id for end in ends if end.ended is not None and end.ended <= action_ended]
    deadline = since + spec.within
    wake = deadline
    if ends and not open_ and not early:
        over_since = max([start, *(end.ended for end in ends if end.ended is not None)])
        if over_since + spec.hold <= min(now, deadline):
            return Judgement(Verdict.RECOVERED, {"over_since": over_since, "conditions": [end.id for end in ends]})
        wake = min(over_since + spec.hold, deadline)
    if now >= deadline:
        renewed = [end.id for end in ends if end.last_seen > start]
        verdict = Verdict.UNCHANGED if renewed else Verdict.UNKNOWN
        return Judgement(verdict, {"open": open_, "ended_before_action": early, "renewed": renewed})
    return Judgement(None, {}, wake)
