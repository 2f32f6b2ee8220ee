"""Verification by a detector's report, and by an analysis: which events are reports, and what they come to."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.events.event import Event
from controller.judge import Sample, Verdict, judge_analysis, judge_report, report_of, value_before
from controller.policy import AnalysisVerification, Measure, ReportVerification
from tests.conftest import NOON
from tests.unit.cases import HOUR, MINUTE, drift

SPEC = ReportVerification("accuracy", None, None, within=48 * HOUR)
MEASURED = replace(SPEC, recovered=Measure("value >= 0.92"), worse=Measure("value < before - 0.02"))
TRIGGER = drift(type="ml.performance.degraded", data={"metric": "accuracy", "value": 0.8})


def report(kind: str = "ml.performance.recovered", *, starts: float | None = 1, **data: Any) -> Event:
    """A report at 12:30 with a window that began so many minutes after noon, when the action ended."""
    window = {} if starts is None else {"window": {"start": (NOON + starts * MINUTE).isoformat()}}
    told = {"metric": "accuracy", **window, **data}
    return drift(
        type=kind, time=NOON + 30 * MINUTE, data={key: value for key, value in told.items() if value is not None}
    )


def told(event: Event, first: Event = TRIGGER) -> Sample | None:
    """What it reports of the accuracy."""
    return report_of(SPEC, event, first, NOON)


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (report(), "well"),
        (report("ml.performance.degraded", value=0.7), "degraded"),
        (report("ml.monitor.checked", metric=None), "well"),
        (report("ml.data.drift.resolved"), "well"),
    ],
)
def test_what_a_report_tells(event, state):
    """An event about the metric since the action; a check that names none has looked at all."""
    found = told(event)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize(
    "event",
    [
        report(starts=0),
        report(starts=-60),
        report(metric="recall"),
        report(metric=None),
        report("ml.labels.available"),
        replace(report(), source="urn:another"),
        replace(report(starts=None), time=NOON),
    ],
)
def test_what_is_no_report(event):
    """Of a window that began before the action's end, of another metric, of another source: nothing."""
    assert told(event) is None


OF_SLICE = replace(TRIGGER, data={**TRIGGER.data, "slice": "eu"})
OF_DRIFT = drift(data={"metric": "psi", "feature": "age", "slice": "eu"})


@pytest.mark.parametrize(
    ("first", "event", "counts"),
    [
        (OF_SLICE, report(slice="eu"), True),
        (OF_SLICE, report(slice="us"), False),
        (OF_SLICE, report(), False),
        (TRIGGER, report(slice="us"), False),
        (OF_SLICE, report("ml.monitor.checked", metric=None), True),
        (OF_DRIFT, report(), True),
        (OF_DRIFT, report(slice="us"), False),
    ],
)
def test_a_report_about_another_slice_is_none(first: Event, event: Event, *, counts: bool):
    """Of the metric that triggered the same slice and feature are asked for; of another one none that differs."""
    assert (told(event, first) is not None) is counts


def test_a_report_about_another_version_is_none():
    """What the old version does says nothing of the one that was brought."""
    assert report_of(SPEC, report(), TRIGGER, NOON, other_version=True) is None


def test_without_a_window_it_decides_nothing():
    """Nobody can tell whether it measured the new version."""
    found = told(report(starts=None))
    assert found is not None
    assert (found.state, found.message) == ("missing", "the report does not say when its window began")


def test_of_a_schedule_any_source_reports():
    """What was due had no detector."""
    assert told(report(), replace(TRIGGER, source="modelmend")) is not None


def judged(
    spec: ReportVerification, *samples: Sample | None, minutes: float = 60
) -> tuple[Verdict | None, dict[str, Any]]:
    """The verdict so many minutes after noon."""
    kept = [sample for sample in samples if sample is not None]
    found = judge_report(spec, kept, value_before(spec, TRIGGER), NOON, NOON + minutes * MINUTE)
    return found.verdict, found.values


def test_judged_by_its_kind():
    """Over is recovered, degraded is unchanged, and the first decides."""
    well, bad = told(report()), told(report("ml.performance.degraded", value=0.7))
    assert judged(SPEC, well, bad)[0] is Verdict.RECOVERED
    assert judged(SPEC, bad, well)[0] is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.95, Verdict.RECOVERED), (0.85, Verdict.UNCHANGED), (0.7, Verdict.WORSE)]
)
def test_judged_by_its_number(value, verdict):
    """`before` is what the event that triggered told."""
    found = judged(MEASURED, told(report("ml.performance.degraded", value=value)))
    assert (found[0], found[1]["value"], found[1]["before"]) == (verdict, value, 0.8)


def test_a_report_without_the_number_decides_nothing():
    """The next one may have it; none until the deadline is unknown, with the reason."""
    empty, good = told(report("ml.monitor.checked", metric=None)), told(report(value=0.95))
    assert judged(MEASURED, empty)[0] is None
    assert judged(MEASURED, empty, good)[0] is Verdict.RECOVERED
    assert judged(MEASURED, empty, minutes=48 * 60) == (
        Verdict.UNKNOWN,
        {"samples": 1, "message": "value is not known"},
    )


def test_no_report_is_unknown():
    """A detector that is silent proves nothing."""
    assert judged(SPEC, minutes=48 * 60) == (Verdict.UNKNOWN, {"samples": 0, "message": "no report"})


def test_before_is_of_the_same_metric():
    """What the trigger told of another metric is nothing to compare with."""
    assert value_before(replace(SPEC, metric="recall"), TRIGGER) == {}


@given(st.lists(st.sampled_from([0.95, 0.85, 0.7, None]), max_size=10), st.integers(0, 100))
def test_a_late_look_at_reports_judges_as_one_in_time(values, late):
    """The first report that can be judged decides, whenever it is looked at."""
    samples = [told(report("ml.performance.degraded", value=value)) for value in values]
    first = next((value for value in values if value is not None), None)
    verdict = judged(MEASURED, *samples, minutes=48 * 60 + late)[0]
    want = {0.95: Verdict.RECOVERED, 0.85: Verdict.UNCHANGED, 0.7: Verdict.WORSE, None: Verdict.UNKNOWN}
    assert verdict is want[first]


ANALYSIS = AnalysisVerification("rate", {}, every=15 * timedelta(seconds=1), within=HOUR)


@pytest.mark.parametrize(
    ("states", "minutes", "verdict"),
    [
        ("uur", 1, Verdict.RECOVERED),
        ("uuf", 1, Verdict.UNCHANGED),
        ("uux", 1, Verdict.UNKNOWN),
        ("uu", 1, None),
        ("uu", 60, Verdict.UNKNOWN),
        ("mm", 60, Verdict.UNKNOWN),
        ("", 60, Verdict.UNKNOWN),
        ("uumr", 90, Verdict.RECOVERED),
    ],
)
def test_an_analysis(states, minutes, verdict):
    """Its end decides; one that goes on at the deadline has shown nothing."""
    names = {"u": "unchanged", "r": "recovered", "f": "failed", "x": "unknown", "m": "missing"}
    samples = [Sample(NOON + n * ANALYSIS.every, names[letter]) for n, letter in enumerate(states)]
    assert judge_analysis(ANALYSIS, samples, NOON, NOON + minutes * MINUTE).verdict is verdict


def test_an_analysis_is_looked_at_at_once():
    """The first look creates it."""
    assert judge_analysis(ANALYSIS, [], NOON, NOON).sample_due
