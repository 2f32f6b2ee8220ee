"""Ten thousand new labels: retrain-on-new-labels."""

import pytest

from tests.scenarios.story import broken, labels, mended


@pytest.fixture
def story(play):
    """A month of labels, which come in batches: 9,999 of them."""
    story = play("retrain-on-new-labels", "churn-predictor", begin="2025-03-01 08:00")
    story.measures |= {"v5": 0.80, "v6": 0.82}
    assert story.at("2025-03-03 20:00", labels(4_000)) == ["accumulating"]
    assert story.at("2025-03-17 20:00", labels(5_999)) == ["accumulating"]
    return story


def test_the_ten_thousandth_starts_one_retraining_with_all_of_that_evening(story):
    """One more, and an hour for the rest of the evening: one Workflow; the next needs ten thousand anew."""
    assert story.at("2025-03-30 01:30", labels(1)) == ["waiting"]
    assert story.at("2025-03-30 03:10", labels(500)) == ["waiting"]
    assert story.at("2025-03-30 03:30") == ["remediate"]
    assert story.started == [
        ("2025-03-30 03:30", "retrain-model", {"model": "churn-predictor", "reason": "new-labels"})
    ]
    story.rolled_out("v6")
    story.at("2025-03-31 08:00")
    assert story.endings == ["Succeeded recovered"]
    assert story.at("2025-04-14 20:00", labels(9_999)) == ["accumulating"]
    assert story.at("2025-04-14 21:00", labels(1)) == ["waiting"]
    assert story.later("1h") == ["remediate"]
    assert len(story.started) == 2


def test_9999_start_nothing(story):
    """Nor a batch of none, nor the same batch delivered twice."""
    story.send("ml.labels.available", id="batch", model="churn-predictor", count=0)
    story.send("ml.labels.available", id="batch", model="churn-predictor", count=0)
    assert set(story.answers()) == {"accumulating"}
    story.at("2025-04-20 08:00")
    assert story.started == []


def test_what_came_before_a_deployment_by_others_has_been_learnt_from(story):
    """Somebody has trained and deployed v6: the count begins anew."""
    story.at("2025-03-20 12:00")
    story.released("v6")
    assert story.at("2025-03-30 08:00", labels(9_999)) == ["accumulating"]
    assert story.at("2025-03-30 09:00", labels(1)) == ["waiting"]


def test_labels_of_more_than_sixty_days_ago_count_no_more(story):
    """3 March 20:00 and 60 days: the 4,000 have left the window."""
    assert story.at("2025-05-02 21:01", labels(4_000)) == ["accumulating"]
    assert story.at("2025-05-02 21:02", labels(1)) == ["waiting"]


def test_labels_that_came_on_broken_data_count_not_at_all(story):
    """Nor for a day after."""
    story.at("2025-03-20 08:00", broken())
    assert story.at("2025-03-20 09:00", labels(1)) == ["accumulating"]
    story.at("2025-03-20 10:00", mended())
    assert story.at("2025-03-21 09:59", labels(1)) == ["accumulating"]
    assert story.at("2025-03-21 10:01", labels(1)) == ["waiting"]
