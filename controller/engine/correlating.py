"""Many models, one cause: told once, by an event of our own, and nothing is done for any of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from controller.decision import Situation, triggered
from controller.durations import format_duration
from controller.engine import own_events
from controller.events.condition import condition_id
from controller.events.event import OWN_SOURCE, about_key
from controller.events.types import FLEET_DRIFT, FLEET_KEYS
from controller.policy import PageAction, Policy
from controller.store.causes import causes_of, shared_cause, since, to_be_told
from controller.store.ledger import Ledger
from controller.store.plain import plain
from controller.store.situation import Used

NAMED = 100
"""Models and events that the event names, at most."""


def correlated(ledger: Ledger, used: Used, policy: Policy, facts: Situation, *, again: bool) -> Situation:
    """The situation, with the cause that the model shares with many others.

    Where a trigger is true, that is kept; the model that completes the number has the event
    written. An audited policy only finds out, and tells nobody.

    :param again: the event was decided before, and is asked again.
    """
    causes = causes_of(policy, used.event, used.model)
    if triggered(used.event, used.model, policy, facts, ledger.turn.now):
        for cause in causes:
            ledger.causes.meet(policy, cause, used.key, used.seq, again=again)
            if to_be_told(ledger, policy, cause):
                _tell(ledger, used, policy, cause)
    return replace(facts, shared=shared_cause(ledger, policy, causes))


def _tell(ledger: Ledger, used: Used, policy: Policy, cause: str) -> None:
    data = _data(ledger, policy, cause)
    about = about_key(data, FLEET_KEYS)
    id_ = condition_id(OWN_SOURCE, "model", *used.key, "fleet", about)
    ledger.causes.tell(policy, cause, used.key, id_, int(data["count"]))
    if policy.mode == "audit":
        return
    by, _, name = cause.partition("=")
    own_events.record(
        ledger.turn,
        id=own_events.own_id("fleet", policy.namespace, policy.name, cause, data["since"]),
        type=FLEET_DRIFT,
        time=ledger.turn.now,
        namespace=used.model.namespace,
        model=used.model.name,
        dataset=name if by == "dataset" else None,
        family="fleet",
        about=about,
        data=data,
    )


def _data(ledger: Ledger, policy: Policy, cause: str) -> dict[str, Any]:
    assert policy.correlate is not None
    by, _, name = cause.partition("=")
    met = since(ledger, policy, cause)
    events = [ledger.find_event(seq) for seq in sorted({one.event_seq for one in met.values()})[:NAMED]]
    pages = [step.action.receiver for step in policy.steps if isinstance(step.action, PageAction)]
    return {
        "policy": policy.key,
        "by": by,
        "name": name,
        "count": float(len(met)),
        "models": ["/".join(key) for key in sorted(met)[:NAMED]],
        "events": [event.id for event in events if event is not None],
        "since": plain(min(one.at for one in met.values())),
        "within": format_duration(policy.correlate.within),
        "severity": policy.severity,
        "receiver": pages[0] if pages else "default",
        **({"feature": name} if by == "feature" else {}),
    }
