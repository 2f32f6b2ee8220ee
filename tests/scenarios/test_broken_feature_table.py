"""Two models on one broken feature table: page-on-broken-feature-table."""

import pytest

from tests.scenarios.story import Said, drift

TABLE = {"dataset": "feast:customer_features", "model": None, "namespace": None}
BROKEN, MENDED = Said("ml.data.quality.failed", TABLE), Said("ml.data.quality.restored", TABLE)
FIVE = [drift(name, 0.6) for name in ("salary", "age_1", "age_2", "region", "grade")]


@pytest.fixture
def story(play):
    """Two models that read the table and one that does not; one of them would be retrained for wide drift."""
    policies = ("page-on-broken-feature-table", "retrain-on-wide-drift")
    return play(*policies, "salary-predictor", "churn-predictor", "bike-demand", begin="2025-03-28 05:00")


def test_people_are_told_after_a_quarter_of_an_hour_and_nothing_is_learnt_from_it(story):
    """Both models that read the table; what their detectors say meanwhile, and six hours after, starts nothing."""
    assert story.at("2025-03-28 06:00", BROKEN) == ["accumulating"] * 2
    assert story.at("2025-03-28 06:14", *FIVE) == ["accumulating"] * 5
    assert story.pages == []
    assert story.at("2025-03-28 06:15")[:2] == ["remediate"] * 2
    told = sorted(page.partition(":")[0] for page in story.pages)
    assert told == ["[P1] ml/churn-predictor", "[P1] ml/salary-predictor"]
    story.at("2025-03-28 09:00", MENDED)
    assert story.at("2025-03-28 14:59", *FIVE) == ["accumulating"] * 5
    assert story.started == []
    assert story.at("2025-03-28 15:01", *FIVE)[-1] == "waiting"
    assert story.at("2025-03-28 15:06") == ["remediate"]
    assert [about["model"] for _, _, about in story.started] == ["salary-predictor"]


def test_a_table_that_is_good_again_within_it_wakes_nobody(story):
    """14 minutes."""
    story.at("2025-03-28 06:00", BROKEN)
    story.at("2025-03-28 06:14", MENDED)
    story.at("2025-03-28 08:00")
    assert story.pages == []


def test_one_that_stays_broken_pages_again_after_four_hours_and_not_before(story):
    """The job says so every hour."""
    for hour in range(6, 15):
        story.at(f"2025-03-28 {hour:02}:00", BROKEN)
    assert len(story.pages) == 2 * 2


def test_a_feature_that_only_one_of_them_reads_is_the_matter_of_that_one(story):
    """`region` is not among what salary-predictor reads: it is told about churn-predictor alone, and is not held."""
    story.at("2025-03-28 06:00", Said(BROKEN.type, {**TABLE, "feature": "region"}))
    story.at("2025-03-28 06:15", *FIVE)
    assert [page.partition(":")[0] for page in story.pages] == ["[P1] ml/churn-predictor"]
    assert story.at("2025-03-28 06:20")[-1] == "remediate"
