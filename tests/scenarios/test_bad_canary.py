"""A canary with more than 5 % errors is aborted at once: abort-bad-canary."""

import pytest

from tests.scenarios.story import broken, low

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
    assert story.at("2025-03-30 03:05", low("error_rate", 0.08, modelVersion=V6)) == ["stale"]
    assert len(story.started) == 1
    assert story.pages == []


def test_broken_data_does_not_hold_it(story):
    """What holds a retraining does not hold what only gives the traffic back."""
    story.at("2025-03-30 01:30", broken())
    assert story.at("2025-03-30 01:59", low("error_rate", 0.08, modelVersion=V6)) == ["remediate"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(low("error_rate", 0.05, modelVersion=V6), id="5 % is not more than 5 %"),
        pytest.param(low("latency_p95", 400.0, modelVersion=V6), id="another metric"),
        pytest.param(low("error_rate", 0.5), id="of no version in particular"),
        pytest.param(low("error_rate", 0.5, modelVersion="salary-predictor-v5"), id="of the stable version"),
    ],
)
def test_what_says_nothing_of_the_canarys_errors_aborts_nothing(story, said):
    """The canary goes on."""
    assert story.at("2025-03-30 01:59", said) == ["condition_false"]
    assert story.started == []
    assert story.objects.weight("salary-predictor") == 20


def test_a_version_that_is_gone_aborts_no_other(story):
    """A late word about v4, while v6 is the canary."""
    late = low("error_rate", 0.5, modelVersion="salary-predictor-v4")
    assert story.at("2025-03-30 01:59", late) == ["stale"]
    assert story.objects.weight("salary-predictor") == 20


def test_the_next_bad_release_is_aborted_too(story):
    """v6 on Sunday, v7 on Monday: no cooldown of days stands in its way."""
    story.at("2025-03-30 01:59", low("error_rate", 0.08, modelVersion=V6))
    story.at("2025-03-31 10:00")
    story.objects.release("salary-predictor", "v5")
    story.objects.release("salary-predictor", "v7")
    story.settle()
    assert story.at("2025-03-31 10:05", low("error_rate", 0.3, modelVersion="v7")) == ["remediate"]
    assert [what for _, what, _ in story.started] == ["rollout abort", "rollout abort"]
