"""What a WorkflowTemplate asks for, read from its spec as Argo 3.7 reads it."""

from __future__ import annotations

from typing import Any

import pytest

from controller.live import parameters

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
