"""Whether many models have one cause: read from the rows of those that met a correlating policy's triggers."""

from __future__ import annotations

from datetime import datetime

from controller.decision import Shared
from controller.events.condition import Condition
from controller.events.event import Event
from controller.policy import Model, Policy
from controller.store.cause_rows import Met, ModelKey, ToldOf
from controller.store.ledger import Ledger


def causes_of(policy: Policy, event: Event, model: Model) -> list[str]:
    """What may be the cause of an event: its feature; or its dataset, else those that the model reads it from."""
    if policy.correlate is None:
        return []
    if policy.correlate.by == "feature":
        return [f"feature={event.feature}"] if event.feature is not None else []
    if event.dataset is not None:
        return [f"dataset={event.dataset}"]
    return [f"dataset={own.dataset}" for own in model.inputs if own.reads(event.feature)]


def shared_cause(ledger: Ledger, policy: Policy, causes: list[str]) -> Shared | None:
    """The first of these causes that many models have: an event told of it and is not over, or they are there."""
    for cause in causes:
        found = _shared(ledger, policy, cause)
        if found is not None:
            return found
    return None


def _shared(ledger: Ledger, policy: Policy, cause: str) -> Shared | None:
    assert policy.correlate is not None
    now, told = ledger.turn.now, ledger.causes.told(policy, cause)
    condition = _condition(ledger, told)
    lately = len(since(ledger, policy, cause))
    if told is not None and condition is not None and condition.state(now) == "open":
        return Shared(cause, max(lately, told.models), condition.id, condition.expires)
    if told is not None and lately >= policy.correlate.models:
        return Shared(cause, lately, told.condition_id, now + policy.correlate.within)
    return None


def since(ledger: Ledger, policy: Policy, cause: str) -> dict[ModelKey, Met]:
    """The models that met a trigger for the cause within `within`, and after a person said that it is over."""
    assert policy.correlate is not None
    return ledger.causes.since(policy, cause, _floor(ledger, policy, cause))


def to_be_told(ledger: Ledger, policy: Policy, cause: str) -> bool:
    """Whether so many models have the cause, and no event has told of it yet."""
    assert policy.correlate is not None
    told = ledger.causes.told(policy, cause)
    condition = _condition(ledger, told)
    if condition is not None and condition.state(ledger.turn.now) == "open":
        return False
    if told is not None and told.at > _floor(ledger, policy, cause):
        return False
    return len(since(ledger, policy, cause)) >= policy.correlate.models


def _floor(ledger: Ledger, policy: Policy, cause: str) -> datetime:
    assert policy.correlate is not None
    floor = ledger.turn.now - policy.correlate.within
    condition = _condition(ledger, ledger.causes.told(policy, cause))
    ended = condition.ended if condition is not None else None
    return max(floor, ended) if ended is not None else floor


def _condition(ledger: Ledger, told: ToldOf | None) -> Condition | None:
    """The condition that the event opened; None where the event was not used yet."""
    if told is None:
        return None
    ledger.load([told.key])
    return ledger.condition(told.key, told.condition_id)
