"""What lies ahead by the calendar: when schedules are due next, and when models are frozen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from controller.policy.freeze import Freeze, Window
from controller.policy.policy_set import PolicySet
from controller.policy.types import Policy, Schedule, Trigger

_NEXT = 3


@dataclass(frozen=True, slots=True)
class Dated:
    """A schedule, and when it is due next, each model its share of `spread` later."""

    policy: Policy
    trigger: Trigger
    schedule: Schedule
    times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """A freeze, and its next windows; the first may have begun."""

    freeze: Freeze
    windows: tuple[Window, ...]


def schedules(policies: PolicySet, now: datetime) -> list[Dated]:
    """Every schedule of a set, in the order of policies."""
    return [
        Dated(policy, trigger, trigger.due, _times(trigger.due, now))
        for policy in policies.policies
        for trigger in policy.triggers
        if isinstance(trigger.due, Schedule)
    ]


def _times(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    found = zip(range(_NEXT), schedule.cron.times(now), strict=False)
    return tuple(due for _, due in found)


def frozen_now(policies: PolicySet, now: datetime) -> dict[str, str]:
    """The freezes in force, each with its end."""
    found = ((freeze, freeze.window(now)) for freeze in policies.freezes)
    return {freeze.key: window.end.isoformat().replace("+00:00", "Z") for freeze, window in found if window}


def freezes(policies: PolicySet, now: datetime) -> list[Planned]:
    """Every freeze of a set, by name."""
    return [Planned(freeze, _windows(freeze, now)) for freeze in policies.freezes]


def _windows(freeze: Freeze, now: datetime) -> tuple[Window, ...]:
    first = freeze.window(now)
    found = [first] if first else []
    following = freeze.following(now)
    while following is not None and len(found) < _NEXT:
        found.append(following)
        following = freeze.following(following.start)
    return tuple(found)
