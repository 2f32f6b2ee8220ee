"""What the world hands over day by day, as files in the work folder: features, labels, predictions.

The trainings and the verification read these files and nothing else: a label that has
not arrived yet, or a null from a broken sensor, is for them as it would be in production.
Only the standard library, so that verification starts at once.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

LABELS = "labels.csv"
FEATURES = "features.csv"
PREDICTIONS = "predictions.csv"


def append(work: Path, name: str, rows: Iterable[Iterable[object]]) -> None:
    """Add rows to one of the three files; each begins with the hour's number and its day."""
    with (work / name).open("a", newline="") as file:
        csv.writer(file).writerows(rows)


def rows(work: Path, name: str) -> Iterator[list[str]]:
    """All rows of one of the three files; none where it is not there yet."""
    if (work / name).exists():
        with (work / name).open(newline="") as file:
            yield from csv.reader(file)


def labels(work: Path) -> dict[int, float]:
    """The labels that have arrived, by the hour's number."""
    return {int(hour): float(count) for hour, _day, count in rows(work, LABELS)}


def predictions(work: Path) -> Iterator[tuple[int, date, int, float]]:
    """Every prediction that was served: hour's number, day, version's number, bikes."""
    for hour, day, version, bikes in rows(work, PREDICTIONS):
        yield int(hour), date.fromisoformat(day), int(version), float(bikes)


def set_today(work: Path, day: date) -> None:
    """Write the date that the demo's calendar shows."""
    (work / "today").write_text(day.isoformat())


def today(work: Path) -> date:
    """The date that the demo's calendar shows."""
    return date.fromisoformat((work / "today").read_text())
