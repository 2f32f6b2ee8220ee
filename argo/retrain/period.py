"""Which hours a candidate learns from, and by which it is judged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from argo.retrain.data import Hours
from argo.steps.step import Parameters, StepFailed


@dataclass(frozen=True, slots=True)
class Period:
    """Whole weeks up to the day `until`: the last ones, the hold-out, are kept from training."""

    until: date
    train_weeks: int
    holdout_weeks: int

    @property
    def holdout_from(self) -> date:
        """The first day of the hold-out."""
        return self.until - timedelta(weeks=self.holdout_weeks) + timedelta(days=1)

    @property
    def train_from(self) -> date:
        """The first day of training."""
        return self.holdout_from - timedelta(weeks=self.train_weeks)

    @property
    def train_until(self) -> date:
        """The last day of training."""
        return self.holdout_from - timedelta(days=1)

    def training(self, hours: Hours) -> Hours:
        """What is learnt from."""
        return hours.between(self.train_from, self.train_until)

    def holdout(self, hours: Hours) -> Hours:
        """What is judged by."""
        return hours.between(self.holdout_from, self.until)


def period_arguments(parser: Parameters) -> None:
    """The parameters that choose a period."""
    parser.add_argument("--until", required=True)
    parser.add_argument("--train-weeks", type=int, required=True)
    parser.add_argument("--holdout-weeks", type=int, required=True)


def read_period(until: str, train_weeks: int, holdout_weeks: int, hours: Hours) -> Period:
    """The period; where no day is given, up to the last recorded one. Raises StepFailed."""
    if min(train_weeks, holdout_weeks) < 1:
        raise StepFailed(
            f"want at least one week of each, got {train_weeks} for training, {holdout_weeks} for hold-out"
        )
    try:
        return Period(date.fromisoformat(until) if until else hours.last, train_weeks, holdout_weeks)
    except ValueError as error:
        raise StepFailed(f"until: want a day such as 2012-06-30, got {until!r}") from error
