"""What `modelmend check` warns of: freezes without an end, and policies that hold themselves."""

import pytest

from controller.events.types import EventTypes
from controller.policy import Installation, build_set, freeze_warnings, parse_documents, policy_warnings
from tests.unit.policy.written import NOW, the_policy

BROKEN = "triggers: [{type: ml.data.quality.failed}]"
MODEL = "---\nkind: Model\nmetadata: {name: salary, namespace: ml}\n"


def said(spec: str, more: str = "") -> list[str]:
    """The warnings of a freeze."""
    spec += "" if "models" in spec else ", models: {names: ['*']}"
    text = f"kind: Freeze\nmetadata: {{name: f, namespace: ml}}\nspec: {{{spec}}}\n{more}"
    documents, unread = parse_documents(text, "test.yaml")
    found, problems = build_set(documents, Installation.of(EventTypes(), []), unread)
    assert [str(problem) for problem in problems] == []
    return [warning.removeprefix('Freeze "ml/f": ') for warning in freeze_warnings(found, NOW)]


@pytest.mark.parametrize(
    ("spec", "warning"),
    [
        ('start: "2026-12-18T18:00", end: "9999-12-18T18:00"', "it has no gap before 9999-12-18 18:00 UTC"),
        ('cron: "*/5 * * * *", duration: 10m', "it has no gap before 2027-"),
        ('cron: "0 0 1 1 *", duration: 366d', "it has no gap before "),
        ('start: "2025-12-18T18:00", end: "2026-01-07T18:00"', "spec.end: it was over 2026-01-07 18:00 UTC"),
    ],
)
def test_a_freeze_without_an_end(spec, warning):
    """Windows that overlap for ever, an end that nobody lives to see, and one that is over, are told."""
    (found,) = said(spec)
    assert found.startswith(warning)


@pytest.mark.parametrize(
    "spec",
    [
        'cron: "0 18 * * 5", duration: 62h',
        'cron: "*/5 * * * 1-5", duration: 10m',
        'cron: "0 0 * * *", duration: 23h',
        'start: "2026-12-18T18:00", end: "2027-01-07T08:00"',
    ],
)
def test_a_freeze_with_gaps(spec):
    """What ends within weeks is as meant."""
    assert said(spec) == []


def test_a_freeze_of_nothing():
    """One that selects no Model beside it is told; alone it may be for models elsewhere."""
    spec = 'cron: "0 18 * * 5", duration: 62h, models: {names: [wages]}'
    assert said(spec) == []
    assert said(spec, MODEL) == ["spec.models: no Model document beside it is selected"]
    assert said(spec.replace("wages", "salary"), MODEL) == []


def test_a_policy_that_holds_itself():
    """What is triggered by bad data, and held by bad data, is told; `dataQuality: ignore` mends it."""
    models = "models: {names: ['*'], via: dataset}"
    (warning,) = policy_warnings([the_policy(models=models, triggers=BROKEN)], {})
    assert "spec.triggers[0].type: while ml.data.quality.failed is open, `unless` holds the policy" in warning
    assert list(policy_warnings([the_policy("dataQuality: ignore", models=models, triggers=BROKEN)], {})) == []
