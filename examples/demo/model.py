"""The model: bikes per hour from calendar and weather, by gradient-boosted trees."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from examples.demo.data import Array
from examples.demo.versions import Version

HALF_LIFE = 30.0  # days: how fast an hour loses weight in training


def fit(features: Array, counts: Array, age: Array | None = None) -> HistGradientBoostingRegressor:
    """Train; `age` in days lets older hours count less (half as much every HALF_LIFE), None: all the same."""
    weights = None if age is None else 0.5 ** (age / HALF_LIFE)
    trees = HistGradientBoostingRegressor(max_iter=120, learning_rate=0.08, random_state=0)
    with threadpool_limits(limits=1):  # the second core is the server's
        return trees.fit(features, counts, sample_weight=weights)


def predict(trees: HistGradientBoostingRegressor, features: Array, scale: float = 1.0) -> Array:
    """Bikes per hour, never below zero."""
    with threadpool_limits(limits=1):
        return np.maximum(scale * np.asarray(trees.predict(features), dtype=np.float64), 0.0)


def save(work: Path, version: Version, trees: HistGradientBoostingRegressor) -> None:
    """Write the pickled model of a version."""
    joblib.dump(trees, work / version.file)


def read(work: Path, version: Version) -> HistGradientBoostingRegressor:
    """The pickled model of a version."""
    return joblib.load(work / version.file)
