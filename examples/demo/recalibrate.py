"""The action `recalibrate`: keep the model, scale its output to the level of the last four weeks. No training.

`python -m examples.demo.recalibrate WORK MODEL`, the decision as JSON on stdin; the
last line of the output is a JSON object, which modelmend keeps with the remediation.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from examples.demo import feed
from examples.demo.versions import publish, serving

LOOK_BACK = timedelta(weeks=4)


def main(work: Path) -> dict[str, object]:
    """Scale and publish; returns what is reported."""
    labels, current = feed.labels(work), serving(work)
    known = [row for row in feed.predictions(work) if row[0] in labels and row[2] == current.number]
    newest = max(day for _hour, day, _version, _bikes in known)
    recent = [(labels[hour], bikes) for hour, day, _version, bikes in known if day > newest - LOOK_BACK]
    factor = sum(actual for actual, _ in recent) / sum(bikes for _, bikes in recent)
    version = replace(
        current,
        number=current.number + 1,
        scale=current.scale * factor,
        since=feed.today(work),
        made_by="recalibrate",
    )
    publish(work, version)
    return {"version": version.name, "factor": round(factor, 3)}


if __name__ == "__main__":
    json.load(sys.stdin)  # the decision: here only proof that it came
    print(json.dumps(main(Path(sys.argv[1]))))
