"""Whether there is anything to mend: how it was before the first rung, where that is verified by a query.

The number is asked for by a worker, outside of any transaction, and recorded as an observation;
the look that follows finds it here. Where it cannot be had, the step starts all the same; where
the query is none, it is held.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from controller.policy import Policy, version_of
from controller.remediation import Remediation
from controller.store import remediations
from controller.store.ledger import Ledger

FRESH = timedelta(minutes=2)
"""A number recorded longer ago, before a hold for example, is asked for again; of many queries see `_fresh`."""
AGAIN = timedelta(minutes=1)
"""After so long it is asked again where nothing was recorded: the process that asked is gone."""


ASKED_ANEW = timedelta(minutes=5)
"""A query that was no question is asked again so often, while the step is held for it."""


@dataclass(frozen=True, slots=True)
class Before:
    """What is known of before.

    :ivar good: it is shown by these values that nothing is degraded.
    :ivar asked_until: it is not known yet, and is looked for again then at the latest.
    :ivar unaskable: why a query is no question to Prometheus; nothing would ever show whether the step helped.
    """

    good: dict[str, Any] | None = None
    asked_until: datetime | None = None
    unaskable: str | None = None


def ask_before(ledger: Ledger, policy: Policy, r: Remediation) -> Before:
    """How it was before, for a remediation that is about to start."""
    queries = r.rung.queries
    if not queries or not _asks(ledger, policy, r):
        return Before()
    now = ledger.turn.now
    known = remediations.looked_before(ledger.turn.conn, r, now - _fresh(r))
    numbers: list[float] = []
    for at, query in queries:
        if at not in known:
            return Before(asked_until=now + AGAIN)
        if known[at].state == "unknown":
            return Before(unaskable=known[at].message)
        number = known[at].numbers.get("before")
        if number is None or not query.recovered.holds_already(number):
            return Before()
        numbers.append(number)
    held = " and ".join(query.recovered.source for _, query in queries)
    return Before(good={"before": numbers[0], "recovered": held})


def next_before(ledger_conn: Any, r: Remediation, now: datetime) -> int:
    """Which verification of the rung is to be asked for next."""
    known = remediations.looked_before(ledger_conn, r, now - _fresh(r))
    return next(at for at, _ in r.rung.queries if at not in known)


def _fresh(r: Remediation) -> timedelta:
    """They are asked one after the other: the first must still count when the last has come."""
    return max(FRESH, AGAIN * len(r.rung.queries))


def _asks(ledger: Ledger, policy: Policy, r: Remediation) -> bool:
    """Whether a condition triggered a change that has not begun: what is only due is done all the same."""
    first = r.step == 0 and r.attempt == 1 and not (r.acted or r.restored)
    trigger = next((found for found in policy.triggers if found.name == r.trigger), None)
    due = trigger is not None and (trigger.due is not None or (trigger.counter and trigger.counter.kind == "sum"))
    event = ledger.event(r.event_seq)
    state = ledger.state((r.namespace, r.model))
    model = remediations.model_of(ledger.turn.conn, r.model_digest, r.namespace, r.model)
    canary = state.role(version_of(event, model, state)) == "canary"  # what serves says nothing of it
    return first and r.rung.changing and not due and not canary and event.family is not None
