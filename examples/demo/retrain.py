"""The action `retrain`: train on every label that has arrived, recent ones counting most, and serve that.

`python -m examples.demo.retrain WORK MODEL`, the decision as JSON on stdin; the last
line of the output is a JSON object, which modelmend keeps with the remediation.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from examples.demo import feed
from examples.demo.model import fit, save
from examples.demo.versions import Version, publish, serving


def main(work: Path) -> dict[str, object]:
    """Train and publish; returns what is reported."""
    labels = feed.labels(work)
    known = [row for row in feed.rows(work, feed.FEATURES) if int(row[0]) in labels]
    features = np.array([[float(value) for value in row[2:]] for row in known])
    counts = np.array([labels[int(row[0])] for row in known])
    day = np.array([float(row[1]) for row in known])
    trees = fit(features, counts, day.max() - day)
    number = serving(work).number + 1
    version = Version(number, f"model-{number}.joblib", 1.0, feed.today(work), "retrain")
    save(work, version, trees)
    publish(work, version)
    return {"version": version.name, "hours": len(known)}


if __name__ == "__main__":
    json.load(sys.stdin)  # the decision: here only proof that it came
    print(json.dumps(main(Path(sys.argv[1]))))
