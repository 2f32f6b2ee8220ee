"""The step `register`: the accepted candidate becomes a version of the registry, whole or not at all."""

from __future__ import annotations

import json
import shutil
import sys

from argo.retrain.registry import CARD, MODEL, ROOT, Registry, as_bytes, read_card
from argo.steps.step import Parameters, run


def register(registry: Registry, version: str, evaluation: dict[str, object]) -> str:
    """Register a candidate with what it came to; done where that was done before."""
    folder, candidate = registry.version(version), registry.candidate(version)
    if folder.exists():
        shutil.rmtree(candidate, ignore_errors=True)  # left where the step was cut off here
        return f"{version} is registered already"
    card = {**read_card(candidate), "evaluation": evaluation}
    registry.keep(folder, {MODEL: (candidate / MODEL).read_bytes(), CARD: as_bytes(card)})
    shutil.rmtree(candidate, ignore_errors=True)
    return f"{version} is registered in {folder}"


def main() -> str:
    """Register what the arguments say."""
    parser = Parameters()
    parser.add_argument("--model", required=True)
    parser.add_argument("--version", required=True)
    parser.add_argument("--evaluation", type=json.loads, required=True)
    given = parser.parse_args()
    return register(Registry(ROOT, given.model), given.version, given.evaluation)


if __name__ == "__main__":
    sys.exit(run(main))
