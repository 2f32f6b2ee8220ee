"""The step `evaluate`: a candidate that is worse than the champion, on hours that it has not seen, is refused.

Both predict the same hold-out; the one with the smaller mean absolute error is better. Where
no version serves yet, the candidate must beat the mean of that hour of the week.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import joblib

from argo.retrain import data
from argo.retrain.champion import champion
from argo.retrain.data import Hours
from argo.retrain.model import error, naive, predict
from argo.retrain.period import Period, period_arguments, read_period
from argo.retrain.registry import MODEL, ROOT, Registry
from argo.steps.api import Api
from argo.steps.deploy import serving_arguments
from argo.steps.looks import Looks
from argo.steps.place import Place
from argo.steps.step import Parameters, StepFailed, report, run

PATIENCE = 60.0
"""Seconds in which the API server must have answered."""


def evaluate(registry: Registry, version: str, rival: str | None, hours: Hours, period: Period) -> dict[str, Any]:
    """What the candidate and its rival (the champion, or None) come to on the hold-out, and the `decision`."""
    holdout = period.holdout(hours)
    mine = error(predict(_trees(registry, version), holdout.features), holdout)
    if rival is None:
        name, theirs = "the mean of that hour of the week", error(naive(period.training(hours), holdout), holdout)
    elif registry.version(rival).exists():
        name, theirs = f"champion {rival}", error(predict(_trees(registry, rival), holdout.features), holdout)
    else:
        raise StepFailed(f"{rival} serves and is not in the registry: there is nothing to compare with")
    decision = "accepted" if mine <= theirs else "refused"
    return {
        "decision": decision,
        "message": f"candidate {version} is off by {mine:.1f} bikes an hour, {name} by {theirs:.1f} "
        f"({len(holdout)} hours from {period.holdout_from} to {period.until}): {decision}",
        "error": round(mine, 3),
        "rival": rival,
        "rivalError": round(theirs, 3),
        "holdoutFrom": period.holdout_from.isoformat(),
        "holdoutUntil": period.until.isoformat(),
    }


def _trees(registry: Registry, version: str) -> Any:
    registered = registry.version(version)
    return joblib.load((registered if registered.exists() else registry.candidate(version)) / MODEL)


def main() -> str:
    """Evaluate, and leave the decision for the steps that follow."""
    parser = Parameters()
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    period_arguments(parser)
    serving_arguments(parser)
    given = parser.parse_args()
    place = Place(given.version_in, given.version_name, given.container)
    place.check(given.version)
    registry = Registry(ROOT, given.model)
    first = not registry.versions() - {given.version}
    rival = champion(Api.of_this_pod(), given.kind, given.name, place, Looks(PATIENCE), first=first)
    hours = data.load()
    period = read_period(given.until, given.train_weeks, given.holdout_weeks, hours)
    found = evaluate(registry, given.version, rival, hours, period)
    report(decision=found["decision"], message=found["message"], evaluation=json.dumps(found))
    return str(found["message"])


if __name__ == "__main__":
    sys.exit(run(main))
