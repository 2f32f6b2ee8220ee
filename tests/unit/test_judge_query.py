"""Verification by a query: its clock, what numbers come to, and that what was not measured is never recovered.

Every verification here starts at noon: settle 10m, a range of 5m, so the first sample is due at
12:15; every 1m, for 5m, within 4h. Times are minutes after noon.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from controller.judge import Judgement, Sample, Verdict, judge_query
from controller.policy import Measure, Query, QueryVerification
from tests.conftest import NOON
from tests.unit.cases import HOUR, MINUTE

SPEC = QueryVerification(
    query=Query.of('avg_over_time(accuracy{version="$version"}[5m])'),
    recovered=Measure("value >= 0.92"),
    worse=Measure("value < before - 0.02"),
    push_time=None,
    every=MINUTE,
    settle=10 * MINUTE,
    hold=5 * MINUTE,
    within=4 * HOUR,
)
GOOD, SAME, BAD = 0.95, 0.90, 0.80
START = 15


def at(minutes: float) -> datetime:
    """So many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def measured(*values: float | str, first: float = START) -> list[Sample]:
    """A sample a minute; a text is why one is missing. Before the step it was 0.91."""
    return [
        Sample(at(first + n), "missing", value)
        if isinstance(value, str)
        else Sample(at(first + n), "measured", numbers={"value": value, "before": 0.91})
        for n, value in enumerate(values)
    ]


def judged(samples: list[Sample], minutes: float, spec: QueryVerification = SPEC) -> Judgement:
    """What they have shown by then; the action ended at noon."""
    return judge_query(spec, samples, NOON, NOON, at(minutes))


def test_first_sample_waits_for_the_range():
    """Nothing is asked for until all that the query reads lies after `settle`."""
    assert judged([], 14.9) == Judgement(None, {}, at(START))
    assert judged([], START).sample_due


def test_recovered_after_for():
    """Six samples, five minutes from the first to the last."""
    assert judged(measured(*[GOOD] * 5), 19).verdict is None
    found = judged(measured(*[GOOD] * 6), 20)
    assert found.verdict is Verdict.RECOVERED
    assert found.values == {"since": at(15), "samples": 6, "message": "", "value": GOOD, "before": 0.91}


def test_worse_must_hold_too():
    """One bad minute is no verdict."""
    assert judged(measured(BAD, GOOD), 16).verdict is None
    assert judged(measured(*[BAD] * 6), 20).verdict is Verdict.WORSE


def test_a_missing_sample_restarts_for():
    """What was not seen may have been anything."""
    samples = measured(*[GOOD] * 4, "no data", *[GOOD] * 5)
    assert judged(samples, 24).verdict is None
    assert judged([*samples, *measured(GOOD, first=25)], 25).verdict is Verdict.RECOVERED


def test_what_is_known_at_the_deadline():
    """Samples within the last `for`: unchanged; none: unknown, with the last reason."""
    assert judged(measured(*[SAME] * 226), 240).verdict is Verdict.UNCHANGED
    found = judged(measured(*[SAME] * 10, *["no data"] * 216), 240)
    assert (found.verdict, found.values["message"]) == (Verdict.UNKNOWN, "no data")
    assert judged([], 240).values["message"] == "no sample"


def test_what_was_told_before_the_last_looks_gave_nothing_does_not_stand():
    """A word stands while the next look may be under way, however short `for` is; not where looks since gave nothing."""
    short = replace(SPEC, every=timedelta(seconds=1), hold=timedelta(seconds=8))
    told = measured(GOOD, first=239.7)
    assert judged(told, 240, short).verdict is Verdict.UNCHANGED
    assert judged([*told, *measured("no data", first=239.9)], 240, short).verdict is Verdict.UNKNOWN


def test_an_absent_number_is_a_missing_sample():
    """An expression that reads what is not there decides nothing, and at the end it is unknown."""
    samples = [Sample(at(START + n), "measured", "before: no data", {"value": GOOD}) for n in range(226)]
    found = judged(samples, 240)
    assert found.verdict is Verdict.UNKNOWN
    assert found.values["message"] == "before is not known: before: no data"


