"""Nothing is changed from Friday 18:00 to Monday 08:00: freeze-weekends, beside policies that would."""

import pytest

from tests.scenarios.story import broken, fine, low, rome

BAD = low("f1", 0.87)


@pytest.fixture
def story(play):
    """A Friday in April."""
    names = ("freeze-weekends", "retrain-on-f1-under-baseline", "abort-bad-canary", "page-on-broken-feed")
    story = play(*names, "salary-predictor", begin="2025-04-04 08:00")
    story.measures["v5"] = 0.87
    return story


def test_what_falls_due_in_it_is_asked_again_on_monday(story):
    """Two hours under the baseline are full on Friday at 18:00: frozen, as often as it is said until Monday."""
    story.at("2025-04-04 15:56", BAD)
    assert story.at("2025-04-04 18:01") == ["waiting", "frozen"]
    for when in ("2025-04-05 02:00", "2025-04-06 02:00", "2025-04-07 02:00", "2025-04-07 07:58"):
        said = story.at(when, BAD)
        assert {"frozen", "waiting"} & set(said)
        assert "remediate" not in said
    assert story.at("2025-04-07 08:00")[-1:] != ["remediate"]
    assert story.at("2025-04-07 10:06").count("remediate") == 1
    assert [what for _, what, _ in story.started] == ["retrain-model"]
    assert story.pages == []


def test_a_minute_before_it_begins_it_still_starts(story):
    """17:59 is not the weekend."""
    story.at("2025-04-04 15:53", BAD)
    assert story.at("2025-04-04 17:59") == ["waiting", "remediate"]


def test_what_is_good_again_by_monday_is_not_retrained(story):
    """The freeze holds the question, not the answer: it is over, so nothing starts."""
    story.at("2025-04-05 09:00", BAD)
    assert story.at("2025-04-05 11:10")[-1] == "frozen"
    story.at("2025-04-06 09:00", fine("f1"))
    assert "remediate" not in story.at("2025-04-07 12:00")
    assert story.started == []


def test_a_bad_canary_is_aborted_in_the_middle_of_it_and_people_are_paged(story):
    """What gives traffic back, and what wakes people, waits for no Monday."""
    story.objects.release("salary-predictor", "v6")
    story.settle()
    story.at("2025-04-05 03:00", low("error_rate", 0.08, modelVersion="salary-predictor-v6"))
    assert story.started == [("2025-04-05 03:00", "rollout abort", {})]
    story.at("2025-04-05 04:00", broken())
    story.at("2025-04-05 04:20")
    assert len(story.pages) == 1


@pytest.mark.parametrize(
    ("friday", "last", "after"),
    [
        ("2025-03-28", "2025-03-31 08:59", "2025-03-31 11:06"),  # the Sunday between has 23 hours
        ("2025-10-24", "2025-10-27 06:59", "2025-10-27 09:06"),  # and this one 25
    ],
)
def test_it_lasts_62_hours_also_where_the_clocks_change(play, friday, last, after):
    """So it ends on Monday an hour later, or earlier, by the clock; and no later than its spread after that."""
    story = play("freeze-weekends", "retrain-on-f1-under-baseline", "salary-predictor", begin=f"{friday} 15:00")
    story.measures["v5"] = 0.87
    story.at(f"{friday} 15:56", BAD)
    for _ in range(12):
        story.later("5h", BAD)
    assert story.clock() < rome(last)
    story.at(last, BAD)
    assert story.started == []
    assert "remediate" in story.at(after)
    assert len(story.started) == 1
