from datetime import timedelta

import pytest

from controller.policy import build_set, parse_documents
from tests.unit.policy.written import LADDER, the_policy

TWO = """
steps:
- {name: retrain, command: {argv: [python, retrain.py]}, verify: none}
- {name: promote, command: {argv: [python, promote.py]}, approve: true, verify: none}
- {name: page, page: {}}
"""


@pytest.mark.parametrize(
    ("mode", "asked"),
    [("audit", [False, True, False]), ("approve", [True, True, False]), ("enforce", [False, True, False])],
)
def test_who_is_asked_before_which_step(mode, asked):
    """`mode: approve` asks before every step that changes, `approve: true` before its own, nothing before a page."""
    policy = the_policy(f"mode: {mode}", steps=TWO)
    assert [policy.asks(step) for step in policy.steps] == asked
    assert policy.asking


def test_a_policy_without_a_word_about_it_asks_nobody():
    """Without the mode and without `approve` no step waits for a person."""
    assert not the_policy("mode: enforce").asking
    assert the_policy("mode: approve").asking


def test_expires_comes_from_the_policy_else_from_the_defaults_else_a_day(installation):
    """`approval.expires` falls back as every other key does."""
    text = """
kind: Defaults
metadata: {name: all, namespace: ml}
spec: {approval: {expires: 8h}}
---
kind: RemediationPolicy
metadata: {name: own, namespace: ml}
spec: {models: {names: [a]}, triggers: [{type: ml.data.drift.detected}], approval: {expires: 2h}, STEPS}
---
kind: RemediationPolicy
metadata: {name: ours, namespace: ml}
spec: {models: {names: [a]}, triggers: [{type: ml.data.drift.detected}], STEPS}
---
kind: RemediationPolicy
metadata: {name: else, namespace: other}
spec: {models: {names: [a]}, triggers: [{type: ml.data.drift.detected}], STEPS}
"""
    documents, unread = parse_documents(text.replace("STEPS", LADDER), "test.yaml")
    found, problems = build_set(documents, installation, unread)
    assert not problems
    lengths = {policy.name: policy.approval_expires for policy in found.policies}
    assert lengths == {"own": timedelta(hours=2), "ours": timedelta(hours=8), "else": timedelta(days=1)}
