from datetime import date

import numpy as np
import pytest

from examples.demo import monitors
from examples.demo.data import Records
from examples.demo.worlds import FAULT, REFERENCE, hold_out_error, live_offline


def month(records: Records, year: int, number: int) -> slice:
    first = date(year, number, 1)
    following = date(year + number // 12, number % 12 + 1, 1)
    return slice(records.days(first, first).start, records.days(following, following).start)


def scores(records: Records, span: slice) -> dict[str, float]:
    return {one.feature: one.score for one in monitors.drift(records, records.days(*REFERENCE), span)}


def test_the_reference_does_not_drift_from_itself(records: Records) -> None:
    """A month that is the reference has no distance from it."""
    assert set(scores(records, records.days(*REFERENCE)).values()) == {0.0}


def test_drift_is_measured_in_standard_deviations(records: Records) -> None:
    """A feature moved by one standard deviation of the reference has a score of one."""
    span = records.days(*REFERENCE)
    column = records.column("temp")[span]
    moved = Records(records.day, records.features.copy(), records.count)
    moved.column("temp")[span] = column + column.std()
    assert monitors.drift(records, span, span)[0].score == 0.0
    both = Records(records.day, np.vstack([records.features[span], moved.features[span]]), records.count)
    size = span.stop - span.start
    assert monitors.drift(both, slice(0, size), slice(size, 2 * size))[0].score == pytest.approx(1.0)


def test_summer_drifts_far_with_little_loss_and_march_loses_without_drift(records: Records) -> None:
    """The data's own lesson: the largest drift costs nothing much, the largest early loss shows no drift."""
    never = live_offline(records, np.inf, retrain=False)
    limit = monitors.ERROR_LIMIT * hold_out_error(records)
    july, march = month(records, 2011, 7), month(records, 2012, 3)
    assert scores(records, july)["temp"] > 2.5
    assert monitors.mean_error(never.predicted[july], records.count[july]) < limit
    assert max(scores(records, march).values()) < monitors.DRIFT_LIMIT
    assert monitors.mean_error(never.predicted[march], records.count[march]) > 1.7 * limit


def test_a_feature_that_is_null_has_no_drift_to_tell(records: Records) -> None:
    """What was not measured did not drift: a month of nulls leaves the feature out."""
    assert set(scores(records, records.days(*FAULT))) == {"hum", "windspeed"}


def test_the_feed_check_sees_the_fault_and_nothing_else(records: Records) -> None:
    """A day's share of nulls is over the limit on the days of the fault, and on no others."""
    days = sorted(set(records.day.tolist()))
    failed = [
        day
        for day in days
        if monitors.null_share(records, records.days(*2 * [date.fromordinal(day)])) > monitors.NULL_LIMIT
    ]
    assert (date.fromordinal(failed[0]), date.fromordinal(failed[-1])) == FAULT
    assert len(failed) == 31


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2012, 3, 7), (date(2012, 2, 1), date(2012, 2, 29))),
        (date(2012, 1, 7), (date(2011, 12, 1), date(2011, 12, 31))),
    ],
)
def test_the_month_before(day: date, expected: tuple[date, date]) -> None:
    """A report of early March is about all of February, one of January about December."""
    assert monitors.month_before(day) == expected
    assert monitors.ends_month(expected[1])
    assert not monitors.ends_month(expected[0])
