"""Tables for people: aligned columns, ages as `3m`, nothing that could move the cursor."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]
Cell = Callable[[Row, datetime], str]
Column = tuple[str, Cell]

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_WIDEST = 60


def safe(text: str) -> str:
    """`text` with control characters shown, not obeyed: what a sender wrote must not drive a terminal."""
    return _UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text)


def age(moment: str | None, now: datetime) -> str:
    """How long ago: `12s`, `3m`, `5h`, `8d`; `in 3m` for what is to come; `-` for none."""
    if not moment:
        return "-"
    passed = now - datetime.fromisoformat(moment).astimezone(UTC)
    if passed < timedelta(seconds=-1):
        return f"in {_short(-passed)}"
    return _short(max(passed, timedelta()))


def _short(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or (unit != "m" and seconds >= size and seconds % size == 0):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def text(key: str) -> Cell:
    """The column of one key; `-` where it is empty."""
    return lambda row, _now: _shown(row.get(key))


def since(key: str) -> Cell:
    """The age of one key's time."""
    return lambda row, now: age(row.get(key), now)


def full_name(namespace: str, name: str) -> Cell:
    """`namespace/name` of two keys."""

    def cell(row: Row, _now: datetime) -> str:
        return f"{row[namespace]}/{row[name]}" if row.get(namespace) else _shown(row.get(name))

    return cell


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{key}={item}" for key, item in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    return str(value)


def table(columns: Sequence[Column], rows: Sequence[Row], now: datetime) -> str:
    """The rows under upper-case headings; all columns but the last are cut at 60 characters."""
    grid = [[heading for heading, _ in columns]]
    for row in rows:
        cells = [safe(cell(row, now)) for _, cell in columns]
        grid.append([_cut(value) for value in cells[:-1]] + cells[-1:])
    widths = [max(len(line[index]) for line in grid) for index in range(len(columns))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in grid)


def _cut(value: str) -> str:
    return value if len(value) <= _WIDEST else f"{value[: _WIDEST - 1]}…"
