"""Whether an event still speaks of the model as it is: about what serves, measured since it was deployed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controller.events.event import Event
from controller.events.scalars import parse_time
from controller.policy import Model, ModelState, version_of

OUTDATED = ("former_version", "replaced_reference", "before_deployment")
"""Each `why` of a stale event that a change of what serves has brought about."""


def outdated(event: Event, model: Model, state: ModelState, last_seen: datetime) -> dict[str, Any] | None:
    """Why an event no longer speaks of the model as it is, with the values; None: it does, as far as is known.

    :param last_seen: when its condition was last renewed; where it names no window, that is when it was measured.
    """
    version = version_of(event, model, state)
    if state.former(version):
        serving = {"stable": state.stable, "canary": state.canary}
        return {"why": "former_version", "version": version, **serving}
    reference = event.data.get("referenceId")
    if reference is not None and state.reference is not None and reference != state.reference:
        return {"why": "replaced_reference", "reference": reference, "active": state.reference}
    deployed = state.deployed_at
    if deployed is None or event.over or event.family not in ("drift", "performance"):
        return None
    if event.family == "performance" and version is not None:
        return None
    start, end = _window(event, last_seen)
    reached = start if event.family == "drift" else start + (end - start) / 2
    if reached >= deployed:
        return None
    window = {"window_start": start, "window_end": end}
    return {"why": "before_deployment", **window, "deployed_at": deployed, "serving": state.serving}


def _window(event: Event, last_seen: datetime) -> tuple[datetime, datetime]:
    window = event.data.get("window")
    if isinstance(window, dict):
        start, end = parse_time(window.get("start")), parse_time(window.get("end"))
        if start is not None and end is not None:
            return start, end
    return last_seen, last_seen
