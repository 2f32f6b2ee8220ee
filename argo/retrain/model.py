"""The model, bikes per hour by gradient-boosted trees, and how well a model does."""

from __future__ import annotations

from datetime import date

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor

from argo.retrain.data import FEATURES, Array, Hours

_HOUR = FEATURES.index("hour")


def fit(hours: Hours) -> HistGradientBoostingRegressor:
    """Train; the same hours always give the same model."""
    return HistGradientBoostingRegressor(max_iter=120, learning_rate=0.08, random_state=0).fit(
        hours.features, hours.count
    )


def predict(trees: HistGradientBoostingRegressor, features: Array) -> Array:
    """Bikes per hour, never below zero."""
    return np.maximum(np.asarray(trees.predict(features), dtype=np.float64), 0.0)


def naive(training: Hours, hours: Hours) -> Array:
    """What needs no model: the mean of training at that hour of the week."""
    known, asked = _hour_of_week(training), _hour_of_week(hours)
    means = {at: float(training.count[known == at].mean()) for at in np.unique(known)}
    return np.array([means.get(at, float(training.count.mean())) for at in asked])


def error(predicted: Array, hours: Hours) -> float:
    """The mean absolute error, in bikes per hour."""
    return float(np.abs(predicted - hours.count).mean())


def _hour_of_week(hours: Hours) -> Array:
    """By the calendar, since the recorded weekday has gaps."""
    weekday = np.array([date.fromordinal(int(day)).weekday() for day in hours.day], dtype=np.float64)
    return weekday * 24 + hours.features[:, _HOUR]
