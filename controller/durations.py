"""Durations as Prometheus writes them: `1h30m`, `15s`, `2w`, `500ms`.

A year is 365 days and a week 7, whatever the calendar says. Units stand once each,
from the largest to the smallest. Zero is `0s` (`0` is read too).
"""

from __future__ import annotations

import re
from datetime import timedelta

LONGEST = timedelta(days=365 * 100)
"""What is longer is a typing error; it also keeps `now - duration` inside datetime's range."""

_UNITS = (
    ("y", timedelta(days=365)),
    ("w", timedelta(weeks=1)),
    ("d", timedelta(days=1)),
    ("h", timedelta(hours=1)),
    ("m", timedelta(minutes=1)),
    ("s", timedelta(seconds=1)),
    ("ms", timedelta(milliseconds=1)),
)
_DURATION = re.compile("".join(f"(?:([0-9]{{1,12}}){unit})?" for unit, _ in _UNITS))


def parse_duration(text: str) -> timedelta:
    """The length of `text`, at most 100 years.

    Raises ValueError with a message that says what was wanted and what was found.
    """
    if text == "0":
        return timedelta()
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError(f'want a duration such as 30s, 15m, 1h30m or 7d, got "{text}"')
    total = timedelta()
    for amount, (_, unit) in zip(match.groups(), _UNITS, strict=True):
        if amount is None:
            continue
        if int(amount) > LONGEST / unit or (total := total + int(amount) * unit) > LONGEST:
            raise ValueError(f'want a duration of at most 100y, got "{text}"')
    return total


def format_duration(length: timedelta) -> str:
    """`length` as Prometheus writes it, rounded to milliseconds: `1h30m`, `90d`, `0s`, `-5s`.

    Years and weeks are used only where nothing remains, since 90d reads easier than 12w6d.
    """
    left = round(length / timedelta(milliseconds=1))
    sign, left = ("-", -left) if left < 0 else ("", left)
    if left == 0:
        return "0s"
    parts = []
    for unit, size in _UNITS:
        millis = size // timedelta(milliseconds=1)
        if left % millis and unit in ("y", "w"):
            continue
        amount, left = divmod(left, millis)
        if amount:
            parts.append(f"{amount}{unit}")
    return sign + "".join(parts)
