"""What a silence mutes and what a pause holds."""

from __future__ import annotations

from typing import Any

import pytest

from controller.policy import Model
from controller.silences import paused, silenced
from tests.unit.cases import DRIFT, MODEL, drift, policy


@pytest.mark.parametrize(
    ("name", "met", "unmet"),
    [
        ("namespace", "ml", "hr"),
        ("model", "salary-*", "salary"),
        ("policy", "retrain", "Retrain"),
        ("type", "ml.data.*", "ml.performance.*"),
        ("source", "urn:*-detector", "urn:detector"),
        ("severity", "P[12]", "P1"),
        ("feature", "sal?ry", "age"),
        ("labels.tier", "prod", "staging"),
    ],
)
def test_each_matcher(name: str, met: str, unmet: str) -> None:
    """Every matcher is a glob over its whole value, large and small letters told apart."""
    assert silenced({name: met}, drift(), policy(), MODEL)
    assert not silenced({name: unmet}, drift(), policy(), MODEL)


@pytest.mark.parametrize(("name", "value"), [("metric", "f1"), ("slice", "eu")])
def test_matchers_of_performance(name: str, value: str) -> None:
    """`metric` and `slice` ask the event's data."""
    event = drift(type="ml.performance.degraded", data={"metric": "f1", "slice": "eu", "value": 0.8})
    assert silenced({name: value}, event, policy(), MODEL)
    assert not silenced({name: value}, drift(), policy(), MODEL)


@pytest.mark.parametrize("name", ["metric", "slice", "labels.team", "labels.", "colour", "driftScore"])
def test_absent_is_never_met(name: str) -> None:
    """What the event does not have, not even `*` meets: a silence never mutes by absence."""
    assert not silenced(
        {name: "*"}, drift(data={"feature": "salary", "driftScore": 0.4, "metric": None}), policy(), MODEL
    )


def test_all_matchers_must_be_met() -> None:
    """Matchers narrow: one that is not met is enough."""
    assert silenced({"model": "salary-*", "type": DRIFT, "feature": "salary"}, drift(), policy(), MODEL)
    assert not silenced({"model": "salary-*", "type": DRIFT, "feature": "age"}, drift(), policy(), MODEL)


def test_no_matcher_mutes_everything() -> None:
    """A silence without matchers, which the API gives only where it was asked for, mutes all."""
    assert silenced({}, drift(), policy(), MODEL)


def test_a_value_that_is_no_text() -> None:
    """Numbers and flags are compared as they are written."""
    assert silenced({"slice": "True"}, drift(data={"slice": True}), policy(), MODEL)
    assert silenced({"feature": "3.0"}, drift(data={"feature": 3.0}), policy(), MODEL)


@pytest.mark.parametrize(
    ("scope", "namespace", "name", "holds"),
    [
        ("all", "", "", True),
        ("namespace", "ml", "", True),
        ("namespace", "hr", "", False),
        ("policy", "ml", "retrain", True),
        ("policy", "ml", "abort", False),
        ("policy", "hr", "retrain", False),
        ("policy", "ml", "salary-predictor", False),
        ("model", "ml", "salary-predictor", True),
        ("model", "ml", "other", False),
        ("model", "hr", "salary-predictor", False),
        ("model", "ml", "retrain", False),
    ],
)
def test_scope_of_a_pause(scope: str, namespace: str, name: str, holds: bool) -> None:
    """A pause holds everything, a namespace, one policy or one model, by its whole name and never by a glob."""
    assert paused(scope, namespace, name, policy(), MODEL) is holds


@pytest.mark.parametrize("scope", ["namespace", "model"])
def test_a_pause_is_no_glob(scope: str) -> None:
    """`*` names nothing."""
    assert not paused(scope, "*", "*", policy(), MODEL)


def test_a_pause_holds_a_model_without_a_document() -> None:
    """A model that only events name is paused like any other."""
    found: dict[str, Any] = {"policy": policy(), "model": Model.bare("ml", "new")}
    assert paused("model", "ml", "new", **found)
