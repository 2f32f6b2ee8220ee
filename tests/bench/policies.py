"""Policy sets of any size for the benchmarks."""

from __future__ import annotations

_POLICY = """
kind: RemediationPolicy
metadata: {{name: {name}, namespace: ml}}
spec:
  mode: enforce
  models: {{names: ["{models}"]}}
  triggers:
    - {{name: accuracy, type: ml.performance.degraded, when: 'data.metric == "accuracy" && data.value < 0.92'}}
  steps:
    - {{name: retrain, command: {{argv: ["true"]}}, verify: none}}
---
"""
_MODEL = "kind: Model\nmetadata: {{name: m-{number}, namespace: ml}}\n---\n"


def text(policies: int, models: int) -> str:
    """One policy that every model meets, `policies - 1` that each name a model of their own, and the models."""
    wide = _POLICY.format(name="all", models="m-*")
    exact = "".join(_POLICY.format(name=f"p-{number}", models=f"m-{number}x") for number in range(policies - 1))
    return wide + exact + "".join(_MODEL.format(number=number) for number in range(models))
