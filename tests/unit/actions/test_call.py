"""What a call's answer asks for, and how long to wait between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.call import Answer, origin, pause
from controller.errors import PermanentError

DATE = "Fri, 23 Jan 2026 12:00:00 GMT"


def answer(status: int = 429, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"", complete=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "120"}, 120.0),
        ({"retry_after": " 0 "}, 0.0),
        ({"retry_after": "9" * 400}, 999999999.0),
        ({"retry_after": "1.5"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "²"}, None),
        ({"retry_after": "Fri, 23 Jan 2026 12:01:30 GMT", "date": DATE}, 90.0),
        ({"retry_after": "Fri, 23 Jan 2026 11:00:00 GMT", "date": DATE}, 0.0),
        ({"retry_after": "Fri, 23 Jan 2026 12:01:30 GMT"}, None),
        ({"retry_after": "Fri, 23 Jan 2026 12:01:30 GMT", "date": "nonsense"}, None),
        ({"retry_after": "Fri, 23 Jan 2026 12:01:30 -0000", "date": DATE}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, or a date measured against the answer's own; anything else says nothing."""
    assert answer(**headers).retry_after == seconds


@pytest.mark.parametrize(
    ("status", "passing"),
    [(200, False), (302, False), (400, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
def test_what_may_pass(status: int, *, passing: bool) -> None:
    """408, 429 and 5xx may be accepted later; nothing else."""
    assert answer(status).passing is passing


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True))
def test_pause_is_bounded_and_never_none(attempt: int, chance: float) -> None:
    """However often it failed, the pause lies between half the first and the longest."""
    assert 0.5 <= pause(attempt, 1.0, 300.0, chance) <= 300.0


def test_pause_doubles() -> None:
    """1, 2, 4 … up to the longest, before chance takes up to half."""
    assert [pause(attempt, 1.0, 300.0, 1.0) for attempt in (1, 2, 3, 4, 9, 10, 11)] == [1, 2, 4, 8, 256, 300, 300]
    assert pause(3, 1.0, 300.0, 0.0) == 2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/s3cret", "https://hooks.slack.com:443"),
        ("http://user:s3cret@host:8080/x?token=s3cret", "http://host:8080"),
        ("http://[::1]/x", "http://[::1]:80"),
    ],
)
def test_only_the_origin_is_shown(url: str, shown: str) -> None:
    """Of an address only scheme, host and port are shown: the rest may be a secret."""
    assert origin(url) == shown


@pytest.mark.parametrize(
    "url", ["", "host", "http://", "ftp://host", "http://host:99999", "http://[::1", "http://host:0"]
)
def test_address_that_is_none(url: str) -> None:
    """What is no http address is refused without repeating it."""
    with pytest.raises(PermanentError, match=r"^not a valid URL"):
        origin(url)
