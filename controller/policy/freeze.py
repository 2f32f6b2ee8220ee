"""Freezes: planned times in which models are not changed, only restored, and people paged."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from controller.policy.calendar import Cron, first_shown
from controller.policy.reading import Fields, Place
from controller.policy.triggers import read_cron, read_time_zone
from controller.policy.types import ModelSelector


@dataclass(frozen=True, slots=True)
class Window:
    """A time from `start` until, and without, `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Freeze:
    """When which models of its namespace are frozen: whenever `cron` is due for `duration`, or in one window.

    What falls due in it is asked after its end, each model its share of `spread` later.
    """

    namespace: str
    name: str
    digest: str
    text: dict[str, Any] = field(repr=False, compare=False)
    models: ModelSelector
    spread: timedelta
    cron: Cron | None = None
    duration: timedelta = timedelta()
    once: Window | None = None

    @property
    def key(self) -> str:
        """`namespace/name`, as people and messages write it."""
        return f"{self.namespace}/{self.name}"

    def window(self, now: datetime) -> Window | None:
        """The window that `now` lies in, of several the last to end; None: it is not frozen."""
        if self.cron is None:
            return self.once if self.once and self.once.start <= now < self.once.end else None
        start = self.cron.newest(now - self.duration, now)
        return Window(start, start + self.duration) if start else None

    def following(self, now: datetime) -> Window | None:
        """The first window that begins later than `now`."""
        if self.cron is None:
            return self.once if self.once and now < self.once.start else None
        start = self.cron.next(now)
        return Window(start, start + self.duration) if start else None


def read_freeze_window(fields: Fields) -> tuple[Cron | None, timedelta, Window | None]:
    """`cron` and `duration`, or `start` and `end`; whatever is wrong is noted at its place."""
    recurring = "cron" in fields or "duration" in fields
    once = "start" in fields or "end" in fields
    if recurring == once:
        got = "all of them" if once else "none of them"
        fields.place.refuse(f"want cron and duration, or start and end, got {got}")
        return None, timedelta(), None
    if recurring:
        cron, duration = read_cron(fields), fields.need("duration", "a duration")
        return cron, duration.duration() if duration else timedelta(), None
    named = read_time_zone(fields)
    start = _moment(fields.need("start", _WANTED), named)
    end = _moment(fields.need("end", _WANTED), named)
    if not start or not end:
        return None, timedelta(), None
    if end <= start:
        fields.at("end").want("an end later than start")
    return None, timedelta(), Window(start, end)


_WANTED = 'a time as "2026-12-20T18:00" (of timeZone) or "2026-12-20T18:00:00Z"'


def _moment(place: Place | None, time_zone: str) -> datetime | None:
    """The time that a text names: by its own offset, or by the wall clock of the time zone."""
    text = place.text(_WANTED) if place else ""
    if not place or not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else first_shown(found, time_zone)
    except (ValueError, OverflowError):
        place.want(_WANTED)
        return None
