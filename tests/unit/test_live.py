"""What a WorkflowTemplate asks for, read from its spec as Argo 3.7 reads it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.events.types import EventTypes
from controller.live import live_problems, parameters
from controller.policy import Installation, build_set, parse_documents

INPUTS = {"name": "main", "inputs": {"parameters": [{"name": "epochs"}, {"name": "depth", "default": "3"}]}}


def spec(*templates: dict[str, Any], arguments: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A template's spec that starts at `main`."""
    return {"entrypoint": "main", "templates": list(templates), "arguments": {"parameters": arguments or []}}


def container(text: str) -> dict[str, Any]:
    return {"name": "main", "container": {"image": "i", "args": [text]}}


@pytest.mark.parametrize(
    ("given", "known", "required"),
    [
        ({}, set(), set()),
        (spec(container("x"), arguments=[{"name": "model"}]), {"model"}, {"model"}),
        (spec(container("x"), arguments=[{"name": "model", "value": ""}]), {"model"}, set()),
        (spec(container("x"), arguments=[{"name": "model", "default": "m"}]), {"model"}, {"model"}),
        (
            spec(
                container("x"), arguments=[{"name": "m", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]
            ),
            {"m"},
            set(),
        ),
        (spec(INPUTS), {"epochs", "depth"}, {"epochs"}),
        (spec(INPUTS, arguments=[{"name": "epochs", "value": "5"}]), {"epochs", "depth"}, set()),
        (spec(container("{{workflow.parameters.git-path}}")), {"git-path"}, {"git-path"}),
        (spec(container("{{=workflow.parameters['git-path']}}")), {"git-path"}, {"git-path"}),
        (spec(container('{{=workflow.parameters["git-path"]}}')), {"git-path"}, {"git-path"}),
        (
            spec(container("{{workflow.parameters.model}}"), arguments=[{"name": "model", "value": "m"}]),
            {"model"},
            set(),
        ),
        (spec(container("{{workflow.parameters.json}}"), arguments=[{"name": "model"}]), None, {"model"}),
        ({"entrypoint": "gone", "templates": [INPUTS]}, set(), set()),
    ],
)
def test_what_a_template_knows_and_needs(given: dict[str, Any], known: set[str] | None, required: set[str]) -> None:
    """Arguments without a value, inputs of the entrypoint without one, and what is only referred to must be given."""
    assert parameters(given) == (known, required)


ANALYSES = """
kind: RemediationPolicy
metadata: {name: retrain, namespace: ml}
spec:
  models: {names: ["*"]}
  triggers: [{type: ml.performance.degraded}]
  steps:
    - name: back
      rollout: {abort: canary}
      verify: [{analysis: {templateName: rate, args: {modle: x}}}]
"""


class OneTemplate:
    """A cluster that has one AnalysisTemplate."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def get(self, *_: Any) -> dict[str, Any]:
        return {"spec": self.spec}


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"metrics": [{"name": "m"}], "args": [{"name": "modle"}]}, None),
        ({"metrics": [{"name": "m"}], "args": [{"name": "model"}]}, "it has no argument modle"),
        ({"args": [{"name": "modle"}, {"name": "least"}]}, "no value for its argument least"),
        ({"templates": [{"templateName": "x"}]}, "it is made of other templates: that is not supported"),
        (
            {"metrics": [{"name": "m", "interval": "1m"}]},
            "its metric m has an interval and no count: it would never end",
        ),
    ],
)
def test_an_analysis_that_could_not_be_run_is_told_beforehand(spec, told):
    """What the first look at an AnalysisTemplate would find after the action, `check --live` finds before."""
    documents, faults = parse_documents(ANALYSES, "policies.yaml")
    policies, problems = build_set(documents, Installation.of(EventTypes(), cluster=True), faults)
    assert not problems
    found = [str(problem) for problem in live_problems(OneTemplate(spec), policies)]
    path = "spec.steps[0].verify[0].analysis: AnalysisTemplate ml/rate: "
    assert [problem.partition(path)[2] for problem in found] == ([] if told is None else [told])
