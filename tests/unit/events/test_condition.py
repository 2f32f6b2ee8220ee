"""Conditions: what opens, renews and ends them, by event time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.events import Condition, Event, condition_id, ended_by, ended_by_person, opened_or_renewed, repeated

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOON = datetime(2025, 1, 23, 12, tzinfo=UTC)


def event(hours: float = 0, **other: Any) -> Event:
    """A drift event about one feature, `hours` after noon."""
    plain = Event(
        source="urn:d", id=f"e{hours}", type="ml.data.drift.detected", subject=None, time=NOON + hours * HOUR,
        time_marked=False, namespace=None, model="m", dataset=None, version=None, family="drift", over=False,
        about="feature=salary", data={}, extensions={}, digest="",
    )  # fmt: skip
    return replace(plain, **other)


def over(hours: float, **other: Any) -> Event:
    return event(hours, **({"type": "ml.data.drift.resolved", "over": True} | other))


def opened(hours: float = 0) -> Condition:
    condition = opened_or_renewed(None, event(hours), "ml", 1, NOON + hours * HOUR, DAY)
    assert condition is not None
    return condition


def test_an_event_opens_its_condition():
    """A first event opens a condition under its whole key."""
    condition = opened()
    assert condition.id == condition_id("urn:d", "model", "ml", "m", "drift", "feature=salary")
    assert (condition.since, condition.last_seen, condition.renewed_at, condition.ended) == (NOON, NOON, NOON, None)
    assert condition.expires == NOON + DAY


def test_a_later_event_renews_it():
    """Its age stays; last seen, the newest event and the expiry move."""
    condition = opened_or_renewed(opened(), event(2), "ml", 7, NOON + 3 * HOUR, DAY)
    assert condition is not None
    assert (condition.since, condition.last_seen, condition.event_seq) == (NOON, NOON + 2 * HOUR, 7)
    assert (condition.renewed_at, condition.expires) == (NOON + 3 * HOUR, NOON + 3 * HOUR + DAY)


def test_an_older_event_renews_but_is_not_the_newest():
    """Events may come out of order: the newest by time stays the newest."""
    condition = opened_or_renewed(opened(2), event(1), "ml", 7, NOON + 3 * HOUR, DAY)
    assert condition is not None
    assert (condition.last_seen, condition.event_seq, condition.renewed_at) == (NOON + 2 * HOUR, 1, NOON + 3 * HOUR)


@pytest.mark.parametrize(("hours", "moves"), [(0.5, False), (1, False), (1.1, True)])
def test_an_event_not_later_than_the_end_moves_nothing(hours: float, moves: bool):
    """What is over is reopened only by an event later than its end."""
    ended = ended_by(opened(), over(1), "ml")
    assert ended is not None
    again = opened_or_renewed(ended, event(hours), "ml", 9, NOON + 5 * HOUR, DAY)
    assert (again is not None) is moves
    if again is not None:
        assert (again.id, again.since, again.ended, again.ended_by) == (ended.id, NOON + hours * HOUR, None, None)


@pytest.mark.parametrize(
    ("ending", "ends"),
    [
        (over(1), True),
        (over(0), True),  # at the same moment: over wins, in either order
        (over(-0.1), False),  # speaks of an earlier moment
        (over(1, about=""), True),  # names none: all of them
        (over(1, about="feature=age"), False),
        (over(1, family="performance"), False),
        (over(1, source="urn:other"), False),
        (over(1, model="n"), False),
        (over(1, family=None, about="", type="ml.monitor.checked"), True),  # all families
        (event(1), False),
    ],
)
def test_what_ends_a_condition(ending: Event, ends: bool):
    """An "it is over" event ends its own source's conditions of its model and family with its key, by event time."""
    ended = ended_by(opened(), ending, "ml")
    assert (ended is not None) is ends
    if ended is not None:
        assert (ended.ended, ended.ended_by) == (ending.time, f"event:{ending.id}")


