"""Events, the conditions that they move, and the wire that they come by."""

from controller.events.condition import (
    Condition,
    condition_id,
    ended_by,
    ended_by_person,
    opened_or_renewed,
    repeated,
)
from controller.events.event import Event, about_key
from controller.events.types import EventType, EventTypes

__all__ = [
    "Condition",
    "Event",
    "EventType",
    "EventTypes",
    "about_key",
    "condition_id",
    "ended_by",
    "ended_by_person",
    "opened_or_renewed",
    "repeated",
]