def test_what_can_never_be_asked_is_unknown_at_once():
    """Nobody waits four hours for a version that no action will report."""
    found = judged([Sample(at(START), "unknown", "no version")], START)
    assert (found.verdict, found.values["message"]) == (Verdict.UNKNOWN, "no version")


def test_recovered_and_worse_together_is_neither():
    """Two expressions that contradict each other prove nothing."""
    spec = replace(SPEC, worse=Measure("value > 0.5"))
    assert judged(measured(*[GOOD] * 226), 240, spec).verdict is Verdict.UNKNOWN


def pushed(*pushes: float, first: float = START) -> list[Sample]:
    """A good sample a minute, with the minute after noon of its push."""
    return [
        replace(sample, numbers={**sample.numbers, "pushed": at(push).timestamp()})
        for sample, push in zip(measured(*[GOOD] * len(pushes), first=first), pushes, strict=True)
    ]


def test_what_was_pushed_before_the_action_does_not_count():
    """A Pushgateway keeps showing the last push, however good it was."""
    spec = replace(SPEC, push_time=Query.of("max(push_time_seconds)"))
    assert judged(pushed(*[-30.0] * 226), 240, spec).verdict is Verdict.UNKNOWN
    again = pushed(*[-30.0] * 5, *[20.0] * 11)  # pushed at 12:20: from 12:25 on the range holds nothing older
    assert judged(again[:-1], 29, spec).verdict is None
    assert judged(again, 30, spec).verdict is Verdict.RECOVERED


NUMBERS = st.sampled_from([GOOD, SAME, BAD, "missing"])
GAPS = st.integers(1, 600)


@given(st.lists(st.tuples(NUMBERS, GAPS), max_size=40), st.integers(0, 300))
def test_recovered_is_covered_by_samples(history, minutes):
    """Never recovered without samples, all of them good, close together, from one end of `for` to the other."""
    samples, moment = [], at(START)
    for value, gap in history:
        samples.append(replace(measured(value)[0], at=moment))
        moment += timedelta(seconds=gap)
    now = at(minutes)
    found = judge_query(SPEC, [sample for sample in samples if sample.at <= now], NOON, NOON, now)
    if found.verdict not in (Verdict.RECOVERED, Verdict.WORSE):
        return
    want = GOOD if found.verdict is Verdict.RECOVERED else BAD
    until = samples[found.values["samples"] - 1].at
    held = [sample for sample in samples if found.values["since"] <= sample.at <= until]
    assert all(sample.numbers.get("value") == want for sample in held)
    assert held[-1].at - held[0].at >= SPEC.hold
    assert all(later.at - one.at <= 2 * SPEC.every + timedelta(seconds=30) for one, later in pairwise(held))
    assert at(START) <= held[0].at
    assert held[-1].at <= at(240)


@given(st.lists(NUMBERS, max_size=30), st.integers(0, 10_000))
@example([GOOD] * 6 + [SAME], 0)
def test_a_late_look_judges_as_one_in_time(values, late):
    """The process was away: what it then sees of the same samples comes to the same verdict."""
    samples = measured(*values)
    in_time = next((found for n in range(len(samples)) if (found := judged(samples[: n + 1], START + n)).verdict), None)
    found = judged(samples, 240 + late)
    if in_time is not None:
        assert (found.verdict, found.values) == (in_time.verdict, in_time.values)
    else:
        assert found == judged(samples, 240)
        assert found.verdict in (Verdict.UNCHANGED, Verdict.UNKNOWN)


@given(st.lists(NUMBERS, max_size=20), st.integers(0, 19))
def test_a_missing_sample_never_helps(values, where):
    """Whatever is left out, nothing is recovered that would not have been."""
    if where >= len(values):
        return
    holed = [*values[:where], "missing", *values[where + 1 :]]
    if judged(measured(*holed), 240).verdict is Verdict.RECOVERED:
        verdict = judged(measured(*values), 240).verdict
        assert verdict is Verdict.RECOVERED or (verdict is Verdict.WORSE and values[where] == BAD)
