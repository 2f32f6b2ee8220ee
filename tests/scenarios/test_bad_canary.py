"""A canary with more than 5 % errors is aborted at once: abort-bad-canary."""

import pytest

from tests.scenarios.story import low

V6 = "salary-predictor-v6"


@pytest.fixture
def story(play):
    """Saturday night, an hour before the clock skips one; v6 has a fifth of the traffic."""
    story = play("abort-bad-canary", "salary-predictor", begin="2025-03-30 01:00")
    story.objects.release("salary-predictor", "v6")
    story.settle()
    assert story.objects.weight("salary-predictor") == 20
    return story


def test_it_is_aborted_at_once_and_once(story):
    """The first event aborts it, nothing waits; all traffic is on v5 again, and that is proved; the next finds it so."""
    assert story.at("2025-03-30 01:59", low("error_rate", 0.08, modelVersion=V6)) == ["remediate"]
    assert story.started == [("2025-03-30 01:59", "rollout abort", {})]
    assert story.objects.weight("salary-predictor") == 0
    assert story.at("2025-03-30 03:01") == []
    assert story.endings == ["Succeeded recovered"]
    assert story.at("2025-03-30 03:05", low("error_rate", 0.08, modelVersion=V6))[-1] in ("cooldown", "stale")
    assert len(story.started) == 1
    assert story.pages == []


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(low("error_rate", 0.05, modelVersion=V6), id="5 % is not more than 5 %"),
        pytest.param(low("latency_p95", 400.0, modelVersion=V6), id="another metric"),
        pytest.param(low("error_rate", 0.5), id="of no version in particular"),
    ],
)
def test_what_says_nothing_of_the_canarys_errors_aborts_nothing(story, said):
    """The canary goes on."""
    assert story.at("2025-03-30 01:59", said) == ["condition_false"]
    assert story.started == []
    assert story.objects.weight("salary-predictor") == 20
