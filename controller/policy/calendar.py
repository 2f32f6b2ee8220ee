"""Calendar time, pure: periods of a calendar, streaks of them, cron expressions, a model's share of a span.

A time of the wall clock that comes twice means the first of its two moments; one that the
clocks skip means the moment at which they do. So the periods of a calendar follow each other
without a gap, whatever its time zone does: a day of 23 or 25 hours is a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
_MINUTE, _HOUR, _SECOND = timedelta(minutes=1), timedelta(hours=1), timedelta(seconds=1)
_INSTANT = timedelta(microseconds=1)
_MONDAY = datetime(1900, 1, 1)  # noqa: DTZ001 — of any wall clock
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_LONGEST = 100
_FIELDS = 5
_NOT_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""What a machine may have among its zones, and means something else on each."""


def zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises ValueError where there is none."""
    try:
        return ZoneInfo("" if name in _NOT_ZONES else name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError('a time zone as "Europe/Rome" or "Etc/UTC"') from error


@dataclass(frozen=True, slots=True)
class Periods:
    """The periods of a calendar: `every` divides a day and is of whole minutes, or is a day, or a week from Monday."""

    every: timedelta
    time_zone: str

    @staticmethod
    def possible(every: timedelta) -> bool:
        """Whether there are such periods."""
        return every == WEEK or (every >= _MINUTE and every % _MINUTE == timedelta() and DAY % every == timedelta())

    def start(self, moment: datetime) -> datetime:
        """When the period that `moment` lies in began, in UTC."""
        zone_ = zone(self.time_zone)
        local = moment.astimezone(zone_).replace(tzinfo=None)
        wall = local - (local - _MONDAY) % self.every
        start = _moment(wall, zone_)
        # In an hour that comes for the second time, the periods of its first coming are over.
        while (following := _moment(wall + self.every, zone_)) <= moment:
            wall, start = wall + self.every, following
        return start

    def before(self, start: datetime) -> datetime:
        """When the period before the one that began at `start` began."""
        return self.start(start - _INSTANT)

    def named(self, start: datetime) -> str:
        """The period for people, by its wall clock: `2026-03-29`, for parts of a day `2026-03-29T06:00`."""
        local = start.astimezone(zone(self.time_zone))
        return f"{local:%Y-%m-%d}" if self.every >= DAY else f"{local:%Y-%m-%dT%H:%M}"


def _moment(wall: datetime, zone_: ZoneInfo) -> datetime:
    """When a wall clock first shows `wall`, or, where it skips it, when it does."""
    moment = wall.replace(tzinfo=zone_).astimezone(UTC)
    if moment.astimezone(zone_).replace(tzinfo=None) == wall:
        return moment
    before = wall.replace(tzinfo=zone_, fold=1).astimezone(UTC)
    offset = before.astimezone(zone_).utcoffset()
    while moment - before > _SECOND:
        middle = before + (moment - before) // 2 // _SECOND * _SECOND
        if middle.astimezone(zone_).utcoffset() == offset:
            before = middle
        else:
            moment = middle
    return moment


def first_shown(wall: datetime, time_zone: str) -> datetime:
    """When the wall clock of a time zone first shows `wall`, or, where it skips it, when it does."""
    return _moment(wall.replace(microsecond=0), zone(time_zone))


def streak(
    evident: Collection[datetime], alive: Collection[datetime], periods: Periods, *, ignore: bool
) -> tuple[datetime, ...]:
    """The newest period of evidence and those before it without a break, newest first; all by their starts.

    :param alive: periods in which the model's detectors showed life; with `ignore` only those break a streak.
    """
    found: list[datetime] = []
    for start in sorted(set(evident), reverse=True):
        if found and periods.before(found[-1]) != start:
            later = found[-1]
            if not ignore or any(start < seen < later for seen in alive):
                break
        found.append(start)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Cron:
    """When a cron expression is due in a time zone, as Debian's cron has it: `read` checks the text.

    Of a time of day that the clocks skip, the moment at which they do is due; of one that comes
    twice, the first. Expressions whose minute or hour begins with `*` go by elapsed time.
    """

    text: str
    time_zone: str

    @classmethod
    def read(cls, text: str, time_zone: str) -> Cron:
        """Raises ValueError, which says what was wanted, for what is no expression or never due."""
        zone(time_zone)
        wanted = 'a cron expression as "0 3 1 * *": minute, hour, day of the month, month, day of the week'
        if len(text) > _LONGEST or len(text.split()) != _FIELDS:
            raise ValueError(wanted)
        try:
            cron = cls(" ".join(text.split()), time_zone)
            next(CronSim(cron.text, _ANY_TIME))
        except StopIteration as error:
            raise ValueError("a cron expression that is due some day") from error
        except CronSimError as error:
            raise ValueError(f"{wanted} ({str(error)[:1].lower()}{str(error)[1:]})") from error
        except (ValueError, TypeError, AssertionError) as error:
            raise ValueError(wanted) from error
        return cron

    def times(self, after: datetime) -> Iterator[datetime]:
        """When it is due later than `after`, in UTC, each once."""
        last = after
        for found in CronSim(self.text, after.astimezone(zone(self.time_zone))):
            due = found.astimezone(UTC)
            if due > last:  # in an hour that comes twice the expression's own order is another
                last = due
                yield due

    def next(self, after: datetime) -> datetime | None:
        """When it is due first later than `after`; None: not in the next fifty years."""
        return next(self.times(after), None)

    def newest(self, after: datetime, until: datetime) -> datetime | None:
        """When it was due last in (after, until]."""
        span = _HOUR
        while until > after:
            found = None
            for due in self.times(max(after, until - span)):
                if due > until:
                    break
                found = due
            if found is not None or until - span <= after:
                return found
            span *= 4
        return None


def share(spread: timedelta, namespace: str, model: str) -> timedelta:
    """A model's part of a span, the same each time: whole seconds from 0 to below `spread`."""
    seconds = spread // _SECOND
    if not seconds:
        return timedelta()
    digest = sha256(f"{namespace}/{model}".encode()).digest()
    return int.from_bytes(digest[:8]) % seconds * _SECOND
