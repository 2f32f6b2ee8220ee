"""Laws of the calendar: through every change of the clocks periods have no gap, and due times are those of the wall clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.policy.calendar import Cron, Periods, first_shown, share, streak, zone

ZONES = st.sampled_from(["Europe/Rome", "America/New_York", "Etc/UTC", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kolkata", "Pacific/Apia"])  # fmt: skip
EVERY = st.sampled_from(
    [timedelta(minutes=minutes) for minutes in (1, 15, 30, 45, 60, 120, 180, 360, 720, 1440, 10080)]
)
_CHANGES = ["2026-03-29T01", "2026-10-25T01", "2026-03-08T07", "2026-11-01T06", "2026-04-23T22", "2011-12-30T10"]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NEAR = st.builds(
    lambda change, off: moment(change) + off,
    st.sampled_from(_CHANGES),
    st.timedeltas(timedelta(days=-2), timedelta(days=2)),
)
FAR = st.timedeltas(timedelta(0), timedelta(days=25_000)).map(lambda length: moment("1990-01-01") + length)
MOMENTS = NEAR | FAR
CRONS = st.sampled_from(["30 2 * * *", "0,30 2 * * *", "15 1,2,3 * * *", "*/15 * * * *", "30 * * * *", "0 3 1 * *", "0 0 L * *", "0 9 * * MON#1", "59 23 * * 7", "*/20 2 * * *"])  # fmt: skip


@given(MOMENTS, EVERY, ZONES)
def test_every_moment_lies_in_one_period(now: datetime, every: timedelta, zone_: str):
    """A period contains its moments, and the one before it ends where it begins."""
    periods = Periods(every, zone_)
    start = periods.start(now)
    assert start <= now
    assert periods.start(start) == start
    before = periods.before(start)
    assert before < start
    assert periods.start(start - timedelta(microseconds=1)) == before
    assert now - start < every + timedelta(hours=25)


@given(MOMENTS, EVERY, ZONES, st.timedeltas(timedelta(0), timedelta(days=9)))
def test_later_moments_lie_in_no_earlier_period(now: datetime, every: timedelta, zone_: str, later: timedelta):
    """Periods are in the order of time."""
    periods = Periods(every, zone_)
    assert periods.start(now) <= periods.start(now + later)


@given(MOMENTS, ZONES, st.sampled_from([timedelta(days=1), timedelta(weeks=1)]))
def test_days_begin_with_the_first_moment_of_their_date(now: datetime, zone_: str, every: timedelta):
    """A day holds exactly the moments of one date; a week those from a Monday on."""
    periods = Periods(every, zone_)
    start = periods.start(now)
    local = start.astimezone(ZoneInfo(zone_))
    earlier = (start - timedelta(microseconds=1)).astimezone(ZoneInfo(zone_))
    assert earlier.date() < local.date()
    if every == timedelta(days=1):
        assert local.date() == now.astimezone(ZoneInfo(zone_)).date()


def test_days_of_23_and_25_hours():
    """The days on which the clocks change are days."""
    days = Periods(timedelta(days=1), "Europe/Rome")
    spring, autumn = days.start(moment("2026-03-29T12:00")), days.start(moment("2026-10-25T12:00"))
    assert days.start(spring + timedelta(hours=23)) - spring == timedelta(hours=23)
    assert days.start(autumn + timedelta(hours=25)) - autumn == timedelta(hours=25)
    assert days.named(spring) == "2026-03-29"


def test_hour_that_comes_twice_is_one_period():
    """And one that is skipped is none."""
    hours = Periods(timedelta(hours=1), "Europe/Rome")
    first = moment("2026-10-25T00:10")
    assert hours.start(first) == hours.start(first + timedelta(hours=1)) == moment("2026-10-25T00:00")
    assert hours.before(hours.start(moment("2026-03-29T01:30"))) == moment("2026-03-29T00:00")
    assert hours.named(moment("2026-03-29T01:00")) == "2026-03-29T03:00"


@given(
    st.lists(st.integers(-200, 200), min_size=1, max_size=30),
    st.lists(st.integers(-200, 200), max_size=30),
    MOMENTS,
    ZONES,
    st.booleans(),
)
def test_streak(evident: list[int], alive: list[int], now: datetime, zone_: str, ignore: bool):
    """A streak goes back from the newest evidence; what ends it is a period without, or one in which somebody looked."""
    days = Periods(timedelta(days=1), zone_)

    def starts(numbers: list[int]) -> list[datetime]:
        return [days.start(now + timedelta(days=number)) for number in numbers]

    seen, looked = set(starts(evident)), set(starts(alive))
    found = streak(seen, looked, days, ignore=ignore)
    assert found[0] == max(seen)
    at, counted = found[0], []
    while at >= min(seen):
        if at in seen:
            counted.append(at)
        elif not ignore or at in looked:
            break
        at = days.before(at)
    assert list(found) == counted


@given(CRONS, ZONES, MOMENTS)
def test_due_times_are_strictly_later_and_none_is_left_out(text: str, zone_: str, now: datetime):
    """The first due time after a moment is the same from every moment between, so a restart changes nothing."""
    cron = Cron.read(text, zone_)
    first = cron.next(now)
    assert first is not None
    assert first > now
    middle = now + (first - now) / 2
    assert cron.next(middle) == first
    second = cron.next(first)
    assert second is not None
    assert second > first
    assert cron.newest(now, first) == first
    assert cron.newest(now, first - timedelta(microseconds=1)) is None
    assert cron.newest(now - timedelta(days=800), second - timedelta(microseconds=1)) == first


@example((0, 15), "Pacific/Apia", moment("2011-12-29T10:15"))
@given(st.sampled_from([(hour, minute) for hour in range(24) for minute in (0, 15, 30)]), ZONES, MOMENTS)
def test_a_time_of_day_is_due_once_a_day(time: tuple[int, int], zone_: str, now: datetime):
    """Whatever the clocks do, at the first moment at which they show it, or skip it."""
    cron = Cron.read(f"{time[1]} {time[0]} * * *", zone_)
    due = cron.next(now)
    assert due is not None
    local = due.astimezone(ZoneInfo(zone_))
    wall = local.replace(tzinfo=None, hour=time[0], minute=time[1], fold=0)
    before = wall - timedelta(days=1)  # Apia has skipped a whole day, whose times were due when the next one began
    assert due in (first_shown(wall, zone_), first_shown(before, zone_))


@given(
    st.text(max_size=20) | st.lists(st.text("0123456789*/,-#LWMON ", max_size=6), min_size=5, max_size=6).map(" ".join)
)
def test_what_is_no_expression_is_refused(text: str):
    """Whatever is written is an expression that is due some day, or refused in words."""
    refused, cron = "", None
    try:
        cron = Cron.read(text, "Europe/Rome")
    except ValueError as error:
        refused = str(error)
    assert refused.startswith("a cron expression") or (cron and cron.next(moment("2026-01-01")))


@pytest.mark.parametrize(
    "text",
    ["0 3 30 2 *", "0 0 31 4,6 *", "0 3 * * * *", "@daily", "61 * * * *", "0 0 * * 5L/2", f"0 0 {'9' * 5000} 1 *"],
)
def test_expressions_that_are_refused(text: str):
    """Never due, too many fields, macros, out of range, beyond reading."""
    with pytest.raises(ValueError, match="a cron expression"):
        Cron.read(text, "Etc/UTC")


@pytest.mark.parametrize("name", ["", "Europe", "../../etc/passwd", "/etc/passwd", "Mars/Olympus", "localtime", "a\0b"])
def test_zones_that_are_refused(name: str):
    """What is no name of the database of time zones."""
    with pytest.raises(ValueError, match="a time zone"):
        zone(name)


@given(st.timedeltas(timedelta(0), timedelta(days=30)), st.text(max_size=9), st.text(max_size=9))
def test_a_share_is_a_part(spread: timedelta, namespace: str, model: str):
    """Always the same, and below the whole."""
    part = share(spread, namespace, model)
    assert part == share(spread, namespace, model)
    assert timedelta(0) <= part < max(spread, timedelta(microseconds=1))
