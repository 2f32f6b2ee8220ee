"""Two models that drift on one broken feature table: retrain-unless-shared-cause."""

import pytest

from tests.scenarios.story import broken, drift

CHURN, CREDIT = drift("salary", 0.6), drift("age_1", 0.5, model="credit-risk")


@pytest.fixture
def story(play):
    """Two models that read one table."""
    return play("retrain-unless-shared-cause", "churn-predictor", "credit-risk", begin="2025-03-28 05:00")


def test_two_that_drift_within_ten_minutes_are_not_retrained_and_people_are_told_once(story):
    """Another feature of the same table is the same cause; what they say later that day starts nothing, either."""
    assert story.at("2025-03-28 06:00", CHURN) == ["waiting"]
    story.at("2025-03-28 06:08", CREDIT)
    assert "remediate" not in story.at("2025-03-28 06:30")
    assert {row.reason for row in story.decisions() if row.reason} >= {"shared_cause"}
    story.at("2025-03-28 12:00", CHURN, CREDIT)
    story.at("2025-03-28 12:30")
    assert story.started == []
    assert len(story.told_of_a_shared_cause) == 1


def test_one_alone_is_retrained(story):
    """The other one drifts half an hour later: two causes, and two retrainings."""
    story.at("2025-03-28 06:00", CHURN)
    assert story.at("2025-03-28 06:10") == ["remediate"]
    story.at("2025-03-28 06:30", CREDIT)
    assert story.at("2025-03-28 06:40") == ["remediate"]
    assert [about["model"] for _, _, about in story.started] == ["churn-predictor", "credit-risk"]
    assert story.told_of_a_shared_cause == []


def test_a_feature_of_another_table_is_another_cause(story):
    """credit-risk does not read `region` from that table."""
    story.at("2025-03-28 06:00", CHURN)
    story.at("2025-03-28 06:05", drift("region", 0.6, model="credit-risk"))
    story.at("2025-03-28 06:30")
    assert len(story.started) == 2


def test_what_is_known_to_be_broken_counts_for_nothing(story):
    """A feed of one model is said to be broken: its drift is no second model."""
    story.at("2025-03-28 05:50", broken(model="credit-risk"))
    story.at("2025-03-28 06:00", CHURN)
    story.at("2025-03-28 06:05", CREDIT)
    story.at("2025-03-28 06:30")
    assert [about["model"] for _, _, about in story.started] == ["churn-predictor"]
