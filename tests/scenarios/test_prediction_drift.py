"""The predictions drift on seven days in a row: retrain-on-prediction-drift."""

import pytest

from tests.scenarios.story import calm, drift, fine, low, predictions

DRIFTED = predictions(0.31, threshold=0.2)
WEEK = [f"2025-10-{day} 06:00" for day in range(20, 27)]
"""Monday to the Sunday of 25 hours, on which summer time ends."""


@pytest.fixture
def story(play):
    """Six days of it, Monday to Saturday."""
    story = play("retrain-on-prediction-drift", "churn-predictor", begin="2025-10-19 06:00")
    for day in WEEK[:6]:
        assert story.at(day, DRIFTED) == ["accumulating"]
    return story


def test_the_seventh_day_starts_one_retraining_that_labels_judge_later(story):
    """One Workflow; a quiet day is an early sign, and the labels of November are the proof."""
    assert story.at(WEEK[6], DRIFTED) == ["waiting"]
    assert story.later("5m") == ["remediate"]
    assert story.started == [
        ("2025-10-26 06:05", "retrain-model", {"model": "churn-predictor", "reason": "prediction-drift"})
    ]
    story.rolled_out("v6")
    story.at("2025-10-27 06:00", calm())
    story.at("2025-10-28 06:00", calm())
    assert story.endings == ["Succeeded none"]
    assert story.at("2025-11-20 06:00", fine("f1", modelVersion="v6"))[-1:] != ["remediate"]
    assert story.endings == ["Succeeded recovered"]
    assert (len(story.started), story.pages) == (1, [])


@pytest.fixture
def provisional(story):
    """v6 serves, and its predictions do not drift."""
    story.at(WEEK[6], DRIFTED)
    story.later("5m")
    story.rolled_out("v6")
    story.at("2025-10-27 06:00", calm())
    story.at("2025-10-28 06:00", calm())
    return story


def test_labels_that_say_worse_bring_back_the_version_of_before(provisional):
    """Three weeks later F1 has fallen: v5 is brought back, and people are told."""
    provisional.at("2025-11-18 06:00", low("f1", 0.7, modelVersion="v6"))
    assert provisional.objects.version("churn-predictor") == "v5"
    assert provisional.endings[0] == "Succeeded worse"
    assert len(provisional.started) == 2
    assert provisional.pages


def test_without_labels_for_45_days_nobody_knows(provisional):
    """It is not called recovered, and people are told."""
    provisional.at("2025-12-11 06:00")
    assert provisional.endings == ["Succeeded none"]
    provisional.at("2025-12-13 06:00")
    assert provisional.endings == ["Succeeded unknown"]
    assert len(provisional.pages) == 1


@pytest.mark.parametrize(
    "seventh",
    [
        pytest.param(predictions(0.19, threshold=0.2), id="under its threshold"),
        pytest.param(drift("age", 0.31, threshold=0.2), id="a feature, not the predictions"),
        pytest.param(calm(), id="looked, and found nothing"),
        pytest.param(predictions(0.31, threshold=0.2, sampleCount=999), id="of too few rows"),
    ],
)
def test_six_days_start_nothing(story, seventh):
    """Nor six and another one after a day's gap."""
    assert "waiting" not in story.at(WEEK[6], seventh)
    assert story.at("2025-10-27 06:00", DRIFTED) == ["accumulating"]
    assert story.started == []


def test_a_day_on_which_nobody_looked_breaks_the_streak(story):
    """The eighth day is the first of a new one."""
    for day in (27, 28, 29, 30, 31):
        assert story.at(f"2025-10-{day} 06:00", DRIFTED) == ["accumulating"]
    assert story.at("2025-11-01 06:00", DRIFTED) == ["accumulating"]
    assert story.at("2025-11-02 06:00", DRIFTED) == ["waiting"]
