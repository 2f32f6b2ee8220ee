"""Drift and degradation together, the guard against virtual drift: retrain-ladder."""

import pytest

from tests.scenarios.story import broken, calm, drift, fine, low, mended


@pytest.fixture
def story(play):
    """A Friday morning; a feature drifts, and costs nothing."""
    story = play("retrain-ladder", "bike-demand", begin="2025-03-28 08:00")
    assert story.at("2025-03-28 09:00", drift("temperature", 0.4)) == ["uncorroborated"]
    return story


def test_both_together_start_one_retraining(story):
    """Quality falls beside the drift: one Workflow after the wait, proved when both monitors say that it is over."""
    assert story.at("2025-03-28 15:00", low("mae", 61.0)) == ["no_policy_matched", "waiting"]
    assert story.at("2025-03-28 15:01", drift("humidity", 0.3)) == ["waiting"]
    assert story.at("2025-03-28 15:05") == ["remediate"]
    assert story.at("2025-03-28 16:00", drift("humidity", 0.3)) == ["waiting"]
    assert story.later("5m") == ["in_progress"]
    assert story.started == [("2025-03-28 15:05", "retrain-model", {"model": "bike-demand", "reason": "drift"})]
    story.rolled_out("v6")
    story.later("1h", calm())
    story.later("1h")
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []


def test_drift_alone_starts_nothing_for_as_long_as_it_lasts(story):
    """A week of drift, every day: the season has changed, and it costs nothing."""
    for day in (29, 30, 31):
        assert story.at(f"2025-03-{day} 09:00", drift("temperature", 0.4)) == ["uncorroborated"]
    assert story.started == []


def test_degradation_alone_starts_nothing(play):
    """Without drift, training anew on the same kind of data is no remedy."""
    story = play("retrain-ladder", "bike-demand", begin="2025-03-28 08:00")
    for hour in (9, 15, 21):
        assert story.at(f"2025-03-28 {hour:02}:00", low("mae", 61.0)) == ["no_policy_matched"]
    assert story.started == []


@pytest.mark.parametrize(("when", "answer"), [("2025-03-31 10:29", "waiting"), ("2025-03-31 10:31", "uncorroborated")])
def test_a_fall_that_is_over_counts_for_three_days(play, when, answer):
    """72 hours, with the hour that the clock skips within them; after that the drift stands alone."""
    story = play("retrain-ladder", "bike-demand", begin="2025-03-28 08:00")
    story.at("2025-03-28 09:30", low("mae", 61.0))
    story.at("2025-03-28 09:40", fine("mae"))
    assert story.at(when, drift("temperature", 0.4)) == [answer]


def test_not_on_broken_data_nor_for_six_hours_after(story):
    """What was measured on a broken feed starts nothing; what is measured six hours later does."""
    story.at("2025-03-28 09:30", broken())
    both = [low("mae", 61.0), drift("temperature", 0.4)]
    assert story.at("2025-03-28 10:00", *both) == ["no_policy_matched", "waiting", "waiting"]
    assert story.later("5m") == ["inhibited"]
    story.at("2025-03-28 12:00", mended())
    assert "remediate" not in story.at("2025-03-28 18:00")
    assert story.started == []
    assert story.at("2025-03-28 19:00", *both)[-1] == "remediate"
    assert len(story.started) == 1
