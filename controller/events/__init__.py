"""Events, the conditions that they move, and the wire that they come by."""

from controller.events.condition import (
    Condition,
    Dataset,
    Subject,
    about_of,
    condition_id,
    ended_by,
    ended_by_person,
    named,
    opened_or_renewed,
    repeated,
)
from controller.events.event import Event, about_key, feature_of
from controller.events.types import EventType, EventTypes

__all__ = [
    "Condition",
    "Dataset",
    "Event",
    "EventType",
    "EventTypes",
    "Subject",
    "about_key",
    "about_of",
    "condition_id",
    "ended_by",
    "ended_by_person",
    "feature_of",
    "named",
    "opened_or_renewed",
    "repeated",
]
