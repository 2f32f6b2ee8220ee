from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.durations import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("15s", 15, "15s"),
        ("1h30m", 5400, "1h30m"),
        ("500ms", 0.5, "500ms"),
        ("2w", 14 * 86400, "2w"),
        ("90d", 90 * 86400, "90d"),  # not 12w6d
        ("24h", 86400, "1d"),
        ("1y", 365 * 86400, "1y"),
        ("0", 0, "0s"),
        ("0s", 0, "0s"),
        ("90m", 5400, "1h30m"),
    ],
)
def test_reads_and_writes_as_prometheus(text, seconds, written):
    """Durations are read as Prometheus writes them, and written in the fewest words."""
    assert parse_duration(text) == timedelta(seconds=seconds)
    assert format_duration(parse_duration(text)) == written


@pytest.mark.parametrize("text", ["", "1", "1.5h", "5m1h", "1h1h", "-5s", "5 minutes", "1m\n", "5M", "1s "])
def test_refuses_what_prometheus_refuses(text):
    """Whatever else stands there is refused by a message that quotes it."""
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert str(refused.value) == f'want a duration such as 30s, 15m, 1h30m or 7d, got "{text}"'


@pytest.mark.parametrize("text", ["101y", "999999999999y", "99y366d"])
def test_refuses_a_duration_that_no_date_could_bear(text):
    """More than a hundred years is a typing error, and would leave datetime's range."""
    with pytest.raises(ValueError) as refused:
        parse_duration(text)
    assert str(refused.value) == f'want a duration of at most 100y, got "{text}"'


def test_writes_a_negative_length_with_its_sign():
    """A length below zero, as of a time that has passed, keeps its sign."""
    assert format_duration(timedelta(seconds=-90)) == "-1m30s"


@given(st.integers(0, LONGEST // timedelta(milliseconds=1)))
def test_writing_and_reading_gives_the_same_length(millis):
    """What is written is read back to the millisecond."""
    length = timedelta(milliseconds=millis)
    assert parse_duration(format_duration(length)) == length
