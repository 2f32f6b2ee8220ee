"""What `modelmend check` warns of."""

from datetime import timedelta

import pytest

from controller.policy import policy_warnings
from tests.unit.policy.written import the_policy

DAY = timedelta(days=1)


@pytest.mark.parametrize("verify", ["quiet: 30m", "report: {metric: f1}", "resolved: {}"])
def test_a_proof_that_is_over_before_the_detector_looks(verify):
    """Four hours are too short to hear of a detector that looks once a day."""
    policy = the_policy(steps=f"steps: [{{name: a, command: {{argv: [x]}}, verify: [{{{verify}}}]}}]")
    assert list(policy_warnings([policy], {"urn:often": timedelta(hours=1), "urn:daily": DAY})) == [
        (
            'RemediationPolicy "ml/retrain": spec.steps[0].verify[0].within: 4h is shorter than the period of urn:daily (1d): it may be over before the '
            "detector looks again"
        )
    ]
    assert list(policy_warnings([policy], {"urn:often": timedelta(hours=4)})) == []


@pytest.mark.parametrize("verify", ["query: up, recovered: value > 0.9", "command: {argv: [check]}", "rollout: stable"])
def test_what_asks_for_itself_waits_for_no_detector(verify):
    """A query looks when it wants to."""
    policy = the_policy(steps=f"steps: [{{name: a, command: {{argv: [x]}}, verify: [{{{verify}}}]}}]")
    assert list(policy_warnings([policy], {"urn:daily": DAY})) == []
