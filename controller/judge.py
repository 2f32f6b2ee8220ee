"""Proof: what the samples of a verification come to. Pure, takes `now`.

Each verification has its own clock: it starts when the one before is done (the first
when the action has ended), samples count from `settle` on, and at `within` it is over.
What cannot be shown is `unknown`, never `recovered`; and what came after `within` shows
nothing, so a look that comes late (the process was away) judges as one in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from controller.policy import CommandVerification, QuietVerification, ResolvedVerification, RolloutVerification

A_LOOK = timedelta(seconds=30)
"""So long one question to a cluster may take."""


class Verdict(StrEnum):
    """Proof after the action; `none` where there was nothing to prove."""

    NONE = "none"
    RECOVERED = "recovered"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation that bears on a verification.

    :ivar state: recovered | unchanged | worse | missing of a verifying command; recovered | unchanged |
        failed | reverted | missing of a serving object; met | life of the events that came while a `quiet`
        verification ran.
    """

    at: datetime
    state: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ConditionEnd:
    """How one condition of the evidence stands: its end by an event's time, or None while it is not over."""

    id: str
    ended: datetime | None
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, or None and when to look again."""

    verdict: Verdict | None
    values: dict[str, Any]
    next_at: datetime | None = None
    sample_due: bool = False


def judge_command(spec: CommandVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """Recovered, or worse, must hold for `for` without a missing or contrary sample between.

    :param since: when this verification's clock started.
    """
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    streak, streak_since, last = _streak(samples, 2 * spec.every + spec.timeout)
    if streak in ("recovered", "worse") and last and streak_since and last.at - streak_since >= spec.hold:
        values = {"since": streak_since, "samples": len(samples), "message": last.message}
        return Judgement(Verdict(streak), values)
    if now >= deadline:
        # The last sample stands until the next one is due, and that may take its time.
        fresh = max(spec.hold, spec.every + spec.timeout)
        told = [sample for sample in samples if sample.state != "missing" and sample.at > deadline - fresh]
        verdict = Verdict.UNCHANGED if told else Verdict.UNKNOWN
        values = {"samples": len(samples), "told": len(told), "message": last.message if last else "no sample"}
        return Judgement(verdict, values)
    due = since + spec.settle if last is None else last.at + spec.every
    if due <= now:
        return Judgement(None, {}, deadline, sample_due=True)
    return Judgement(None, {}, min(due, deadline))


def _streak(samples: Sequence[Sample], gap: timedelta) -> tuple[str | None, datetime | None, Sample | None]:
    """What the last samples agree on and since when; one missing, or a longer `gap` between two, breaks it."""
    state: str | None = None
    since: datetime | None = None
    before: datetime | None = None
    for sample in samples:
        if sample.state == "missing":
            state, since = None, None
        elif sample.state != state or (before is not None and sample.at - before > gap):
            state, since = sample.state, sample.at
        before = sample.at
    return state, since, samples[-1] if samples else None


def judge_rollout(spec: RolloutVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """The first sample that settles it: recovered, failed, or set to something else by somebody else.

    :param since: when this verification's clock started, and its first sample is due.
    """
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    last = samples[-1] if samples else None
    for number, sample in enumerate(samples, start=1):
        values = {"samples": number, "message": sample.message}
        match sample.state:
            case "recovered":
                return Judgement(Verdict.RECOVERED, values)
            case "failed":
                return Judgement(Verdict.UNCHANGED, values)
            case "reverted":
                return Judgement(Verdict.UNKNOWN, {"reason": "reverted", **values})
    if now >= deadline:
        # As of a command: what was told last stands until the next look, and that may take its time.
        fresh = deadline - spec.every - A_LOOK
        told = [sample for sample in samples if sample.state == "unchanged" and sample.at > fresh]
        values = {"samples": len(samples), "told": len(told), "message": last.message if last else "no sample"}
        return Judgement(Verdict.UNCHANGED if told else Verdict.UNKNOWN, values)
    due = since if last is None else last.at + spec.every
    if due <= now:
        return Judgement(None, {}, deadline, sample_due=True)
    return Judgement(None, {}, min(due, deadline))


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
