"""F1 more than 5 % under its baseline of 0.93, that is below 0.8835: retrain-on-f1-under-baseline."""

import pytest

from tests.scenarios.story import broken, fine, low


@pytest.fixture
def story(play):
    """A Friday morning."""
    story = play("retrain-on-f1-under-baseline", "salary-predictor", begin="2025-03-28 08:00")
    story.measures |= {"v5": 0.87, "v6": 0.9}
    return story


def test_two_hours_under_it_start_one_retraining_which_the_new_versions_own_f1_proves(story):
    """0.883 for two hours: one Workflow, proved by v6's F1 of an hour."""
    assert story.at("2025-03-28 09:00", low("f1", 0.883)) == ["accumulating"]
    assert story.at("2025-03-28 10:00", low("f1", 0.87)) == ["accumulating"]
    assert story.at("2025-03-28 10:59") == []
    assert story.at("2025-03-28 11:00") == ["waiting"]
    assert story.at("2025-03-28 11:05") == ["remediate"]
    story.at("2025-03-28 11:06", low("f1", 0.87))
    assert story.later("5m") == ["in_progress"]
    assert [(when, what) for when, what, _ in story.started] == [("2025-03-28 11:05", "retrain-model")]
    story.at("2025-03-28 11:11")
    story.rolled_out("v6")
    story.at("2025-03-28 12:34")
    assert story.endings == ["Verifying none"]
    story.at("2025-03-28 12:42")
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        pytest.param(low("f1", 0.8835), "condition_false", id="just 5 % under it"),
        pytest.param(low("accuracy", 0.5), "condition_false", id="another metric"),
        pytest.param(low("f1", 0.7, slice="region=north"), "condition_false", id="of one slice"),
        pytest.param(low("f1", 0.7, sampleCount=499), "too_few_samples", id="of 499 samples"),
    ],
)
def test_what_is_no_fall_of_the_whole_models_f1_starts_nothing(story, said, answer):
    """Neither at once, nor when it stays."""
    for hour in (9, 10, 11, 12):
        assert story.at(f"2025-03-28 {hour:02}:00", said) == [answer]
    assert story.started == []


def test_one_that_recovers_a_minute_before_starts_nothing(story):
    """One hour and 59 minutes are an accident; what comes after begins anew."""
    story.at("2025-03-28 09:00", low("f1", 0.8))
    story.at("2025-03-28 10:59", fine("f1"))
    assert story.at("2025-03-28 11:30", low("f1", 0.8)) == ["accumulating"]
    assert story.at("2025-03-28 13:29") == []
    assert story.started == []


def test_while_the_data_is_broken_nothing_is_learnt_from_it(story):
    """A broken feed lowers F1, too: not the model's fault."""
    story.at("2025-03-28 08:30", broken(feature="salary"))
    assert story.at("2025-03-28 09:00", low("f1", 0.7)) == ["accumulating"]
    assert story.at("2025-03-28 12:00") == ["waiting", "inhibited"]
    assert story.started == []


def test_a_candidate_that_is_no_better_is_told_to_people_and_not_trained_again_at_once(story):
    """The Workflow refuses its candidate: people are told, and for a day nothing more is tried."""
    story.at("2025-03-28 09:00", low("f1", 0.87))
    story.at("2025-03-28 11:05")
    story.ends(verdict="refused")
    assert story.endings == ["Escalated none"]
    assert len(story.pages) == 1
    assert set(story.at("2025-03-28 12:00", low("f1", 0.87))) == {"cooldown"}
    story.at("2025-03-28 16:00")
    assert len(story.started) == 1
