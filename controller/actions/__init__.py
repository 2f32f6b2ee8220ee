"""Actions: what is done in the outside world, one file per kind. `page` has no action: the outbox tells people."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from controller.actions import command, job, made, request, rollout, workflow
from controller.actions.made import Object
from controller.actions.outcome import Outcome, Ref, Started, Write
from controller.errors import Conflict, TemporaryError
from controller.kube import Kube, Refused
from controller.remediation import IN_CLUSTER, Intent

__all__ = ["CLUSTER", "Outcome", "Ref", "Started", "Write", "ensure", "halt", "observe", "orphan", "run"]

CLUSTER = IN_CLUSTER
"""The kinds of action that are ensured, observed and halted; the others are run."""
SOON = 1.0
"""Seconds until a change that met another one is tried again."""


def _now() -> datetime:
    return datetime.now(UTC)


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


def ensure(
    kube: Kube,
    intent: Intent,
    write: Write,
    *,
    inherited: bool,
    tried: bool = False,
    clock: Callable[[], datetime] = _now,
) -> Ref | Outcome:
    """Bring about in the cluster what the intent says, or begin it: the object to follow, or the end.

    May be called again, by this process or the next, until it answers. `end_state` has `model`
    (namespace/name) and `stdin` (the decision) beside what each kind says of itself.

    :param write: commits a resolved end state, before the patch; what it raises comes out, and nothing was set then.
    :param inherited: an earlier process may have begun it.
    :param tried: an attempt of this process got no answer, and may have begun it.
    Raises TemporaryError: call again later.
    """
    if intent.ref:  # recorded as made: never made again
        return dict(intent.ref)
    try:
        match intent.action:
            case "workflow":
                return workflow.ensure(kube, intent, inherited=inherited, now=clock())
            case "job":
                return job.ensure(kube, intent, inherited=inherited, tried=tried, now=clock())
            case "rollout":
                return rollout.ensure(kube, intent, write, inherited=inherited, now=clock())
            case unknown:
                return Outcome("failed", f"no such action: {unknown}")
    except Refused as error:
        # A rollout is written down before it is set: nothing written, nothing begun.
        begun = "resolved" in intent.end_state if intent.action == "rollout" else tried
        return made.refused(error, "unknown" if inherited or begun else "failed")
    except Conflict as error:
        raise TemporaryError(str(error), retry_after=SOON) from error


def observe(intent: Intent, ref: Ref, obj: Object | None) -> Ref | Outcome | None:
    """What the object that an action goes by shows: its end, the next object to go by, or None: it goes on. Pure.

    :param obj: as the cluster shows it; None: it is gone.
    """
    match intent.action:
        case "workflow":
            return workflow.observe(intent, ref, obj)
        case "job":
            return job.observe(intent, ref, obj)
        case "rollout":
            return rollout.observe(intent, ref, obj)
        case unknown:
            return Outcome("failed", f"no such action: {unknown}")


def halt(kube: Kube, intent: Intent) -> Outcome | None:
    """Stop in the cluster what the intent has begun. None: asked, the end will be observed.

    `end_state` has `model`, as for `ensure`. Raises TemporaryError: call again later.
    """
    try:
        match intent.action:
            case "workflow":
                return workflow.halt(kube, intent)
            case "job":
                return job.halt(kube, intent)
            case "rollout":
                return rollout.halt(kube, intent)
            case unknown:
                return Outcome("stopped", f"no such action: {unknown}")
    except Refused as error:
        return made.refused(error, "unknown")  # it goes on
    except Conflict as error:
        raise TemporaryError(str(error), retry_after=SOON) from error
