"""Thirty days since the last training: retrain-when-old."""

import pytest

from tests.scenarios.story import broken, mended, trained

ABOUT = {"model": "bike-demand", "reason": "thirty-days"}


@pytest.fixture
def story(play):
    """Somebody trained the model on 27 February, at noon."""
    story = play("retrain-when-old", "bike-demand", begin="2025-02-20 08:00")
    story.measures |= {"v5": 50.0, "v6": 49.0}
    assert story.at("2025-02-27 12:00", trained()) == ["no_policy_matched"]
    return story


def test_thirty_days_after_it_one_retraining_starts_and_thirty_after_that_another(story):
    """Not a minute before; days are of 24 hours, so after summer time has begun it is an hour later by the clock."""
    assert story.at("2025-03-29 11:59") == []
    assert story.at("2025-03-29 12:00") == ["remediate"]
    assert story.started == [("2025-03-29 12:00", "retrain-model", ABOUT)]
    story.rolled_out("v6")
    assert story.at("2025-03-30 12:00") == []
    assert story.endings == ["Succeeded recovered"]
    assert story.at("2025-04-28 12:59") == []
    assert story.at("2025-04-28 13:00") == ["remediate"]
    assert len(story.started) == 2


def test_a_training_by_others_starts_the_thirty_days_anew(story):
    """Trained by hand on 20 March: nothing in March, and on 19 April it is due."""
    story.at("2025-03-20 12:00", trained())
    assert story.at("2025-04-19 12:59") == []
    assert story.at("2025-04-19 13:00") == ["remediate"]


def test_a_model_of_which_no_training_is_known_counts_from_when_the_policy_came(play):
    """Thirty days after the policy was brought into force, and not at once."""
    story = play("retrain-when-old", "bike-demand", begin="2025-02-20 08:00")
    assert story.at("2025-03-22 07:59") == []
    assert story.at("2025-03-22 08:00") == ["remediate"]


def test_one_that_falls_due_on_broken_data_waits_for_good_data(story):
    """Until six hours after its end, and not for another thirty days."""
    story.at("2025-03-29 11:00", broken())
    assert story.at("2025-03-29 12:00") == ["inhibited"]
    story.at("2025-03-29 13:00", mended())
    assert story.at("2025-03-29 18:59") == []
    assert story.at("2025-03-29 19:00") == ["remediate"]


def test_a_candidate_that_is_no_better_is_told_to_people_and_tried_again_thirty_days_later(story):
    """The model that serves stays, and is not trained anew every day."""
    story.at("2025-03-29 12:00")
    story.ends(verdict="refused")
    assert (story.endings, len(story.pages)) == (["Escalated none"], 1)
    story.at("2025-04-27 12:00")
    assert len(story.started) == 1
