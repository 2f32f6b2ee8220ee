"""The two worlds to compare with: a model that is never retrained, and one retrained at every alarm.

Both live through the same days, on the same feed, with the same monitors and the same
training as the world that modelmend mends; every training of theirs is a real one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from examples.demo import monitors
from examples.demo.data import Array, Records
from examples.demo.model import fit, predict

TRAINED_UNTIL = date(2011, 4, 30)
REFERENCE = (date(2011, 3, 1), TRAINED_UNTIL)
FIRST_DAY = date(2011, 5, 1)
FAULT = (date(2012, 8, 1), date(2012, 8, 31))


@dataclass(slots=True)
class World:
    """What one way of living came to: a prediction for every served hour, and the days of its trainings."""

    name: str
    predicted: Array
    trained: list[date] = field(default_factory=list)

    def error(self, records: Records, first: date, last: date) -> float:
        """Mean absolute error over the hours served from `first` to `last`, bikes per hour."""
        span = records.days(first, last)
        return monitors.mean_error(self.predicted[span], records.count[span])


def unserved(records: Records) -> Array:
    """Room for a prediction of every hour; NaN: not served."""
    return np.full(len(records.count), np.nan)


def hold_out_error(records: Records) -> float:
    """The error on the last month of the training period of a model trained on what lies before it."""
    first = TRAINED_UNTIL.replace(day=1)
    before, month = records.days(date.min, first - timedelta(days=1)), records.days(first, TRAINED_UNTIL)
    trees = fit(records.features[before], records.count[before])
    return monitors.mean_error(predict(trees, records.features[month]), records.count[month])


def live_offline(records: Records, limit: float, *, retrain: bool) -> World:
    """Every served day from FIRST_DAY on; with `retrain`, a training at each alarm of drift or error."""
    world = World("retraining at every alarm" if retrain else "no retraining", unserved(records))
    _serve(records, world, TRAINED_UNTIL, aged=False)
    day = FIRST_DAY
    while retrain and day < records.last:
        if monitors.ends_month(day) and _drifted(records, day):
            _serve(records, world, day)
            world.trained.append(day)
        if day.day == monitors.LABEL_DELAY.days and _degraded(records, world, day, limit):
            _serve(records, world, day)
            world.trained.append(day)
        day += timedelta(days=1)
    return world


def _serve(records: Records, world: World, day: date, *, aged: bool = True) -> None:
    """Train on the labels that `day` knows, and predict from the day after it on."""
    known = records.days(date.min, day - monitors.LABEL_DELAY if aged else day)
    age = (records.day[known][-1] - records.day[known]).astype(np.float64) if aged else None
    trees = fit(records.features[known], records.count[known], age)
    ahead = records.days(day + timedelta(days=1), records.last)
    world.predicted[ahead] = predict(trees, records.features[ahead])


def _drifted(records: Records, day: date) -> bool:
    found = monitors.drift(records, records.days(*REFERENCE), records.days(day.replace(day=1), day))
    return any(one.drifted for one in found)


def _degraded(records: Records, world: World, day: date, limit: float) -> bool:
    first, last = monitors.month_before(day)
    return first >= FIRST_DAY and world.error(records, first, last) > limit
