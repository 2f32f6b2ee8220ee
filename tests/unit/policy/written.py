"""Events, and policies written in few words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from controller.events.event import Event
from controller.events.types import EventTypes
from controller.policy import Bindings, Installation, Model, Policy, build_set, parse_documents

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def event(kind: str = "ml.data.drift.detected", *, version: str | None = None, **data: Any) -> Event:
    """An event about ml/salary-predictor a minute before NOW."""
    return Event(
        source="urn:drift-detector",
        id="drift-99201",
        type=kind,
        subject=None,
        time=NOW - timedelta(minutes=1),
        time_marked=False,
        namespace="ml",
        model="salary-predictor",
        dataset=None,
        version=version,
        family="drift",
        over=False,
        about="",
        data=data,
        extensions={},
        digest="d",
    )


def bindings(model: Model | None = None, *, version: str | None = None, **data: Any) -> Bindings:
    """What an expression sees of such an event."""
    return Bindings.of(event(version=version, **data), model or Model.bare("ml", "salary-predictor"), NOW)


def policy_text(spec: str, name: str = "retrain", namespace: str = "ml") -> str:
    """A policy's document around the lines of its `spec`."""
    indented = "\n".join("  " + line for line in spec.strip().splitlines())
    return f"kind: RemediationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n{indented}\n"


LADDER = "steps: [{name: retrain, command: {argv: [python, retrain.py]}, verify: none}]"
DRIFT = "triggers: [{type: ml.data.drift.detected}]"
SALARY = "models: {names: [salary-predictor]}"


def the_policy(*lines: str, models: str = SALARY, triggers: str = DRIFT, steps: str = LADDER) -> Policy:
    """The policy of these lines, each part that is not given as simple as can be."""
    text = policy_text("\n".join([models, triggers, *lines, steps]))
    documents, unread = parse_documents(text, "test.yaml")
    found, problems = build_set(
        documents, Installation.of(EventTypes(), ["oncall"], cluster=True, prometheus=True), unread
    )
    assert [str(problem) for problem in problems] == []
    return found.policies[0]
