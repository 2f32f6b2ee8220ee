"""Judging by a detector's report: what an event tells of a metric, and what the next one comes to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from controller.events.event import OWN_SOURCE, Event
from controller.events.scalars import parse_time
from controller.events.types import (
    DRIFT_DETECTED,
    DRIFT_RESOLVED,
    MONITOR_CHECKED,
    PERFORMANCE_DEGRADED,
    PERFORMANCE_RECOVERED,
)
from controller.judge.sample import Judgement, Sample, Verdict
from controller.policy import ExpressionError, ReportVerification

_DEGRADED = (PERFORMANCE_DEGRADED, DRIFT_DETECTED)
_WELL = (PERFORMANCE_RECOVERED, DRIFT_RESOLVED, MONITOR_CHECKED)


def report_of(
    spec: ReportVerification, event: Event, first: Event, action_ended: datetime, *, other_version: bool = False
) -> Sample | None:
    """What an event reports of the metric since the action; None: it is no such report.

    :param first: the event that triggered: the report must be of its source, unless that is ourselves.
    :param other_version: it names another version than the action has brought.
    """
    if event.type not in (*_DEGRADED, *_WELL) or first.source not in (event.source, OWN_SOURCE):
        return None
    metric = event.data.get("metric")
    if other_version or _of_other_part(spec, event, first):
        return None
    if metric != spec.metric and (metric is not None or event.type != MONITOR_CHECKED):  # one that looked looked at all
        return None
    window = event.data.get("window")
    start = parse_time(window.get("start")) if isinstance(window, dict) else None
    if start is None:
        if event.time <= action_ended:
            return None
        return Sample(event.time, "missing", "the report does not say when its window began")
    if start <= action_ended:
        return None
    return Sample(event.time, "degraded" if event.type in _DEGRADED else "well", "", _value(event))


def _of_other_part(spec: ReportVerification, event: Event, first: Event) -> bool:
    """Whether it is about another slice or feature than the event that triggered.

    Where that was about another metric, only if both name one.
    """
    of_metric = first.data.get("metric") == event.data.get("metric") == spec.metric
    for part in ("slice", "feature"):
        was, told = first.data.get(part), event.data.get(part)
        if was != told and (of_metric or (was is not None and told is not None)):
            return True
    return False


def value_before(spec: ReportVerification, first: Event) -> dict[str, float]:
    """The metric as the event that triggered told it, where it did."""
    told = _value(first) if first.data.get("metric") == spec.metric else {}
    return {"before": told["value"]} if told else {}


def _value(event: Event) -> dict[str, float]:
    value = event.data.get("value")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"value": float(value)} if number else {}  # type: ignore[arg-type]


def judge_report(
    spec: ReportVerification, samples: Sequence[Sample], before: dict[str, float], since: datetime, now: datetime
) -> Judgement:
    """The first report that can be judged decides."""
    deadline = since + spec.within
    samples = [sample for sample in samples if sample.at <= deadline]
    message = "no report"
    for number, sample in enumerate(samples, start=1):
        verdict, message = _verdict(spec, sample, before)
        if verdict is not None:
            return Judgement(verdict, {"samples": number, "message": message, **before, **sample.numbers})
    if now >= deadline:
        return Judgement(Verdict.UNKNOWN, {"samples": len(samples), "message": message})
    return Judgement(None, {}, deadline)


def _verdict(spec: ReportVerification, sample: Sample, before: dict[str, float]) -> tuple[Verdict | None, str]:
    """What a report comes to, or why it comes to nothing."""
    if sample.state == "missing":
        return None, sample.message
    numbers = {**before, **sample.numbers}
    try:
        worse = spec.worse is not None and spec.worse.test(numbers)
        recovered = spec.recovered.test(numbers) if spec.recovered else sample.state == "well"
    except ExpressionError as error:
        return None, str(error)
    if worse and recovered:
        return None, "recovered and worse are both true of it"
    said = "the report says that it is degraded" if sample.state == "degraded" else "the report says that all is well"
    return (Verdict.WORSE if worse else Verdict.RECOVERED if recovered else Verdict.UNCHANGED), said
