"""Judging by looks at the world: commands, queries, the serving object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from controller.judge.sample import Judgement, Sample, Verdict
from controller.policy import (
    AnalysisVerification,
    CommandVerification,
    ExpressionError,
    QueryVerification,
    RolloutVerification,
)

A_LOOK = timedelta(seconds=30)
"""So long one question to a cluster, or to Prometheus, may take."""


def judge_command(spec: CommandVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """Recovered, or worse, must hold for `for` without a missing or contrary sample between.

    :param since: when this verification's clock started.
    """
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    return _held(samples, _Clock(since + spec.settle, deadline, spec.hold, spec.every, spec.timeout), now)


def judge_query(
    spec: QueryVerification, samples: Sequence[Sample], action_ended: datetime, since: datetime, now: datetime
) -> Judgement:
    """Recovered, or worse, must hold for `for` in what was measured after the action.

    The first sample is due when all that the query reads lies after `settle`. A sample's time is
    the one that Prometheus was asked for.
    """
    start, deadline = since + spec.settle + spec.reach, since + spec.within
    samples = [sample for sample in samples if start <= sample.at <= deadline]
    for sample in samples:
        if sample.state == "unknown":  # nothing that comes later can change that
            return Judgement(Verdict.UNKNOWN, {"samples": len(samples), "message": sample.message})
    fresh = _first_push(samples, action_ended) if spec.push_time else None
    judged = [_measured(spec, sample, fresh) for sample in samples]
    judgement = _held(judged, _Clock(start, deadline, spec.hold, spec.every, A_LOOK), now)
    if judgement.verdict is None or not samples:
        return judgement
    decided = samples[judgement.values["samples"] - 1]
    return replace(judgement, values={**judgement.values, **decided.numbers})


def _first_push(samples: Sequence[Sample], action_ended: datetime) -> datetime | None:
    """The first push after the action that was seen; None: there was none."""
    pushed = [datetime.fromtimestamp(sample.numbers["pushed"], UTC) for sample in samples if "pushed" in sample.numbers]
    return min((moment for moment in pushed if moment > action_ended), default=None)


def _measured(spec: QueryVerification, sample: Sample, pushed: datetime | None) -> Sample:
    """What the numbers of a sample come to: recovered, worse or unchanged; else why it is missing."""
    if sample.state != "measured":
        return sample
    if spec.push_time and (pushed is None or sample.at - spec.reach < pushed):
        return replace(sample, state="missing", message="it still reads what was pushed before the action ended")
    try:
        recovered = spec.recovered.test(sample.numbers)
        worse = spec.worse is not None and spec.worse.test(sample.numbers)
    except ExpressionError as error:
        why = f"{error}: {sample.message}" if sample.message else str(error)
        return replace(sample, state="missing", message=why)
    if recovered and worse:
        return replace(sample, state="missing", message="recovered and worse are both true of it")
    return replace(sample, state="recovered" if recovered else "worse" if worse else "unchanged")


@dataclass(frozen=True, slots=True)
class _Clock:
    """When the first sample is due, when it is over, how long a word must hold, and how often it is asked for."""

    start: datetime
    deadline: datetime
    hold: timedelta
    every: timedelta
    timeout: timedelta  # so long one look may take


def _held(samples: Sequence[Sample], clock: _Clock, now: datetime) -> Judgement:
    """Recovered, or worse, once it has held; at the deadline, whether anything was told lately."""
    last = samples[-1] if samples else None
    for number, held in enumerate(_streaks(samples, 2 * clock.every + clock.timeout), start=1):
        if held.state in ("recovered", "worse") and held.last.at - held.since >= clock.hold:
            return Judgement(
                Verdict(held.state), {"since": held.since, "samples": number, "message": held.last.message}
            )
    if now >= clock.deadline:
        # The last sample stands until the next one is due, and that may take its time: not where that one was missing.
        told_last = last is not None and last.state != "missing"
        fresh = max(clock.hold, clock.every + clock.timeout) if told_last else clock.hold
        told = [sample for sample in samples if sample.state != "missing" and sample.at > clock.deadline - fresh]
        verdict = Verdict.UNCHANGED if told else Verdict.UNKNOWN
        values = {"samples": len(samples), "told": len(told), "message": last.message if last else "no sample"}
        return Judgement(verdict, values)
    due = clock.start if last is None else last.at + clock.every
    if due <= now:
        return Judgement(None, {}, clock.deadline, sample_due=True)
    return Judgement(None, {}, min(due, clock.deadline))


@dataclass(frozen=True, slots=True)
class _Streak:
    """What the samples up to `last` agree on, and since when."""

    state: str
    since: datetime
    last: Sample


def _streaks(samples: Sequence[Sample], gap: timedelta) -> Iterator[_Streak]:
    """The streak at each sample; one that is missing, or a longer `gap` between two, breaks it."""
    before: _Streak | None = None
    for sample in samples:
        goes_on = before is not None and sample.state == before.state and sample.at - before.last.at <= gap
        before = _Streak(sample.state, before.since if goes_on and before else sample.at, sample)
        yield before


def judge_rollout(spec: RolloutVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """The first sample that settles it: recovered, failed, or set to something else by somebody else.

    :param since: when this verification's clock started, and its first sample is due.
    """
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    verdicts = {"recovered": Verdict.RECOVERED, "failed": Verdict.UNCHANGED, "reverted": Verdict.UNKNOWN}
    settled = _settled(samples, verdicts, spec.every, since, deadline, now)
    if settled is not None:
        return settled
    # As of a command: what was told last stands until the next look, and that may take its time.
    fresh = deadline - spec.every - A_LOOK
    told = [sample for sample in samples if sample.state == "unchanged" and sample.at > fresh]
    message = samples[-1].message if samples else "no sample"
    values = {"samples": len(samples), "told": len(told), "message": message}
    return Judgement(Verdict.UNCHANGED if told else Verdict.UNKNOWN, values)


def judge_analysis(spec: AnalysisVerification, samples: Sequence[Sample], since: datetime, now: datetime) -> Judgement:
    """How the AnalysisRun ended, which the first look begins; one that goes on at the deadline has shown nothing."""
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    verdicts = {"recovered": Verdict.RECOVERED, "failed": Verdict.UNCHANGED, "unknown": Verdict.UNKNOWN}
    message = samples[-1].message if samples else "no sample"
    over = Judgement(Verdict.UNKNOWN, {"samples": len(samples), "message": message})
    return _settled(samples, verdicts, spec.every, since, deadline, now) or over


def _settled(
    samples: Sequence[Sample],
    verdicts: Mapping[str, Verdict],
    every: timedelta,
    since: datetime,
    deadline: datetime,
    now: datetime,
) -> Judgement | None:
    """The first sample that settles it, or when to look again; None: it is over and none has."""
    for number, sample in enumerate(samples, start=1):
        if (verdict := verdicts.get(sample.state)) is not None:
            reason = {"reason": sample.state} if sample.state == "reverted" else {}
            return Judgement(verdict, {**reason, "samples": number, "message": sample.message})
    if now >= deadline:
        return None
    due = since if not samples else samples[-1].at + every
    if due <= now:
        return Judgement(None, {}, deadline, sample_due=True)
    return Judgement(None, {}, min(due, deadline))
