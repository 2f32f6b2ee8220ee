"""What a judgement is made of, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Proof after the action; `none` where there was nothing to prove."""

    NONE = "none"
    RECOVERED = "recovered"
    UNCHANGED = "unchanged"
    WORSE = "worse"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Sample:
    """One observation that bears on a verification.

    :ivar state: recovered | unchanged | worse | missing of a verifying command; recovered | unchanged |
        failed | reverted | missing of a serving object; measured | missing | unknown of a query; met | life of
        the events that came while a `quiet` verification ran; degraded | well | missing of a report.
    :ivar numbers: of a query or a report: value, and as far as they were asked for before, stable, pushed.
    """

    at: datetime
    state: str
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConditionEnd:
    """How one condition of the evidence stands: its end by an event's time, or None while it is not over."""

    id: str
    ended: datetime | None
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict, or None and when to look again."""

    verdict: Verdict | None
    values: dict[str, Any]
    next_at: datetime | None = None
    sample_due: bool = False
