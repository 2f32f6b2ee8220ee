"""How much of a counting trigger's evidence has come together: from rows of evidence alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from math import fsum
from typing import Any

from controller.policy import Counter, Policy, Trigger
from controller.policy.calendar import streak
from controller.schema import EPOCH

Rows = Collection[tuple[datetime, Any]]
"""Time and value of evidence."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How much there is, at most what is asked for; of a sum, what the newest come to that reach it.

    `periods` names those that were counted, newest first.
    """

    seen: float
    periods: tuple[str, ...] = ()


def life_of(trigger: Trigger) -> Trigger:
    """The trigger under which it is kept that detectors looked, whatever they found."""
    return replace(trigger, digest=f"{trigger.digest}:life")


def looked_back_to(counter: Counter, policy: Policy, now: datetime) -> datetime:
    """Evidence later than this may count; a streak goes by periods, and its newest may have come late."""
    if counter.periods is None:
        return now - counter.within
    if counter.ignore:
        return EPOCH
    return now - counter.within - 2 * counter.periods.every - policy.limits.max_age


def evidence_value(counter: Counter, time: datetime) -> str | None:
    """What a row of evidence carries where no expression says it: the period that it lies in."""
    return counter.periods.start(time).isoformat() if counter.periods else None


def tally(counter: Counter, evidence: Rows, alive: Callable[[], Rows], floor: datetime) -> Tally:
    """Count the evidence later than `floor`; `alive` gives the rows of life, asked for where they matter."""
    rows = [row for row in evidence if row[0] > floor]
    if counter.periods is not None:
        seen = {datetime.fromisoformat(value) for _, value in rows}
        looked = {datetime.fromisoformat(value) for _, value in alive()} if counter.ignore and len(seen) > 1 else set()
        found = streak(seen, looked, counter.periods, ignore=counter.ignore)[: int(counter.at_least)]
        return Tally(len(found), tuple(map(counter.periods.named, found)))
    if counter.kind == "sum":
        total = _sum(rows, counter.at_least)
        return Tally(int(total) if float(total).is_integer() else total)
    count = len({repr(value) for _, value in rows}) if counter.kind == "distinct" else len(rows)
    return Tally(min(count, int(counter.at_least)))


def _sum(rows: Rows, enough: float) -> float:
    """The sum; of more than enough that of the newest up to the one that completed it, however many were read."""
    total = fsum(value for _, value in rows)
    if total < enough:
        return total
    counted: list[float] = []
    reached = 0.0
    for _, value in sorted(rows, reverse=True):
        counted.append(value)
        reached += value
        if reached >= enough:
            break
    return max(fsum(counted), enough)
