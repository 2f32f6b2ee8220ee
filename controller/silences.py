"""Which events and policies a silence, or a pause, holds. Pure.

Matchers of a silence are all to be met: `namespace`, `model`, `policy`, `type`, `source`,
`severity`, `feature`, `metric`, `slice`, `labels.<name>`; each value is a glob. A matcher
on what the event does not have is not met: a silence never mutes by absence.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from controller.events.event import Event
from controller.policy import Model, Policy


def silenced(matchers: Mapping[str, str], event: Event, policy: Policy, model: Model) -> bool:
    """Whether every matcher is met."""
    return all(_meets(name, pattern, event, policy, model) for name, pattern in matchers.items())


def _meets(name: str, pattern: str, event: Event, policy: Policy, model: Model) -> bool:
    found = _value(name, event, policy, model)
    return found is not None and fnmatchcase(found, pattern)


def _value(name: str, event: Event, policy: Policy, model: Model) -> str | None:
    if name.startswith("labels."):
        return model.labels.get(name.removeprefix("labels."))
    match name:
        case "namespace":
            return model.namespace
        case "model":
            return model.name
        case "policy":
            return policy.name
        case "type":
            return event.type
        case "source":
            return event.source
        case "severity":
            return policy.severity
        case "feature" | "metric" | "slice":
            value = event.data.get(name)
            return None if value is None else str(value)
        case _:
            return None


def paused(scope: str, namespace: str, name: str, policy: Policy, model: Model) -> bool:
    """Whether a pause of this scope holds the policy for the model."""
    match scope:
        case "all":
            return True
        case "namespace":
            return namespace == model.namespace
        case "policy":
            return (namespace, name) == (policy.namespace, policy.name)
        case _:
            return (namespace, name) == (model.namespace, model.name)
