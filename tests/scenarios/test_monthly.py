"""On the first of each month: retrain-monthly."""

import pytest

from tests.scenarios.story import broken, mended, rome

ABOUT = {"model": "bike-demand", "reason": "monthly"}


@pytest.fixture
def story(play):
    """The policy is brought into force in February."""
    story = play("retrain-monthly", "bike-demand", begin="2025-02-20 12:00")
    story.measures |= {"v5": 50.0, "v6": 49.0}
    return story


def test_each_month_starts_one_retraining_at_the_same_hour_of_its_clock(story):
    """Not at once; on 1 March within six hours after three, and on 1 April at the same hour, though summer has come."""
    assert story.at("2025-03-01 02:59") == []
    assert story.at("2025-03-01 09:00") == ["remediate"]
    story.rolled_out("v6")
    assert story.at("2025-04-01 02:59") == []
    assert story.at("2025-04-01 09:00") == ["remediate"]
    march, april = story.started
    assert "2025-03-01 03:00" <= march[0] < "2025-03-01 09:00"
    assert (april[0], *april[1:]) == (march[0].replace("-03-", "-04-"), "retrain-model", ABOUT)


def test_it_is_recovered_when_it_is_not_worse(story):
    """Nothing was wrong, so 54 bikes an hour after 50 are proof enough."""
    story.at("2025-03-01 09:00")
    story.measures["v6"] = 54.0
    story.rolled_out("v6")
    story.later("2h")
    assert story.endings == ["Succeeded recovered"]
    assert story.pages == []


def test_one_that_is_worse_is_taken_back(story):
    """56 after 50: v5 serves again, and people are told."""
    story.at("2025-03-01 09:00")
    story.measures["v6"] = 56.0
    story.rolled_out("v6")
    story.later("91m")
    assert story.objects.version("bike-demand") == "v5"
    story.promoted()
    story.later("5m")
    assert story.endings == ["Escalated worse"]
    assert len(story.pages) == 1


def test_one_that_was_missed_is_made_good_within_two_days(story):
    """Stopped over the first of the month: started late, once, within `maxAge`."""
    stopped(story, until="2025-03-02 12:00")
    assert story.answers() == ["remediate"]
    assert [what for _, what, _ in story.started] == ["retrain-model"]


def test_one_that_was_missed_by_more_is_left_out(story):
    """Stopped until the fifth: the next one is April's."""
    stopped(story, until="2025-03-05 12:00")
    assert story.started == []
    story.at("2025-04-01 09:00")
    assert len(story.started) == 1


def stopped(story, *, until):
    """Nothing runs until then."""
    story.clock.now = rome(until)
    story.crash()
    story.settle()


def test_broken_data_puts_it_off_until_it_may_be_learnt_from(story):
    """Until six hours after it is good again, and no longer than `maxAge`."""
    story.at("2025-02-28 12:00", broken())
    assert story.at("2025-03-01 09:00") == ["inhibited"]
    story.at("2025-03-01 10:00", mended())
    assert story.at("2025-03-01 15:59") == []
    assert story.at("2025-03-01 16:00") == ["remediate"]


def test_a_month_of_broken_data_is_left_out(story):
    """Good again on the fourth, it is too late for March; April's comes as ever."""
    story.at("2025-02-28 12:00", broken())
    story.at("2025-03-04 10:00", mended())
    story.at("2025-03-31 12:00")
    assert story.started == []
    story.at("2025-04-01 09:00")
    assert len(story.started) == 1
