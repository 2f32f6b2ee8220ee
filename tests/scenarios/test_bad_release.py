"""A new version that serves badly goes back to the last one known to be good: roll-back-bad-release."""

import pytest

from tests.scenarios.story import calm, low

BAD = low("accuracy", 0.88, modelVersion="salary-predictor-v6")


@pytest.fixture
def story(play):
    """v5 has served well for a week; on Thursday evening v6 is released, and gets all traffic."""
    story = play("roll-back-bad-release", "salary-predictor", begin="2025-03-20 08:00")
    story.measures |= {"v5": 0.94, "v6": 0.88}
    for day in range(21, 28):
        story.at(f"2025-03-{day} 08:00", calm())
    story.at("2025-03-27 18:00")
    story.released("v6")
    return story


def test_two_bad_windows_put_back_the_version_of_before(story):
    """Once is accumulating, twice acts at once: v5 serves again, proved by its own accuracy."""
    assert story.at("2025-03-27 19:00", BAD) == ["accumulating"]
    assert story.at("2025-03-27 20:00", BAD) == ["remediate"]
    assert story.started == [("2025-03-27 20:00", "rollout to", {"to": "v5"})]
    assert story.objects.version("salary-predictor") == "v5"
    story.promoted()
    story.at("2025-03-27 21:00")
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(low("accuracy", 0.9, modelVersion="salary-predictor-v6"), id="0.9 is not below 0.9"),
        pytest.param(low("accuracy", 0.5), id="of no version in particular"),
        pytest.param(low("accuracy", 0.5, modelVersion="salary-predictor-v5"), id="of the version of before"),
        pytest.param(low("accuracy", 0.5, modelVersion="v6", sampleCount=499), id="of 499 samples"),
        pytest.param(low("f1", 0.5, modelVersion="salary-predictor-v6"), id="another metric"),
    ],
)
def test_one_bad_window_puts_nothing_back(story, again):
    """Whatever else is said that is no second one."""
    story.at("2025-03-27 19:00", BAD)
    assert story.at("2025-03-27 20:00", again)[0] in ("condition_false", "stale", "too_few_samples")
    assert story.started == []


def test_a_second_window_two_hours_later_is_another_first(story):
    """Two hours."""
    story.at("2025-03-27 19:00", BAD)
    assert story.at("2025-03-27 21:00", BAD) == ["accumulating"]


def test_after_two_days_it_is_no_release_any_more(story):
    """On Saturday at 18:00 it has aged; so near the change of the clocks, 48 hours are what they are."""
    assert story.at("2025-03-29 17:59", BAD) == ["accumulating"]
    assert story.at("2025-03-29 18:01", BAD) == ["condition_false"]
    assert story.started == []


def test_without_a_version_known_to_be_good_people_are_told(play):
    """v5 had served for an hour only when v6 came: nobody knows that it is any better."""
    story = play("roll-back-bad-release", "salary-predictor", begin="2025-03-27 17:00")
    story.at("2025-03-27 18:00")
    story.released("v6")
    story.at("2025-03-27 19:00", BAD)
    story.at("2025-03-27 20:00", BAD)
    assert story.objects.version("salary-predictor") == "v6"
    assert story.endings == ["Escalated none"]
    assert len(story.pages) == 1


def test_it_takes_the_model_over_from_a_retraining(play):
    """v6 is brought by hand while a retraining runs, and is bad: the Workflow is stopped first, then v5 serves again."""
    story = play("roll-back-bad-release", "retrain-on-f1-under-baseline", "salary-predictor", begin="2025-03-20 08:00")
    story.measures |= {"v5": 0.87, "v6": 0.8}
    for day in range(21, 28):
        story.at(f"2025-03-{day} 08:00", calm())
    story.at("2025-03-28 09:00", low("f1", 0.87))
    assert story.at("2025-03-28 11:05")[-1] == "remediate"
    story.at("2025-03-28 12:00")
    story.released("v6")
    story.at("2025-03-28 12:30", BAD)
    assert "remediate" in story.at("2025-03-28 13:00", BAD)
    assert [what for _, what, _ in story.started] == ["retrain-model"]
    story.ends("Failed", "stopped")
    assert story.started[1] == ("2025-03-28 13:00", "rollout to", {"to": "v5"})
    assert story.endings[0] == "Cancelled none"


def test_it_waits_for_no_monday(play):
    """Released on Friday at 17:00, bad on Friday night: the weekend's freeze holds it not."""
    story = play("roll-back-bad-release", "freeze-weekends", "salary-predictor", begin="2025-03-24 08:00")
    for day in range(25, 29):
        story.at(f"2025-03-{day} 08:00", calm())
    story.at("2025-03-28 17:00")
    story.released("v6")
    story.at("2025-03-28 22:00", BAD)
    assert story.at("2025-03-28 23:00", BAD) == ["remediate"]
    assert story.started == [("2025-03-28 23:00", "rollout to", {"to": "v5"})]