def test_another_namespace_is_another_model():
    """The same name elsewhere is not the same model."""
    assert ended_by(opened(), over(1), "shop") is None


def test_an_end_stays_where_it_fell():
    """Further "it is over" events do not move the end: what holds for 6h after it must not hold for ever."""
    ended = ended_by(opened(), over(1), "ml")
    assert ended is not None
    assert ended_by(ended, over(2), "ml") is None


def test_states_follow_from_now():
    """Open until it expires, then unknown; over once ended, whatever the clock says."""
    condition = opened()
    assert [condition.state(NOON + DAY - HOUR), condition.state(NOON + DAY)] == ["open", "unknown"]
    ended = ended_by(condition, over(1), "ml")
    assert ended is not None
    assert ended.state(NOON + 9 * DAY) == "over"


def test_unknown_is_renewed_as_the_same_condition():
    """A detector that comes back after its condition expired speaks of the same condition."""
    condition = opened_or_renewed(opened(), event(48), "ml", 2, NOON + 48 * HOUR, DAY)
    assert condition is not None
    assert (condition.since, condition.state(NOON + 49 * HOUR)) == (NOON, "open")


def test_moments_and_endings_open_nothing():
    """Labels, deployments and "it is over" events open no condition."""
    assert opened_or_renewed(None, event(family=None), "ml", 1, NOON, DAY) is None
    assert opened_or_renewed(None, over(0), "ml", 1, NOON, DAY) is None


def test_repetitions_renew_and_reopen_nothing():
    """A stateful source's repetition renews what is open or unknown, and leaves alone what is over."""
    again = repeated(opened(), NOON + 4 * HOUR, NOON + 4 * HOUR, DAY)
    assert again is not None
    assert (again.since, again.last_seen, again.expires) == (NOON, NOON + 4 * HOUR, NOON + 4 * HOUR + DAY)
    ended = ended_by(opened(), over(1), "ml")
    assert ended is not None
    assert repeated(ended, NOON + 4 * HOUR, NOON + 4 * HOUR, DAY) is None


def test_a_person_ends_a_condition_once():
    """An operator's end carries the name, and comes once."""
    ended = ended_by_person(opened(), "ada", NOON + HOUR)
    assert ended is not None
    assert (ended.ended, ended.ended_by) == (NOON + HOUR, "operator:ada")
    assert ended_by_person(ended, "ada", NOON + 2 * HOUR) is None


def test_ids_tell_keys_apart():
    """Moving a character from one part of the key to the next gives another id."""
    assert condition_id("a", "model", "bc", "m", "f", "") != condition_id("ab", "model", "c", "m", "f", "")
    assert len(condition_id("a", "model", "b", "m", "f", "")) == 14


def apply(condition: Condition | None, one: Event, seq: int, now: datetime) -> Condition | None:
    moved = opened_or_renewed(condition, one, "ml", seq, now, DAY)
    if moved is None and condition is not None:
        moved = ended_by(condition, one, "ml")
    return moved or condition


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 8)), min_size=1, max_size=12)


@given(steps)
def test_a_condition_never_contradicts_itself(history: list[tuple[bool, int]]):
    """Whatever comes in whatever order: since ≤ last seen, and an end is never before what was last seen."""
    condition: Condition | None = None
    for seq, (ends, hours) in enumerate(history):
        condition = apply(condition, over(hours) if ends else event(hours), seq, NOON + timedelta(days=1, minutes=seq))
        if condition is not None:
            assert condition.since <= condition.last_seen
            assert condition.ended is None or condition.ended >= condition.last_seen


@given(steps)
def test_the_same_event_twice_is_the_same_as_once(history: list[tuple[bool, int]]):
    """Using an event again right away changes no state and no time of the condition's own."""
    condition: Condition | None = None
    for seq, (ends, hours) in enumerate(history):
        one = over(hours) if ends else event(hours)
        condition = apply(condition, one, seq, NOON + DAY)
        assert apply(condition, one, seq, NOON + DAY) == condition
