"""Drift and degradation together, the guard against virtual drift: retrain-ladder."""

import pytest

from tests.scenarios.story import broken, drift, fine, low, mended


@pytest.fixture
def story(play):
    """A Friday morning; a feature drifts, and costs nothing."""
    story = play("retrain-ladder", "bike-demand", begin="2025-03-28 08:00")
    story.measures |= {"v5": 61.0, "v6": 52.0}
    assert story.at("2025-03-28 09:00", drift("temperature", 0.4)) == ["uncorroborated"]
    return story


def test_both_together_start_one_retraining(story):
    """Quality falls beside the drift: one Workflow after the wait, proved by what v6 errs."""
    assert story.at("2025-03-28 15:00", low("mae", 61.0)) == ["no_policy_matched", "waiting"]
    assert story.at("2025-03-28 15:01", drift("humidity", 0.3)) == ["waiting"]
    assert story.at("2025-03-28 15:05") == ["remediate"]
    assert story.at("2025-03-28 16:00", drift("humidity", 0.3)) == ["waiting"]
    assert story.later("5m") == ["in_progress"]
    assert story.started == [("2025-03-28 15:05", "retrain-model", {"model": "bike-demand", "reason": "drift"})]
    story.rolled_out("v6")
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


def test_a_candidate_that_is_refused_is_for_people(story):
    """The Workflow says itself that it found nothing better: nothing is deployed, and people are told."""
    story.at("2025-03-28 15:00", low("mae", 61.0))
    story.later("5m")
    story.ends(verdict="refused")
    assert (story.endings, len(story.pages)) == (["Escalated none"], 1)
    assert story.objects.version("bike-demand") == "v5"


def test_one_that_helped_not_enough_is_for_people_too(story):
    """58 bikes an hour: better than 61, and not good; v6 stays, and people are told."""
    story.measures["v6"] = 58.0
    story.at("2025-03-28 15:00", low("mae", 61.0))
    story.later("5m")
    story.rolled_out("v6")
    story.later("13h")
    assert (story.endings, len(story.pages)) == (["Escalated unchanged"], 1)
    assert story.objects.version("bike-demand") == "v6"
