"""Whether an event still speaks of the model as it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller.decision import HoldFacts, Reason, Refusal, decide, hold, outdated
from controller.policy import Model, ModelState
from tests.unit.cases import situation
from tests.unit.policy.written import event, the_policy

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATE = ModelState(stable="v6", canary="v7", deployed_at=NOON, told_reference="2026-11", reference_of="v6")
MODEL = Model("ml", "salary-predictor", version_names=("salary-{version}",))


def window(start: float, end: float) -> dict[str, str]:
    """From so many hours after the deployment to so many."""
    return {"start": (NOON + start * HOUR).isoformat(), "end": (NOON + end * HOUR).isoformat()}


def why(family: str, version: str | None = None, seen: float = 1, state: ModelState = STATE, **data: Any) -> str | None:
    """Why an event of this family, last seen so many hours after the deployment, is outdated."""
    found = outdated(replace(event(version=version, **data), family=family), MODEL, state, NOON + seen * HOUR)
    return found["why"] if found else None


@pytest.mark.parametrize(("version", "expected"), [("salary-v6", None), ("v7", None), ("v5", "former_version")])
def test_a_version_that_does_not_serve_is_a_former_one(version: str, expected: str | None):
    """By the model's own names, stable and canary are none."""
    assert why("drift", version) == expected


def test_where_nothing_is_known_nothing_is_outdated():
    """No role is told, and no version is former."""
    assert why("drift", "v5", state=ModelState()) is None
    assert why("drift", "v5", state=replace(STATE, unknown_since=NOON)) is None


@pytest.mark.parametrize(("reference", "expected"), [("2026-11", None), ("2025-02", "replaced_reference")])
def test_reference_data_that_was_replaced(reference: str, expected: str | None):
    """Only where somebody told which the version that serves goes by."""
    assert why("drift", referenceId=reference) == expected
    assert why("drift", referenceId=reference, state=replace(STATE, told_reference=None)) is None


@pytest.mark.parametrize(
    ("family", "version", "start", "end", "expected"),
    [
        ("drift", None, 0, 2, None),
        ("drift", None, -1, 9, "before_deployment"),
        ("drift", "v6", -1, 9, "before_deployment"),
        ("performance", None, -1, 2, None),
        ("performance", None, -1, 1, None),
        ("performance", None, -3, 2, "before_deployment"),
        ("performance", "v6", -3, 2, None),
        ("quality", None, -3, 2, None),
    ],
)
def test_a_window_that_lies_before_the_deployment(
    family: str, version: str | None, start: float, end: float, expected: str | None
):
    """Drift may not have begun before it; performance without a version may lie before it for half at most."""
    assert why(family, version, window=window(start, end)) == expected


@pytest.mark.parametrize("family", ["drift", "performance"])
def test_without_a_window_the_last_report_is_when_it_was_measured(family: str):
    """An alert that is repeated after the deployment is about what serves now."""
    assert why(family, seen=-1) == "before_deployment"
    assert why(family, seen=0) is None


def test_the_decision_names_what_serves():
    """`stale`, with the version and what serves instead."""
    found = decide(event(version="v5"), MODEL, the_policy(), situation(state=STATE), NOON + HOUR)
    assert found.reason is Reason.STALE
    assert found.values == {"why": "former_version", "version": "v5", "stable": "v6", "canary": "v7"}


@pytest.mark.parametrize("changing", [True, False])
def test_a_first_rung_about_a_former_version_is_given_up(changing: bool):
    """Whether it changes or restores: what it was about serves no more."""
    values = {"why": "former_version", "version": "v5"}
    facts = HoldFacts(over=None, too_old=False, unless=(), pauses=(), silences=(), outdated=values)
    assert hold(changing, facts) == Refusal(Reason.STALE, values, final=True)
