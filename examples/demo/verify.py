"""The verification: the error of the served version over the two weeks that followed it.

`python -m examples.demo.verify WORK LIMIT` prints what it saw and, as its last line,
`recovered`, `unchanged` or `worse`. Until the labels of two weeks have arrived the last
line is none of these: a missing sample, which decides nothing.
"""

from __future__ import annotations

import sys
from datetime import date, timedelta
from pathlib import Path

from examples.demo import feed
from examples.demo.versions import serving

DAYS = 14
WORSE = 1.25  # times the error of the two weeks before


def main(work: Path, limit: float) -> list[str]:
    """The lines to print."""
    labels, current = feed.labels(work), serving(work)
    after: list[tuple[date, float]] = []
    before: list[tuple[date, float]] = []
    for hour, day, version, bikes in feed.predictions(work):
        if hour in labels:
            (after if version == current.number else before).append((day, abs(labels[hour] - bikes)))
    days = len({day for day, _ in after})
    if days < DAYS:
        return [f"{days} of {DAYS} days have labels", "waiting"]
    error = _last_days(after)
    seen = f"error {error:.1f} over {DAYS} days, limit {limit:.1f}"
    if error <= limit:
        return [seen, "recovered"]
    return [seen, "worse" if before and error > WORSE * _last_days(before) else "unchanged"]


def _last_days(errors: list[tuple[date, float]]) -> float:
    newest = max(day for day, _ in errors)
    kept = [error for day, error in errors if day > newest - timedelta(days=DAYS)]
    return sum(kept) / len(kept)


if __name__ == "__main__":
    print("\n".join(main(Path(sys.argv[1]), float(sys.argv[2]))))
