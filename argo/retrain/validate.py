"""The step `validate`: data that are not fit to learn from, or to judge by, end the Workflow."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date

import numpy as np

from argo.retrain import data
from argo.retrain.data import FEATURES, Hours
from argo.retrain.period import period_arguments, read_period
from argo.steps.step import Parameters, StepFailed, run

RECORDED = 0.9
"""Share of the hours that must be there: a night without rentals is not recorded."""
MISSING = 0.15
"""Share of a feature's values that may be missing; the weather of 2011 and 2012 lacks up to 9 %."""


def check(hours: Hours, first: date, last: date, what: str) -> None:
    """Raises StepFailed with everything that is wrong with the hours from `first` to `last`."""
    faults = list(_faults(hours.between(first, last), (last - first).days + 1))
    if faults:
        raise StepFailed(f"the {what} data from {first} to {last} are not fit: {', '.join(faults)}")


def _faults(hours: Hours, days: int) -> Iterator[str]:
    if len(hours) < RECORDED * 24 * days:
        yield f"{len(hours)} of {24 * days} hours are recorded, want {RECORDED:.0%}"
        if not len(hours):
            return
    for name, column in zip(FEATURES, hours.features.T, strict=True):
        if (share := float(np.isnan(column).mean())) > MISSING:
            yield f"{name} is missing in {share:.0%}, want at most {MISSING:.0%}"
    if not np.all(np.isfinite(hours.count)) or hours.count.min() < 0:
        yield "some counts are missing or below zero"


def main() -> str:
    """Validate the period that the arguments say."""
    parser = Parameters()
    period_arguments(parser)
    given = parser.parse_args()
    hours = data.load()
    period = read_period(given.until, given.train_weeks, given.holdout_weeks, hours)
    check(hours, period.train_from, period.train_until, "training")
    check(hours, period.holdout_from, period.until, "hold-out")
    return (
        f"{len(period.training(hours))} hours from {period.train_from} to train on, "
        f"{len(period.holdout(hours))} from {period.holdout_from} to {period.until} held out"
    )


if __name__ == "__main__":
    sys.exit(run(main))
