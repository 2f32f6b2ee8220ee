"""What the objects that we make carry."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.actions import made
from controller.remediation import Intent


def intent(model: str = "ml/salary", **end_state: Any) -> Intent:
    return Intent(1, "r-abc", 0, 1, "workflow", "r-abc-0-1", {"model": model, **end_state})


@given(st.text(max_size=300))
def test_any_text_becomes_a_label(text: str) -> None:
    """Whatever a model or policy is called, the API takes its label."""
    assert re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", made.label(text))
    assert len(made.label(text)) <= 63


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("salary-predictor", "salary-predictor"),
        ("Salary_Predictor.v2", "Salary_Predictor.v2"),
        ("salary predictor/eu", "salary-predictor-eu"),
        ("-x-", "x"),
        ("x" * 62 + "-y", "x" * 62),
        ("", ""),
    ],
)
def test_a_label_stays_readable(text: str, label: str) -> None:
    """What is valid stays as it is; of the rest as much as can."""
    assert made.label(text) == label


def test_annotations_are_whole_and_bounded() -> None:
    """Names stand whole in annotations; what a sender wrote cannot fill an object, and what is missing is left out."""
    event = {"source": "urn:" + "x" * 5000, "id": "a/b c"}
    marked = made.metadata(intent("ml/sal ary", stdin={"policy": "ml/re train", "event": event}))
    assert marked["name"] == "r-abc-0-1"
    annotations = marked["annotations"]
    assert annotations["modelmend.io/model"] == "ml/sal ary"
    assert annotations["modelmend.io/policy"] == "ml/re train"
    assert annotations["modelmend.io/event-id"] == "a/b c"
    assert len(annotations["modelmend.io/event-source"]) == 1024
    assert "modelmend.io/traceparent" not in annotations
    assert marked["labels"]["modelmend.io/policy"] == "re-train"


def test_an_action_stays_in_its_models_namespace() -> None:
    """The namespace is the model's; with an object on record, that object's."""
    assert made.namespace(intent()) == "ml"
    ref = {"kind": "Job", "namespace": "other", "name": "x", "uid": "1"}
    assert made.namespace(Intent(1, "r-abc", 0, 1, "job", "r-abc-0-1", {}, ref=ref)) == "other"


def test_without_an_event_nothing_is_said_of_one() -> None:
    """A schedule has no event: the object is marked all the same."""
    marked = made.metadata(intent(stdin={"policy": "ml/retrain", "event": None}))
    assert {key.rpartition("/")[2] for key in marked["annotations"]} == {"intent", "model", "policy"}
