"""Values of decisions and transitions as JSON that people can read: `24h`, `2026-01-23T12:00:00Z`."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from controller.durations import format_duration


def plain(value: Any) -> Any:
    """The value with every time as RFC 3339 and every duration as Prometheus writes it."""
    match value:
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return format_duration(value)
        case Enum():
            return value.value
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value
