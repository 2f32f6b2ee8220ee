"""Schedules and `since`: what they make due for which model, and the event of ours that says so.

A due time comes once: the event's id is a digest over policy, trigger, model and time. Of
the times that passed while nobody looked, the newest is made good; whether it is too old is
decided like of any other event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controller.engine.own_events import own_id, record
from controller.policy import DUE, Policy, PolicySet, Schedule, Since, Trigger
from controller.policy.calendar import share
from controller.policy.policy_set import selects
from controller.store import due_rows
from controller.store.leader import Turn
from controller.store.ledger import Ledger


def keep_dates(turn: Turn, policies: PolicySet) -> None:
    """Have a date for each schedule and `since` of the set that comes into force, and each model that it means."""
    known = due_rows.known(turn.conn)
    wanted: dict[due_rows.Key, datetime | None] = {}
    for policy in policies.policies:
        for trigger in policy.triggers:
            if trigger.due is not None:
                for model in _selected(policies, policy):
                    key = (policy.namespace, policy.name, trigger.digest, *model)
                    wanted[key] = None if key in known else _first(trigger.due, model, turn.now)
    due_rows.keep(turn, wanted)


def _selected(policies: PolicySet, policy: Policy) -> list[tuple[str, str]]:
    return [
        key
        for key, model in sorted(policies.models.items())
        if key[0] == policy.namespace and policy.models.via is None and selects(policy.models, key[1], model)
    ]


def _first(due: Schedule | Since, model: tuple[str, str], now: datetime) -> datetime | None:
    """When to look at a date first; of `since` at once, since the model may be old already."""
    return next_time(due, model, now) if isinstance(due, Schedule) else now


def next_time(schedule: Schedule, model: tuple[str, str], after: datetime) -> datetime | None:
    """When a schedule is due for a model, later than `after`."""
    later = share(schedule.spread, *model)
    due = schedule.cron.next(after - later)
    return due + later if due else None


def look(turn: Turn, policies: PolicySet, key: due_rows.Key) -> None:
    """Write the event of a date that has come, and note when to look again."""
    row = due_rows.read(turn.conn, key)
    policy = policies.policy(key[0], key[1])
    trigger = next((found for found in policy.triggers if found.digest == key[2]), None) if policy else None
    if row is None or policy is None or trigger is None or trigger.due is None:
        due_rows.looked(turn, key, None, None)
        return
    if isinstance(trigger.due, Schedule):
        newest, following = _scheduled(trigger.due, key[3:], row, turn.now)
        told: dict[str, Any] = {}
    else:
        ledger = Ledger(turn)
        ledger.load([key[3:]])
        last = trigger.due.last_of(ledger.state(key[3:]))
        newest, following = _since(trigger.due, last, row, turn.now)
        told = {"last": last.isoformat()} if last else {}
    if newest is not None and (row.last_due is None or newest > row.last_due):
        _write(turn, policy, trigger, key, newest, told)
    else:
        newest = row.last_due
    due_rows.looked(turn, key, newest, following)


def _scheduled(
    schedule: Schedule, model: tuple[str, str], row: due_rows.Row, now: datetime
) -> tuple[datetime | None, datetime | None]:
    """The newest due time that is not done, and the next."""
    later = share(schedule.spread, *model)
    newest = schedule.cron.newest((row.last_due or row.accepted) - later, now - later)
    return newest + later if newest else None, next_time(schedule, model, now)


def _since(since: Since, last: datetime | None, row: due_rows.Row, now: datetime) -> tuple[datetime | None, datetime]:
    """The newest due time, and the next.

    It is due again after each further `atLeast`; for a model that was too old already, when the
    trigger was accepted. One that nobody said anything of counts as done then.
    """
    base = last or row.accepted
    times = (now - base) // since.at_least
    following = base + (times + 1) * since.at_least
    newest = max(base + times * since.at_least, row.accepted) if times > 0 else None
    return newest, following


def _write(
    turn: Turn, policy: Policy, trigger: Trigger, key: due_rows.Key, due: datetime, told: dict[str, Any]
) -> None:
    namespace, model = key[3:]
    record(
        turn,
        id=own_id(DUE, policy.key, trigger.digest, f"{namespace}/{model}", due.isoformat()),
        type=DUE,
        time=due,
        namespace=namespace,
        model=model,
        data={"policy": policy.key, "trigger": trigger.digest, "name": trigger.name, "due": due.isoformat()} | told,
    )
