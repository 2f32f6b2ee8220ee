"""The three detectors: drift of the features, error on labels, health of the feed. Pure.

Each is judged the way a team would: drift against the months before the model was
trained, error against what it had on a hold-out, the feed by its share of nulls.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from scipy.stats import wasserstein_distance

from examples.demo.data import TEMPERATURES, Array, Records

WATCHED = ("temp", "hum", "windspeed")  # the calendar does not drift, and atemp follows temp
DRIFT_LIMIT = 0.5  # Wasserstein distance in standard deviations of the reference
ERROR_LIMIT = 1.2  # times the error on the hold-out
NULL_LIMIT = 0.05  # share of nulls in a day
CLEAN_DAYS = 7  # before a broken feed counts as restored
LABEL_DELAY = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far a month's values of one feature lie from the reference, in its standard deviations."""

    feature: str
    score: float
    samples: int

    @property
    def drifted(self) -> bool:
        """Over the limit."""
        return self.score > DRIFT_LIMIT


def drift(records: Records, reference: slice, month: slice) -> list[Drift]:
    """The drift of each watched feature; a feature of which most values are null is left out."""
    found = []
    for feature in WATCHED:
        column = records.column(feature)
        then, now = present(column[reference]), present(column[month])
        if 2 * len(now) > month.stop - month.start:
            score = float(wasserstein_distance(then, now) / then.std())
            found.append(Drift(feature, score, len(now)))
    return found


def mean_error(predicted: Array, actual: Array) -> float:
    """Mean absolute error, bikes per hour."""
    return float(np.abs(predicted - actual).mean())


def null_share(records: Records, day: slice) -> float:
    """The share of nulls among a day's temperatures."""
    values = [records.column(feature)[day] for feature in TEMPERATURES]
    return float(np.isnan(np.concatenate(values)).mean())


def present(values: Array) -> Array:
    """The values that are not null."""
    kept: Array = values[~np.isnan(values)]
    return kept


def month_before(day: date) -> tuple[date, date]:
    """First and last day of the month before `day`'s."""
    last = day.replace(day=1) - timedelta(days=1)
    return last.replace(day=1), last


def ends_month(day: date) -> bool:
    """Whether `day` is the last of its month."""
    return (day + timedelta(days=1)).day == 1
