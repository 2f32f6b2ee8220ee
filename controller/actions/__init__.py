"""Actions: what is done in the outside world, one file per kind. `page` has no action: the outbox tells people."""

from __future__ import annotations

import threading

from controller.actions import command, request
from controller.actions.outcome import Outcome, Started
from controller.remediation import Intent

__all__ = ["Outcome", "Started", "orphan", "run"]


def run(intent: Intent, started: Started, cancelled: threading.Event) -> Outcome:
    """Do what the intent says and return when it is over; blocks.

    `started(pid, start time)` makes the process that acts durable before it does (for a request: this one);
    what it raises is raised again, and then nothing was done. `cancelled`, once set, ends the action soon.
    """
    match intent.action:
        case "command":
            return command.run(intent, started, cancelled)
        case "request":
            return request.run(intent, started, cancelled)
        case unknown:
            return Outcome("failed", f"no such action: {unknown}")


def orphan(intent: Intent) -> bool:
    """Kill what an earlier server left running of this intent; whether anything was. Blocks some seconds at most."""
    if intent.action != "command" or intent.pid is None or intent.pid_started is None:
        return False
    return command.orphan(intent.pid, intent.pid_started, intent.key)
