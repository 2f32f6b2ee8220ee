"""PSI above 0.25 on five features: retrain-on-wide-drift."""

import pytest

from tests.scenarios.story import broken, calm, drift, fine, mended, predictions

FOUR = [drift(name, 0.31) for name in ("salary", "age", "tenure", "region")]
RETRAIN = {
    "model": "salary-predictor",
    "reason": "wide-drift",
    "version-in": "image",
    "version-name": "registry.example.com/salary:{version}",
}


@pytest.fixture
def story(play):
    """Friday morning; four features have drifted."""
    story = play("retrain-on-wide-drift", "salary-predictor", begin="2025-03-28 08:00")
    assert story.at("2025-03-28 09:00", *FOUR) == ["accumulating"] * 4
    return story


def test_the_fifth_feature_starts_one_retraining_which_a_quiet_day_and_the_labels_prove(story):
    """Five features: one Workflow after the wait; the next daily report is a sign, and the labels of April the proof."""
    assert story.at("2025-03-28 09:01", drift("grade", 0.26)) == ["waiting"]
    assert story.at("2025-03-28 09:02", drift("bonus", 0.4)) == ["waiting"]
    assert story.at("2025-03-28 09:07") == ["remediate"]
    assert story.at("2025-03-28 09:30", drift("bonus", 0.4)) == ["waiting"]
    assert story.later("5m") == ["in_progress"]
    assert story.started == [("2025-03-28 09:06", "retrain-model", RETRAIN)]
    story.rolled_out("v6")
    story.at("2025-03-29 09:00", calm())
    story.at("2025-03-30 13:00")
    assert story.endings == ["Succeeded none"]
    story.at("2025-04-20 09:00", fine("accuracy", modelVersion="v6"))
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []


@pytest.mark.parametrize(
    "fifth",
    [
        pytest.param(drift("salary", 0.6), id="one of the four"),
        pytest.param(drift("grade", 0.25), id="0.25 is not above 0.25"),
        pytest.param(drift("grade", 0.6, method="wasserstein"), id="not a PSI"),
        pytest.param(predictions(0.6, method="psi"), id="predictions are no feature"),
        pytest.param(drift("grade", 0.6, sampleCount=999), id="too few rows"),
    ],
)
def test_four_features_start_nothing_whatever_else_comes(story, fifth):
    """What is no fifth feature, by a PSI above 0.25 of enough rows, starts nothing."""
    answer = story.at("2025-03-28 10:00", fifth)
    assert answer[0] in ("accumulating", "condition_false", "condition_error", "too_few_samples")
    assert story.at("2025-03-30 10:00") == []
    assert story.started == []


def test_a_fifth_feature_a_day_later_starts_nothing(story):
    """The window is a day, also where the clock skips an hour within it."""
    assert story.at("2025-03-29 09:00", drift("grade", 0.4)) == ["accumulating"]
    assert story.at("2025-03-30 09:30", *FOUR[:3]) == ["accumulating"] * 3
    assert story.started == []


def test_nothing_is_learnt_from_a_broken_feed(story):
    """What came while the data was broken, and until six hours after, is no evidence; it is measured anew."""
    story.at("2025-03-28 09:01", broken())
    assert story.at("2025-03-28 09:02", drift("grade", 0.4)) == ["accumulating"]
    story.at("2025-03-28 12:00", mended())
    assert story.at("2025-03-28 17:59", drift("grade", 0.4)) == ["accumulating"]
    assert story.at("2025-03-28 18:01", drift("grade", 0.4)) == ["waiting"]
    assert story.at("2025-03-28 18:06") == ["remediate"]
    assert len(story.started) == 1


def test_drift_that_stays_is_retrained_for_a_week_later_and_then_no_more(story):
    """It did not help: people are told; the cooldown of a week holds, and after a second failure the breaker."""
    report = [*FOUR, drift("grade", 0.4)]
    story.at("2025-03-28 09:01", report[-1])
    story.later("5m")
    story.rolled_out("v6")
    for day in ("2025-03-29", "2025-03-30", "2025-03-31"):
        story.at(f"{day} 09:30", *report)
    story.at("2025-03-31 20:00")
    assert story.endings == ["Escalated unchanged"]
    for day in range(1, 8):
        assert "remediate" not in story.at(f"2025-04-{day:02} 09:30", *report)
    assert story.at("2025-04-07 10:05") == []
    assert story.at("2025-04-07 10:07") == ["remediate"]
    story.ends("Failed", "the data does not validate")
    assert story.endings == ["Escalated unchanged", "Escalated none"]
    assert len(story.pages) == 2
    story.at("2025-05-01 09:30", *report)
    assert story.later("5m") == ["breaker_open"]
    assert len(story.started) == 2
