"""The step `train`: a candidate, trained on its period and left in the registry under the name of its version."""

from __future__ import annotations

import io
import sys
import time

import joblib

from argo.retrain import data
from argo.retrain.model import fit
from argo.retrain.period import period_arguments, read_period
from argo.retrain.registry import CARD, MODEL, ROOT, Registry, as_bytes
from argo.steps.step import Parameters, run

LEFT = 24 * 3600.0
"""Seconds after which a candidate that was never registered is removed."""


def main() -> str:
    """Train; done where this version was trained before, as when the step is run again."""
    parser = Parameters()
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--reason", default="")
    period_arguments(parser)
    given = parser.parse_args()
    registry = Registry(ROOT, given.model)
    registry.sweep(time.time() - LEFT)
    if any(folder.exists() for folder in (registry.candidate(given.version), registry.version(given.version))):
        return f"{given.version} of {given.model} is trained already"
    hours = data.load()
    period = read_period(given.until, given.train_weeks, given.holdout_weeks, hours)
    training = period.training(hours)
    began = time.monotonic()
    pickled = io.BytesIO()
    joblib.dump(fit(training), pickled)
    took = time.monotonic() - began
    card = {
        "model": given.model,
        "version": given.version,
        "reason": given.reason,
        "trainedFrom": period.train_from.isoformat(),
        "trainedUntil": period.train_until.isoformat(),
        "hours": len(training),
        "seconds": round(took, 2),
    }
    registry.keep(registry.candidate(given.version), {MODEL: pickled.getvalue(), CARD: as_bytes(card)})
    return f"{given.version} of {given.model}: trained on {len(training)} hours in {took:.1f} s"


if __name__ == "__main__":
    sys.exit(run(main))
