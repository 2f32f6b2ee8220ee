"""Accuracy below 92 % on three days in a row: retrain-on-low-accuracy."""

import pytest

from tests.scenarios.story import broken, calm, fine, low, mended

BAD = low("accuracy", 0.91)
RETRAIN = {
    "model": "salary-predictor",
    "reason": "low-accuracy",
    "version-in": "image",
    "version-name": "registry.example.com/salary:{version}",
}


@pytest.fixture
def story(play):
    """The last days of March; accuracy lay at 0.91 on Friday."""
    story = play("retrain-on-low-accuracy", "salary-predictor", begin="2025-03-28 08:00")
    story.measures |= {"v5": 0.91, "v6": 0.94}
    assert story.at("2025-03-28 09:00", BAD) == ["accumulating"]
    return story


def test_the_third_day_starts_one_retraining_which_the_new_versions_own_accuracy_proves(story):
    """Friday, Saturday, and the Sunday of 23 hours: one Workflow; proved by v6's figure, of which v5's is no part."""
    assert story.at("2025-03-29 09:00", BAD) == ["accumulating"]
    assert story.at("2025-03-30 09:00", low("accuracy", 0.9199)) == ["waiting"]
    assert story.at("2025-03-30 09:05") == ["remediate"]
    assert story.started == [("2025-03-30 09:05", "retrain-model", RETRAIN)]
    story.rolled_out("v6")
    assert "remediate" not in story.at("2025-03-31 09:00", BAD)
    assert story.at("2025-03-31 12:00") == []
    assert story.endings == ["Verifying none"]
    story.at("2025-03-31 12:30")
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []
    assert len(story.started) == 1


@pytest.fixture
def started(story):
    """The third day has come, and v6 serves."""
    story.at("2025-03-29 09:00", BAD)
    story.at("2025-03-30 09:00", BAD)
    assert story.later("5m") == ["remediate"]
    story.rolled_out("v6")
    return story


def test_a_version_that_is_worse_is_taken_back(started):
    """0.88 after 0.91: v5 is brought back, that is proved, and people are told; the cooldown keeps it at that."""
    started.measures["v6"] = 0.88
    started.at("2025-03-31 12:22")
    assert started.objects.version("salary-predictor") == "v5"
    started.promoted()
    started.at("2025-03-31 12:30", BAD)
    assert started.endings == ["Escalated worse"]
    assert [what for _, what, _ in started.started] == ["retrain-model", "rollout to"]
    assert len(started.pages) == 1


def test_a_version_of_which_nothing_is_measured_is_for_people(started):
    """No figure of v6 within three days: nobody knows, so people are told, and nothing is called recovered."""
    del started.measures["v6"]
    started.at("2025-04-03 12:00")
    assert started.endings == ["Escalated unknown"]
    assert len(started.pages) == 1


def test_where_the_accuracy_is_good_already_nothing_is_started(story):
    """The events are yesterday's figures; what Prometheus measures now is above 92 % again."""
    story.measures["v5"] = 0.93
    story.at("2025-03-29 09:00", BAD)
    story.at("2025-03-30 09:00", BAD)
    story.at("2025-03-30 09:30")
    assert story.started == []
    assert story.trail()[-1] == "Cancelled not_degraded"


@pytest.mark.parametrize(
    "saturday",
    [
        pytest.param((), id="no figure"),
        pytest.param((calm(),), id="looked, and found nothing"),
        pytest.param((fine("accuracy"),), id="good again"),
        pytest.param((low("accuracy", 0.92),), id="0.92 is not below 0.92"),
        pytest.param((low("f1", 0.5),), id="another metric"),
        pytest.param((low("accuracy", 0.5, slice="region=north"),), id="of one slice"),
        pytest.param((low("accuracy", 0.5, sampleCount=499),), id="of 499 samples"),
        pytest.param((broken(), low("accuracy", 0.5)), id="on broken data"),
    ],
)
def test_a_saturday_that_does_not_count_breaks_the_streak(story, saturday):
    """Friday and Sunday are two days, and not in a row; Monday makes it two, Tuesday three."""
    story.at("2025-03-29 09:00", *saturday)
    story.at("2025-03-29 10:00", *[mended() for each in saturday if each == broken()])
    assert story.at("2025-03-30 09:00", BAD) == ["accumulating"]
    assert story.at("2025-03-31 09:00", BAD) == ["accumulating"]
    assert story.started == []
    assert story.at("2025-04-01 09:00", BAD) == ["waiting"]
    assert story.later("5m") == ["remediate"]


def test_many_figures_of_two_days_are_two_days(story):
    """However often it is said."""
    for when in ("2025-03-28 12:00", "2025-03-28 23:59", "2025-03-29 00:01", "2025-03-29 23:59"):
        assert story.at(when, BAD) == ["accumulating"]
    assert story.started == []


def test_a_day_is_one_of_rome(story):
    """Saturday 23:30 and Sunday 00:30 are two days there and one in UTC; Sunday ends an hour early by winter's clock."""
    assert story.at("2025-03-29 23:30", BAD) == ["accumulating"]
    assert story.at("2025-03-30 00:30", BAD) == ["waiting"]


def test_the_short_sunday_ends_when_summer_time_says_so(play):
    """Monday 00:10 is Sunday 23:10 by winter's clock, and yet the third day."""
    story = play("retrain-on-low-accuracy", "salary-predictor", begin="2025-03-29 08:00")
    for when in ("2025-03-29 23:30", "2025-03-30 00:30", "2025-03-30 23:50"):
        assert story.at(when, BAD) == ["accumulating"]
    assert story.at("2025-03-31 00:10", BAD) == ["waiting"]
